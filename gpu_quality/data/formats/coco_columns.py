"""Records of COCO annotations or results as columns; whatever a file may hold in a field becomes a number or a problem."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np

from gpu_quality.annotations.columns import Bools, Floats, Ints, Masks, Problem, Ragged
from gpu_quality.data.formats.coco_shapes import masks_of, number, outlines_of
from gpu_quality.data.formats.coco_tracks import by_frame
from gpu_quality.geometry.polygons import Outlines, offsets

_NUMBERS: Final = {int, float}
_TRUE: Final = (1, "1")
_NONE: Final = type(None)
_RARE: Final = frozenset({"keypoints", "track_id", "instance_id", "attributes", "rotation", "annotator", "annotation_seconds"})
_NAMED: Final = 1 << 40
"""Tracks that have names instead of numbers are counted from here."""


@dataclass(slots=True)
class Records:
    """Some records of a list; image and category ids are not yet looked up."""

    place: Ints
    """Place of each record in its list."""
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
    ignore: Bools
    outlines: Outlines | None = None
    masks: Masks | None = None
    angle: Floats | None = None
    keypoints: Ragged | None = None
    visible: Floats | None = None
    """Declared numbers of visible keypoints, NaN where none is declared."""
    track: Ints | None = None
    annotator: list[str | None] | None = None
    seconds: Floats | None = None
    """Time spent on each record, NaN where unknown."""
    attributes: list[dict[str, Any]] | None = None
    problems: dict[int, Problem] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of records."""
        return len(self.place)


def columns_of(records: Sequence[Any], first: int, names: dict[str, int]) -> Records:
    """Columns of these records, `first` being the place of the first one; what cannot be read is noted in `problems` by row.

    `names` collects the numbers that tracks with names were given.
    """
    problems: dict[int, Problem] = {}
    if set(map(type, records)) - {dict}:
        wrong = Problem("bad_annotation", "the record is no JSON object")
        problems |= {i: wrong for i, r in enumerate(records) if type(r) is not dict}
        records = [r if type(r) is dict else {} for r in records]
    place = np.arange(len(records)) + first
    if records and "video_id" in records[0] and "image_id" not in records[0]:
        records, place, problems = by_frame(records, place, problems)
    fields = Fields(records)
    scores = fields["score"]
    box, boxed, extent = _boxes(fields["bbox"], problems)
    outlines, masks = _segmentations(fields["segmentation"], problems)
    made = Records(
        place,
        _ids(fields["image_id"]),
        _ids(fields["category_id"]),
        _ids(fields["id"]),
        box,
        boxed,
        extent,
        _numbers(scores),
        np.array([s is None for s in scores], bool),
        _numbers(fields["area"]),
        np.array([v in _TRUE for v in fields["iscrowd"]], bool),
        np.array([v in _TRUE for v in fields["ignore"]], bool),
        outlines,
        masks,
        problems=problems,
    )
    if fields.names & _RARE:
        _add_rare(made, fields, names)
    return made


class Fields:
    """Values of a field in all records, None where a record has none; what no record has is not looked for."""

    def __init__(self, records: Sequence[dict[str, Any]]) -> None:
        self.records = records
        self.names: set[str] = set().union(*records)

    def __getitem__(self, name: str) -> list[Any]:
        """One column."""
        return [r.get(name) for r in self.records] if name in self.names else [None] * len(self.records)


def _add_rare(made: Records, fields: Fields, names: dict[str, int]) -> None:
    """Fields that few files have."""
    attributes = fields["attributes"]
    if dict in set(map(type, attributes)):
        made.attributes = [a if type(a) is dict else {} for a in attributes]
    keypoints = fields["keypoints"]
    if set(map(type, keypoints)) - {_NONE}:
        made.keypoints = _keypoints(keypoints, made.problems)
        made.visible = _numbers(fields["num_keypoints"])
    tracks = [i if t is None else t for t, i in zip(fields["track_id"], fields["instance_id"], strict=True)]
    angles = fields["rotation"]
    if made.attributes is not None:
        tracks = [a.get("track_id") if t is None else t for t, a in zip(tracks, made.attributes, strict=True)]
        angles = [a.get("rotation") if r is None else r for r, a in zip(angles, made.attributes, strict=True)]
    if set(map(type, tracks)) - {_NONE}:
        made.track = np.array([_track(t, names) for t in tracks], np.int64)
    if set(map(type, angles)) & _NUMBERS:
        _turn(made, np.radians(np.nan_to_num(_numbers(angles))))
    annotators = fields["annotator"]
    if str in set(map(type, annotators)):
        made.annotator = [a if type(a) is str else None for a in annotators]
    times = fields["annotation_seconds"]
    if set(map(type, times)) - {_NONE}:
        made.seconds = np.array([_seconds(t) for t in times], np.float64)


def _seconds(value: Any) -> float:
    """A time, or the sum of the entries of a log; NaN for what is neither."""
    if type(value) is list and value:
        return sum(map(_seconds, value))
    seconds = number(value)
    return seconds if 0 <= seconds < np.inf else np.nan


def _track(value: Any, names: dict[str, int]) -> int:
    """A track's number, -1 for none (as many tools write it); a name, or a number out of range, gets a number of its own."""
    if type(value) in _NUMBERS:
        if value == -1 or not abs(value) < np.inf:
            return -1
        return int(value) if 0 <= value < _NAMED else names.setdefault(f"#{int(value)}", _NAMED + len(names))
    if type(value) is not str or not value:
        return -1
    plain = value.isascii() and value.isdecimal() and len(value) < 16
    return int(value) if plain else names.setdefault(value, _NAMED + len(names))


def _turn(made: Records, angle: Floats) -> None:
    """An angle beside four corners says that they are a turned box; beside an unturned box alone it makes them."""
    if made.outlines is not None and (angle != 0).any():
        single = np.diff(made.outlines.rings) == 1
        length = np.diff(made.outlines.numbers)[made.outlines.rings[:-1][single]]
        single[single] = length == 8
        made.angle = np.where(single & (angle != 0), angle, np.nan)
    plain = np.ones(len(made), bool) if made.outlines is None else np.diff(made.outlines.rings) == 0
    if made.masks is not None:
        plain &= np.array([counts is None for counts in made.masks.counts], bool)
    turned = np.flatnonzero(made.boxed & plain & (angle != 0) & np.isfinite(made.box).all(axis=1))
    if not len(turned):
        return
    x1, y1, x2, y2 = made.box[turned].T
    u, v = (x2 - x1)[:, None] / 2 * [-1, 1, 1, -1], (y2 - y1)[:, None] / 2 * [-1, -1, 1, 1]
    c, s = np.cos(angle[turned])[:, None], np.sin(angle[turned])[:, None]
    corner = np.stack([(x1 + x2)[:, None] / 2 + c * u - s * v, (y1 + y2)[:, None] / 2 + s * u + c * v], 2)
    made.angle = np.full(len(made), np.nan) if made.angle is None else made.angle
    made.angle[turned] = angle[turned]
    old = made.outlines or Outlines(np.zeros(len(made) + 1, np.int64), np.zeros(1, np.int64), np.zeros(0))
    pick = np.arange(len(made))
    pick[turned] = len(made) + np.arange(len(turned))
    four = Outlines(np.arange(len(turned) + 1), 8 * np.arange(len(turned) + 1), corner.reshape(-1))
    rings = np.concatenate([old.rings, old.rings[-1] + four.rings[1:]])
    numbers = np.concatenate([old.numbers, old.numbers[-1] + four.numbers[1:]])
    made.outlines = Outlines(rings, numbers, np.concatenate([old.values, four.values])).take(pick)
    made.box[turned] = np.concatenate([corner.min(1), corner.max(1)], 1)


def _ids(values: list[Any]) -> Ints | list[Any]:
    """The ids as int64 where they all are, a tenth of the memory."""
    if set(map(type, values)) <= {int} and max(map(abs, values), default=0) < 1 << 63:
        return np.fromiter(values, np.int64, len(values))
    return values


def _numbers(values: list[Any]) -> Floats:
    """The values as float64; NaN for what is no number."""
    if set(map(type, values)) <= {float}:
        return np.fromiter(values, np.float64, len(values))
    return np.fromiter(map(number, values), np.float64, len(values))


def _boxes(values: list[Any], problems: dict[int, Problem]) -> tuple[Floats, Bools, Floats]:
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
                xywh[i] = [number(v) for v in value]
            else:
                text = f"bbox must be [x, y, width, height], found {repr(value)[:80]}"
                problems.setdefault(i, Problem("missing_geometry", text))
    with np.errstate(all="ignore"):  # a box that is not finite is refused later
        extent = xywh[:, 2] * xywh[:, 3]
        xywh[:, 2:] += xywh[:, :2]
    return xywh, boxed, extent


def _segmentations(values: list[Any], problems: dict[int, Problem]) -> tuple[Outlines | None, Masks | None]:
    """Rings of the records that have polygons, counts of those that have masks."""
    types = set(map(type, values))
    if types <= {_NONE}:
        return None, None
    if types - {list, dict, _NONE}:
        for i, value in enumerate(values):
            if type(value) not in (list, dict, _NONE):
                text = f"segmentation must be a list of rings or an object with counts, found {repr(value)[:80]}"
                problems.setdefault(i, Problem("missing_geometry", text))
    outlines = outlines_of([value if type(value) is list else [] for value in values], problems) if list in types else None
    masks = masks_of([value if type(value) is dict else None for value in values], problems) if dict in types else None
    return outlines, masks


def _keypoints(values: list[Any], problems: dict[int, Problem]) -> Ragged:
    """Triples x y v."""
    good: list[list[float]] = []
    for i, value in enumerate(values):
        flat = value if type(value) is list and set(map(type, value)) <= _NUMBERS else []
        if value is not None and flat is not value:
            text = f"keypoints must be a list of numbers x, y, v, found {repr(value)[:80]}"
            problems.setdefault(i, Problem("keypoint_length", text))
        numbers = [number(v) for v in flat]
        if not np.isfinite(numbers).all():
            problems.setdefault(
                i, Problem("non_finite_geometry", f"keypoints hold a number that is not finite: {repr(value)[:80]}")
            )
        good.append(numbers)
    count = np.fromiter(map(len, good), np.int64, len(good))
    return Ragged(offsets(count), np.fromiter(chain.from_iterable(good), np.float64, int(count.sum())))
