"""Health checks of single objects: areas, sides, outlines, and what lies outside the frame."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from gpu_quality.analysis.health_codes import Limits
from gpu_quality.analysis.health_rows import Floats, Ints, Rows
from gpu_quality.analysis.health_view import View
from gpu_quality.functional import shapes
from gpu_quality.geometry import validity
from gpu_quality.geometry.regions import outlines_of
from gpu_quality.types import KINDS

_SIDES = ("on the left", "at the top", "on the right", "at the bottom")


def shape_findings(view: View, rows: Rows, limits: Limits) -> Iterator[pd.DataFrame]:
    """Everything that one object shows by itself."""
    yield _degenerate(view, rows)
    yield _zero_area(view, rows)
    yield _out_of_bounds(view, rows, limits)
    yield from _sides(view, rows, limits)
    yield from _outlines(view, rows)
    yield _area_mismatch(view, rows, limits)
    crowd = np.flatnonzero(view.crowd)
    yield rows.of_objects("crowd_present", crowd, ["evaluation ignores what is found in this crowd region"] * len(crowd))


def _degenerate(view: View, rows: Rows) -> pd.DataFrame:
    found = np.flatnonzero(view.flat)
    side = (view.box[:, 2:] - view.box[:, :2])[found]
    detail = [f"box is {w:g} px wide and {h:g} px high" for w, h in side.tolist()]
    return rows.of_objects("degenerate_bbox", found, detail, side.min(axis=1, initial=np.inf))


def _zero_area(view: View, rows: Rows) -> pd.DataFrame:
    true, declared = view.area == 0, view.declared == 0
    found = np.flatnonzero(view.areal & (true | declared))
    kinds = view.kind[found].tolist()
    detail = [
        f"the {KINDS[kind].replace('_', ' ')} covers no area" if zero else "the declared area is 0"
        for kind, zero in zip(kinds, true[found].tolist(), strict=True)
    ]
    return rows.of_objects("zero_area", found, detail, view.area[found])


def _out_of_bounds(view: View, rows: Rows, limits: Limits) -> pd.DataFrame:
    frame = np.stack([view.width[view.row], view.height[view.row]], 1)
    with np.errstate(invalid="ignore"):
        beyond = np.concatenate([-view.box[:, :2], view.box[:, 2:] - frame], 1)  # [o, 4]
        found = np.flatnonzero((beyond > limits.outside).any(axis=1))
    beyond = np.nan_to_num(beyond[found], nan=-1)
    detail = [_reaching(sides, limits.outside) for sides in beyond.tolist()]
    return rows.of_objects("bbox_out_of_bounds", found, detail, beyond.max(axis=1, initial=-1))


def _reaching(beyond: list[float], allowed: float) -> str:
    told = [f"{pixels:.1f} px out of the frame {side}" for pixels, side in zip(beyond, _SIDES, strict=True) if pixels > allowed]
    return f"box reaches {' and '.join(told)}"


def _sides(view: View, rows: Rows, limits: Limits) -> Iterator[pd.DataFrame]:
    """Objects that are long and thin, or tiny; a box without width or height is told as degenerate and not again."""
    width, height = (side.numpy() for side in shapes.sides(view.objects))
    shorter, longer = np.minimum(width, height), np.maximum(width, height)
    judged = view.areal & ~view.flat & (shorter > 0)
    ratio = np.divide(longer, shorter, out=np.ones_like(longer), where=judged)
    found = np.flatnonzero(judged & (ratio > limits.aspect_ratio))
    yield rows.of_objects("extreme_aspect_ratio", found, _measured(width, height, found, ratio), ratio[found])
    found = np.flatnonzero(judged & (shorter < limits.tiny_side))
    yield rows.of_objects("tiny_box", found, _measured(width, height, found), shorter[found])


def _measured(width: Floats, height: Floats, found: Ints, ratio: Floats | None = None) -> list[str]:
    told = [
        f"it is {w:.4g} px wide and {h:.4g} px high" for w, h in zip(width[found].tolist(), height[found].tolist(), strict=True)
    ]
    return told if ratio is None else [f"{text}, {r:.1f} to 1" for text, r in zip(told, ratio[found].tolist(), strict=True)]


def _outlines(view: View, rows: Rows) -> Iterator[pd.DataFrame]:
    drawn = np.flatnonzero(view.kind == KINDS.index("polygon"))
    if view.objects.shapes is None or not len(drawn):
        return
    outlines = outlines_of(view.objects.shapes).take(drawn)
    found = drawn[validity.crossing(outlines)]
    yield rows.of_objects("self_crossing_polygon", found, ["a ring of the outline crosses or touches itself"] * len(found))
    points = validity.fewest_points(outlines)
    few = points < 3
    detail = [f"a ring of the outline has {n} different point{'s' * (n != 1)}" for n in points[few].tolist()]
    yield rows.of_objects("few_points", drawn[few], detail, points[few].astype(np.float64))


def _area_mismatch(view: View, rows: Rows, limits: Limits) -> pd.DataFrame:
    """Labels alone: a prediction's area is computed when it is read."""
    asked = view.areal & (view.origin == 0)
    gap = np.abs(view.declared - view.area)
    found = np.flatnonzero(asked & (gap > limits.area_difference * view.area))
    both = zip(view.declared[found].tolist(), view.area[found].tolist(), strict=True)
    detail = [f"declared area {told:.6g} px², the shape covers {true:.6g} px²" for told, true in both]
    share = np.divide(gap, view.area, out=np.full(len(gap), np.inf), where=view.area > 0)
    return rows.of_objects("area_mismatch", found, detail, share[found])
