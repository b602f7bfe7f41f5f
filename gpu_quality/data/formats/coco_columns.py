"""Records of COCO annotations or results as columns; whatever a file may hold in a field becomes a number or a problem."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np

from gpu_quality.annotations.columns import Bools, Floats, Ints, Masks
from gpu_quality.geometry import rle
from gpu_quality.geometry.polygons import Outlines, offsets

_NUMBERS: Final = {int, float}
_REFUSED: Final = (TypeError, ValueError, OverflowError)


@dataclass(slots=True)
class Records:
    """Some records of a list, `first` being the place of the first one; image and category ids are not yet looked up."""

    first: int
    image: Ints | list[Any]
    category: Ints | list[Any]
    source: Ints | list[Any]
    box: Floats
    """xyxy; NaN where there is none."""
    boxed: Bools
    extent: Floats
    """Width times height as given, which corners no longer give to the last bit; NaN where there is no box."""
    score: Floats
    unscored: Bools
    area: Floats
    crowd: Bools
    outlines: Outlines | None = None
    masks: Masks | None = None
    problems: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of records."""
        return len(self.image)


def columns_of(records: Sequence[Any], first: int) -> Records:
    """Columns of these records; what cannot be read is noted in `problems` by place."""
    problems: dict[int, str] = {}
    if set(map(type, records)) - {dict}:
        problems |= {i: "the record is no JSON object" for i, r in enumerate(records) if type(r) is not dict}
        records = [r if type(r) is dict else {} for r in records]
    scores = [r.get("score") for r in records]
    box, boxed, extent = _boxes([r.get("bbox") for r in records], problems)
    outlines, masks = _segmentations([r.get("segmentation") for r in records], problems)
    return Records(
        first,
        _ids([r.get("image_id") for r in records]),
        _ids([r.get("category_id") for r in records]),
        _ids([r.get("id") for r in records]),
        box,
        boxed,
        extent,
        _numbers(scores),
        np.array([s is None for s in scores], bool),
        _numbers([r.get("area") for r in records]),
        np.array([r.get("iscrowd") in (1, "1") for r in records], bool),
        outlines,
        masks,
        problems,
    )


def _ids(values: list[Any]) -> Ints | list[Any]:
    """The ids as int64 where they all are, a tenth of the memory."""
    if set(map(type, values)) <= {int} and max(map(abs, values), default=0) < 1 << 63:
        return np.fromiter(values, np.int64, len(values))
    return values


def _number(value: Any) -> float:
    try:
        return float(value) if type(value) in _NUMBERS else np.nan
    except OverflowError:
        return np.inf


def _numbers(values: list[Any]) -> Floats:
    """The values as float64; NaN for what is no number."""
    if set(map(type, values)) <= {float}:
        return np.fromiter(values, np.float64, len(values))
    return np.fromiter(map(_number, values), np.float64, len(values))


def _boxes(values: list[Any], problems: dict[int, str]) -> tuple[Floats, Bools, Floats]:
    """COCO's x, y, width, height as xyxy, which records have a box, and width times height."""
    boxed = np.ones(len(values), bool)
    if set(map(type, values)) <= {list} and set(map(len, values)) <= {4}:
        xywh = np.array(_numbers(list(chain.from_iterable(values)))).reshape(-1, 4)
    else:
        xywh = np.full((len(values), 4), np.nan)
        for i, value in enumerate(values):
            if value is None or value == []:
                boxed[i] = False
            elif type(value) is list and len(value) == 4:
                xywh[i] = [_number(v) for v in value]
            else:
                problems[i] = f"bbox must be [x, y, width, height], found {repr(value)[:80]}"
    with np.errstate(all="ignore"):  # a box that is not finite is refused later
        extent = xywh[:, 2] * xywh[:, 3]
        xywh[:, 2:] += xywh[:, :2]
    return xywh, boxed, extent


def _segmentations(values: list[Any], problems: dict[int, str]) -> tuple[Outlines | None, Masks | None]:
    """Rings of the records that have polygons, counts of those that have masks."""
    types = set(map(type, values))
    if types <= {type(None)}:
        return None, None
    if types - {list, dict, type(None)}:
        for i, value in enumerate(values):
            if type(value) not in (list, dict, type(None)):
                problems[i] = f"segmentation must be a list of rings or an object with counts, found {repr(value)[:80]}"
    outlines = _outlines([value if type(value) is list else [] for value in values], problems) if list in types else None
    masks = _masks([value if type(value) is dict else None for value in values], problems) if dict in types else None
    return outlines, masks


def _outlines(values: list[list[Any]], problems: dict[int, str]) -> Outlines:
    rings = list(chain.from_iterable(values))
    try:
        if set(map(type, rings)) - {list}:
            raise TypeError
        count = np.fromiter(map(len, values), np.int64, len(values))
        length = np.fromiter(map(len, rings), np.int64, len(rings))
        flat = np.fromiter(chain.from_iterable(rings), np.float64, int(length.sum()))
    except _REFUSED:
        for i, value in enumerate(values):
            if not all(type(ring) is list and set(map(type, ring)) <= _NUMBERS for ring in value):
                problems[i] = f"segmentation must be a list of rings of numbers, found {repr(value)[:80]}"
        good = [[] if i in problems else value for i, value in enumerate(values)]
        return _outlines([[[_number(v) for v in ring] for ring in value] for value in good], {})
    return Outlines(offsets(count), offsets(length), flat)


def _masks(values: list[dict[str, Any] | None], problems: dict[int, str]) -> Masks:
    counts: list[bytes | None] = [None] * len(values)
    size = np.zeros((len(values), 2), np.int64)
    plain: list[tuple[int, Ints]] = []
    for i, value in enumerate(values):
        if value is None:
            continue
        try:
            size[i], found = _mask(value)
        except _REFUSED:
            problems[i] = f"segmentation must have size [height, width] and counts, found {repr(value)[:80]}"
            continue
        if isinstance(found, bytes):
            counts[i] = found
        else:
            plain.append((i, found))
    if plain:
        texts = rle.encode_counts(np.concatenate([c for _, c in plain]), offsets(np.array([len(c) for _, c in plain])))
        for (i, _), text in zip(plain, texts, strict=True):
            counts[i] = text
    return Masks(size[:, 0], size[:, 1], counts)


def _mask(value: dict[str, Any]) -> tuple[list[int], bytes | Ints]:
    """Size, and the counts as text or as run lengths cut to what a mask can hold, so that wrong ones stay wrong."""
    size, counts = value.get("size"), value.get("counts")
    if type(size) is not list or len(size) != 2 or set(map(type, size)) != {int} or max(map(abs, size)) > rle.MAX_PIXELS:
        raise ValueError
    if isinstance(counts, str):
        return size, counts.encode("utf-8", "surrogatepass")
    if type(counts) is not list or set(map(type, counts)) - {int}:
        raise ValueError
    limit = 2 * rle.MAX_PIXELS
    return size, np.clip(np.fromiter(counts, np.int64, len(counts)), -limit, limit)
