"""Slow, obvious health checks: one loop per code over rows of the tables. Each returns what it is told of, as a set."""

from fractions import Fraction
from itertools import combinations, pairwise
from math import log2

from gpu_quality.types import AREAL

Row = dict
Found = set[tuple[object, ...]]


def objects_of(dataset) -> list[Row]:
    """Rows of the objects table with the facts of their frames."""
    frames = dataset.frames.to_pylist()
    return [{**row, "in_frame": frames[row["row"]]} for row in dataset.objects.to_pylist()]


def sides(row: Row) -> tuple[float, float]:
    x1, y1, x2, y2 = row["box"]
    return x2 - x1, y2 - y1


def degenerate_bbox(rows: list[Row]) -> Found:
    return {(r["object"],) for r in rows if r["kind"] < AREAL and min(sides(r)) <= 0}


def zero_area(rows: list[Row]) -> Found:
    """For shapes that fill their box: their area is 0 where a side is 0."""
    return {(r["object"],) for r in rows if r["kind"] < AREAL and (min(sides(r)) <= 0 or r["area"] == 0)}


def bbox_out_of_bounds(rows: list[Row]) -> Found:
    found = set()
    for r in rows:
        x1, y1, x2, y2 = r["box"]
        w, h = r["in_frame"]["width"], r["in_frame"]["height"]
        if x1 < -1 or y1 < -1 or (w is not None and x2 > w + 1) or (h is not None and y2 > h + 1):
            found.add((r["object"],))
    return found


def extreme_aspect_ratio(rows: list[Row]) -> Found:
    solid = [r for r in rows if r["kind"] < AREAL and min(sides(r)) > 0]
    return {(r["object"],) for r in solid if max(sides(r)) / min(sides(r)) > 20}


def tiny_box(rows: list[Row]) -> Found:
    return {(r["object"],) for r in rows if r["kind"] < AREAL and 0 < min(sides(r)) < 2}


def area_mismatch(rows: list[Row]) -> Found:
    """For shapes that fill their box."""
    found = set()
    for r in rows:
        w, h = sides(r)
        true = max(w, 0) * max(h, 0)
        if r["origin"] == 0 and r["kind"] < AREAL and abs(r["area"] - true) > 0.2 * true:
            found.add((r["object"],))
    return found


def iou(a: Row, b: Row) -> float:
    """Of shapes that fill their boxes."""
    w = min(a["box"][2], b["box"][2]) - max(a["box"][0], b["box"][0])
    h = min(a["box"][3], b["box"][3]) - max(a["box"][1], b["box"][1])
    both = max(w, 0) * max(h, 0)
    one, two = (max(sides(r)[0], 0) * max(sides(r)[1], 0) for r in (a, b))
    return both / (one + two - both) if one + two - both > 0 else 0.0


def overlapping(rows: list[Row], *, same: bool) -> Found:
    """Pairs of the same or of different classes that lie on each other: the later one first."""
    found = set()
    for a, b in combinations(rows, 2):
        comparable = a["row"] == b["row"] and a["origin"] == b["origin"] and not a["crowd"] and not b["crowd"]
        if comparable and max(a["kind"], b["kind"]) < AREAL and (a["class_id"] == b["class_id"]) == same:
            value = iou(a, b)
            if value > 0.95 if same else value >= 0.95:
                found.add((b["object"], a["object"]))
    return found


def near_duplicate(rows: list[Row]) -> Found:
    return overlapping(rows, same=True)


def conflicting_classes(rows: list[Row]) -> Found:
    return overlapping(rows, same=False)


def duplicate_ann_id(rows: list[Row]) -> Found:
    """The first record of a file keeps its id; one object may be followed through frames, and one record hold many shapes."""
    found, first, frames = set(), {}, set()
    for r in sorted(rows, key=lambda r: r["record"]):
        key = r["origin"], r["file"], r["source_id"]
        one = first.setdefault(key, r)
        followed = r["track"] is not None and r["track"] == one["track"] and (*key, r["frame"]) not in frames
        unnamed = r["record"] == one["record"] and r["source_id"] in (str(r["record"]), f"record-{r['record']}")
        if one is not r and not followed and not unnamed:
            found.add((r["object"], one["object"]))
        frames.add((*key, r["frame"]))
    return found


def ann_id_zero(rows: list[Row]) -> Found:
    return {(r["object"],) for r in rows if r["origin"] == 0 and r["source_id"] == "0"}


def dt_missing_score(rows: list[Row]) -> Found:
    return {(r["object"],) for r in rows if r["origin"] > 0 and r["score"] is None}


def dt_score_out_of_range(rows: list[Row]) -> Found:
    return {(r["object"],) for r in rows if r["origin"] > 0 and r["score"] is not None and not 0 <= r["score"] <= 1}


def crowd_present(rows: list[Row]) -> Found:
    return {(r["object"],) for r in rows if r["crowd"]}


def track_class_change(rows: list[Row]) -> Found:
    tracks: dict[tuple[object, ...], list[Row]] = {}
    for r in rows:
        if r["track"] is not None and r["in_frame"]["sequence"] != "":
            tracks.setdefault((r["origin"], r["in_frame"]["sequence"], r["track"]), []).append(r)
    found = set()
    for track in tracks.values():
        track.sort(key=lambda r: r["in_frame"]["position"])
        found |= {(b["object"], a["object"]) for a, b in pairwise(track) if a["class_id"] != b["class_id"]}
    return found


OF_OBJECTS = (
    degenerate_bbox,
    zero_area,
    bbox_out_of_bounds,
    extreme_aspect_ratio,
    tiny_box,
    area_mismatch,
    near_duplicate,
    conflicting_classes,
    duplicate_ann_id,
    ann_id_zero,
    dt_missing_score,
    dt_score_out_of_range,
    crowd_present,
    track_class_change,
)


def labels_per_class(dataset) -> list[int]:
    """Objects and answers of the labels, class by class."""
    marks = [row for table in (dataset.objects, dataset.classifications) for row in table.to_pylist()]
    return [sum(row["origin"] == 0 and row["class_id"] == i for row in marks) for i in range(len(dataset.classes))]


def unlabeled_image(dataset) -> Found:
    marks = [row for table in (dataset.objects, dataset.classifications) for row in table.to_pylist()]
    known = {row["frame"] for row in marks if row["origin"] == 0}
    if not known and not any(row["labelled"] for row in dataset.frames.to_pylist()):
        return set()
    return {(row["frame"],) for row in dataset.frames.to_pylist() if row["frame"] not in known}


def evenness(counts: list[int]) -> float | None:
    total = sum(counts)
    if len(counts) < 2 or not total:
        return None
    return -sum(n / total * log2(n / total) for n in counts if n) / log2(len(counts))


def undersampled(counts: list[int]) -> list[bool]:
    ordered = sorted(counts)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return [n <= middle / 2 for n in counts]


# Rings.


Point = tuple[Fraction | int, Fraction | int]


def cross(o: Point, a: Point, b: Point) -> Fraction | int:
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def on_segment(p: Point, a: Point, b: Point) -> bool:
    inside = all(min(a[i], b[i]) <= p[i] <= max(a[i], b[i]) for i in (0, 1))
    return inside and cross(a, b, p) == 0


def meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether two edges share a point."""
    apart = cross(a, b, c) * cross(a, b, d) < 0 and cross(c, d, a) * cross(c, d, b) < 0
    return apart or on_segment(a, c, d) or on_segment(b, c, d) or on_segment(c, a, b) or on_segment(d, a, b)


def ring_crosses(points: list[tuple[float, float]]) -> bool:
    """Whether a ring crosses or touches itself, in exact numbers; one of less than three different points is no ring."""
    exact = int if all(v == int(v) for point in points for v in point) else Fraction
    ring = [(exact(x), exact(y)) for x, y in points]
    ring = [p for i, p in enumerate(ring) if p != ring[i - 1]]
    if len(set(ring)) < 3:
        return False
    edges = list(zip(ring, [*ring[1:], ring[0]], strict=True))
    for i, j in combinations(range(len(edges)), 2):
        (a, b), (c, d) = edges[i], edges[j]
        if j == i + 1 or (i == 0 and j == len(edges) - 1):  # neighbors may share the corner between them and no more
            corner, one, two = (b, a, d) if j == i + 1 else (a, b, c)
            if cross(corner, one, two) == 0 and (on_segment(one, corner, two) or on_segment(two, corner, one)):
                return True
        elif meet(a, b, c, d):
            return True
    return False
