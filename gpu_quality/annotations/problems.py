"""The rules that every row of the canonical tables must keep, and what is said about a row that breaks one."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gpu_quality.annotations.columns import Bools, Floats, Ints, Masks, ObjectColumns, Problem, Problems, kinds
from gpu_quality.geometry import polygons, rle
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.types import AREAL, KINDS


def problems_of(columns: ObjectColumns, width: Ints, height: Ints) -> dict[int, Problem]:
    """What forbids to keep which row. `width` and `height` are those of each object's frame, -1 where unknown."""
    near = np.asarray((np.abs(columns.box) <= polygons.FARTHEST).all(axis=1))
    found = {
        int(i): Problem("non_finite_geometry", f"box is not finite, or beyond {polygons.FARTHEST:g}: {columns.box[i].tolist()}")
        for i in np.flatnonzero(~near)
    }
    # A shape's own fault is told before that of the box that was to be made of it.
    if columns.masks is not None:
        found |= _mask_problems(columns.masks, width, height)
    if columns.outlines is not None:
        found |= _outline_problems(columns.outlines, kinds(columns))
    found |= score_problems(columns.score, columns.unscored)
    if columns.keypoints is not None:
        for i in np.flatnonzero(columns.keypoints.count % 3):
            found[int(i)] = Problem("keypoint_length", f"{columns.keypoints.count[i]} keypoint numbers are no triples x y v")
    return found | place_problems(columns.frame, columns.class_id)


def score_problems(score: Floats | None, unscored: Bools | None) -> dict[int, Problem]:
    """Rows whose score is no finite number."""
    if score is None:
        return {}
    scored = np.ones(len(score), bool) if unscored is None else ~unscored
    bad = np.flatnonzero(scored & ~np.isfinite(score))
    return {int(i): Problem("dt_score_out_of_range", f"score is not finite: {score[i]}") for i in bad}


def place_problems(frame: Ints, class_id: Ints) -> dict[int, Problem]:
    """Rows whose frame or class nobody knows."""
    found = {int(i): Problem("orphan_category_id", "its class is not among the classes") for i in np.flatnonzero(class_id < 0)}
    return found | {int(i): Problem("orphan_image_id", "its image is not among the frames") for i in np.flatnonzero(frame < 0)}


def degenerate(columns: ObjectColumns) -> dict[int, Problem]:
    """Rows whose shape has an area by its kind and whose box has none. They are kept: evaluation counts them."""
    box = columns.box
    flat = np.flatnonzero((box[:, 2:] <= box[:, :2]).any(axis=1) & (kinds(columns) < AREAL))
    with np.errstate(invalid="ignore"):  # boxes that are not finite are refused elsewhere
        side = box[flat, 2:] - box[flat, :2]
    told = (f"box has no area: width {w}, height {h}; the object is kept" for w, h in side)
    return {int(i): Problem("degenerate_bbox", text) for i, text in zip(flat, told, strict=True)}


def _outline_problems(outlines: Outlines, kind: NDArray[np.int8]) -> dict[int, Problem]:
    found: dict[int, Problem] = {}
    for least, chosen in ((6, kind < AREAL), (4, kind == KINDS.index("polyline")), (2, kind > KINDS.index("polyline"))):
        if not chosen.any():
            continue
        rows = np.flatnonzero(chosen)
        texts = polygons.check(outlines if chosen.all() else outlines.take(rows), least)
        for i, text in zip(rows, texts, strict=True):
            if text:
                found[int(i)] = Problem("non_finite_geometry" if "finite" in text else "missing_geometry", text)
    return found


def _mask_problems(masks: Masks, width: Ints, height: Ints) -> dict[int, Problem]:
    rows = np.array([i for i, counts in enumerate(masks.counts) if counts is not None], np.int64)
    chosen = masks.take(rows)
    _, texts = rle.check([c or b"" for c in chosen.counts], chosen.height, chosen.width)
    found = {int(i): Problem("invalid_rle", text) for i, text in zip(rows, texts, strict=True) if text}
    known = (width[rows] > 0) & (height[rows] > 0)
    for i in rows[known & ((chosen.height != height[rows]) | (chosen.width != width[rows]))]:
        own, frame = f"{masks.height[i]} x {masks.width[i]}", f"{height[i]} x {width[i]}"
        text = f"mask size {own} is not the frame's size {frame} (height x width)"
        found.setdefault(int(i), Problem("invalid_rle", text))
    return found


def merged(known: Problems, found: Mapping[int, Problem]) -> dict[int, Problem]:
    """Both sets of problems in order of rows; what the reader already knew is said, not what follows from it."""
    told = {i: Problem("bad_annotation", p) if isinstance(p, str) else p for i, p in known.items()}
    both = {**found, **told}
    return {i: both[i] for i in sorted(both)}
