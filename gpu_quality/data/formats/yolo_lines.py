"""Lines of YOLO label files as columns of objects.

After the class stand four numbers for a box (``cx cy w h``), the same and keypoints for a pose, or the points ``x1 y1 x2 y2 …``
of an outline; all relative to the size of the image. One more number at the end is a confidence.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gpu_quality.annotations import ObjectColumns
from gpu_quality.annotations.columns import Bools, Floats, Ints, Ragged, with_shape_boxes
from gpu_quality.data.formats.number_lines import Lines, heads, lasts, table
from gpu_quality.data.formats.quads import angles
from gpu_quality.geometry.polygons import Outlines, offsets
from gpu_quality.types import KINDS

FAR: Final = (-1.0, 2.0)
"""A relative coordinate beyond these is no slip at the border: the file holds pixels, or is of another format."""


_SIZELESS: Final = (
    "the size of its image is not known, and its coordinates are relative to it: "
    "no image that can be read is called like this file, or several are"
)


@dataclass(frozen=True, slots=True)
class Forms:
    """What each line is: how many numbers its shape takes, and whether a confidence follows."""

    box: Bools
    outline: Bools
    keypoints: Bools
    scored: Bools

    @property
    def usable(self) -> Bools:
        """Lines whose count of numbers means something."""
        return self.box | self.outline


def forms_of(count: Ints, keypoints: tuple[int, int] | None) -> Forms:
    """Forms of lines by the count of numbers after the class; `keypoints` is ``kpt_shape``, None where there are none."""
    pose = 4 + keypoints[0] * keypoints[1] if keypoints else -9
    has_keypoints = (count == pose) | (count == pose + 1)
    box = (count == 4) | (count == 5) | has_keypoints
    outline = (count >= 6) & (not keypoints)
    scored = np.where(has_keypoints, count == pose + 1, count % 2 == 1)
    return Forms(box, outline, has_keypoints, scored & (box | outline))


def all_quads(forms: Forms, count: Ints) -> bool:
    """Whether every outline, and there is one, has four points: then they are turned boxes."""
    return bool(forms.outline.any() and (count[forms.outline] // 2 == 4).all())


def columns_of(
    lines: Lines, class_id: Ints, size: tuple[Floats, Floats], keypoints: tuple[int, int] | None, *, turned: bool, scored: bool
) -> ObjectColumns:
    """Objects of lines; `size` is width and height of each line's image, NaN where unknown.

    With `turned`, outlines of four points that are rectangles in pixels become rotated boxes. Without `scored`, a confidence
    is passed over. Lines without a usable shape become problems of `lines`.
    """
    numbers = lines.numbers()
    forms = forms_of(numbers.count, keypoints)
    _judge(lines, numbers, forms, size, keypoints)
    outlines = _outlines(numbers, forms, size)
    columns = ObjectColumns(
        np.array(lines.frame, np.int64),
        class_id,
        _boxes(table(numbers, 4), size),
        np.array(lines.line, np.int64),
        source_id=lines.sources(),
        score=lasts(numbers, forms.scored) if scored else None,
        unscored=~forms.scored if scored else None,
        outlines=outlines,
        angle=_angles(outlines) if turned and outlines is not None else None,
        kind=np.where(forms.keypoints, KINDS.index("box"), -1).astype(np.int8),
        keypoints=_keypoints(numbers, forms, size, keypoints) if keypoints else None,
        file=lines.file,
    )
    return with_shape_boxes(columns, forms.outline)


def _judge(lines: Lines, numbers: Ragged, forms: Forms, size: tuple[Floats, Floats], keypoints: tuple[int, int] | None) -> None:
    """Name the lines that cannot be used."""
    takes = f"a box takes 4, a pose {4 + keypoints[0] * keypoints[1]}" if keypoints else "a box takes 4, an outline 6 or more"
    found: dict[int, str] = {}
    for i in np.flatnonzero(~forms.usable):
        found[int(i)] = f"{numbers.count[i]} numbers follow the class; {takes}, a confidence one more"
    for i in np.flatnonzero(forms.usable & ~np.isfinite(size[0] + size[1])):
        found[int(i)] = _SIZELESS
    row = np.repeat(np.arange(len(lines)), numbers.count)
    within = np.arange(len(numbers.values)) - numbers.offset[:-1][row]
    shape = within < np.where(forms.box, 4, numbers.count - forms.scored)[row]
    far = shape & ((numbers.values < FAR[0]) | (numbers.values > FAR[1])) & np.isfinite(numbers.values)
    for place in np.flatnonzero(far)[::-1]:
        text = f"{numbers.values[place]:g} is no coordinate relative to the size of the image, which run from 0 to 1"
        found[int(row[place])] = text
    lines.problems.update({i: text for i, text in found.items() if i not in lines.problems})


def _boxes(relative: Floats, size: tuple[Floats, Floats]) -> Floats:
    """Center, width and height relative to the image as xyxy in pixels."""
    x, y, w, h = relative.T
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused later
        corners = (x - w / 2) * size[0], (y - h / 2) * size[1], (x + w / 2) * size[0], (y + h / 2) * size[1]
    return np.column_stack(corners)


def _outlines(numbers: Ragged, forms: Forms, size: tuple[Floats, Floats]) -> Outlines | None:
    if not forms.outline.any():
        return None
    rings = heads(numbers, np.where(forms.outline, numbers.count - forms.scored, 0))
    row = np.repeat(np.arange(len(rings)), rings.count)
    odd = (np.arange(len(rings.values)) - rings.offset[:-1][row]) % 2 == 1
    with np.errstate(invalid="ignore", over="ignore"):
        values = rings.values * np.where(odd, size[1][row], size[0][row])
    return Outlines(offsets(forms.outline.astype(np.int64)), offsets(rings.count[forms.outline]), values)


def _angles(outlines: Outlines) -> Floats:
    """Angles of the outlines that are rectangles, NaN for the rest."""
    out = np.full(len(outlines), np.nan)
    has = np.flatnonzero(np.diff(outlines.rings) > 0)
    length = np.diff(outlines.numbers)
    four = has[length == 8]
    start = outlines.numbers[:-1][length == 8]
    out[four] = angles(outlines.values[start[:, None] + np.arange(8)].reshape(-1, 4, 2))
    return out


def _keypoints(numbers: Ragged, forms: Forms, size: tuple[Floats, Floats], shape: tuple[int, int]) -> Ragged:
    """Triples x y v in pixels. With two numbers a keypoint is visible unless both are 0 or one is negative; an object whose
    numbers are all 0 has no keypoints.
    """
    count, each = shape
    rows = np.flatnonzero(forms.keypoints)
    start = numbers.offset[:-1][rows]
    given = numbers.values[start[:, None] + 4 + np.arange(count * each)].reshape(-1, count, each)
    there = given.any(axis=(1, 2))
    given, rows = given[there], rows[there]
    points = np.empty((len(rows), count, 3))
    with np.errstate(invalid="ignore", over="ignore"):
        points[:, :, 0] = given[:, :, 0] * size[0][rows, None]
        points[:, :, 1] = given[:, :, 1] * size[1][rows, None]
    seen = given.any(axis=2) & (given >= 0).all(axis=2)
    points[:, :, 2] = given[:, :, 2] if each == 3 else np.where(seen, 2.0, 0.0)
    length = np.zeros(len(numbers), np.int64)
    length[rows] = 3 * count
    return Ragged(offsets(length), points.reshape(-1))
