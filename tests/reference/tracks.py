"""Metrics over time as slow, obvious loops over plain lists: the readable definitions. Null is None, with a reason."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.reference.geometry import iou as box_iou

Answer = tuple[float | None, str]
"""A value, or None and why."""


@dataclass(frozen=True)
class Thing:
    """One object: its frame, box, class and track (-1 none), and why it takes no part ("" it does)."""

    frame: int
    box: tuple[float, float, float, float]
    class_id: int = 0
    track: int = -1
    excluded: str = ""


@dataclass(frozen=True)
class Video:
    """Everything that a metric over time sees."""

    things: Sequence[Thing]
    sequence: Sequence[int]
    position: Sequence[int]
    max_gap: int = 0
    overlap: Callable[[int, int], float] | None = None

    def iou(self, i: int, j: int) -> float:
        if self.overlap is not None:
            return self.overlap(i, j)
        return box_iou(self.things[i].box, self.things[j].box)

    def in_order(self, sequence: int) -> list[int]:
        """Frames of one sequence in order of position."""
        rows = [row for row, own in enumerate(self.sequence) if own == sequence]
        return sorted(rows, key=lambda row: (self.position[row], row))

    def parts(self) -> list[list[int]]:
        """Unbroken runs of neighboring frames; every lone image is one."""
        found = [[row] for row, own in enumerate(self.sequence) if own < 0]
        for sequence in sorted({own for own in self.sequence if own >= 0}):
            run: list[int] = []
            for row in self.in_order(sequence):
                if run and self.max_gap and self.position[row] - self.position[run[-1]] > self.max_gap:
                    found.append(run)
                    run = []
                run.append(row)
            found.append(run)
        return found

    def part_of(self, frame: int) -> list[int]:
        return next(part for part in self.parts() if frame in part)

    def before(self, frame: int, steps: int = 1) -> int | None:
        """The frame so many places before, or None."""
        part = self.part_of(frame)
        place = part.index(frame) - steps
        return part[place] if 0 <= place < len(part) else None

    def best(self, o: int, frame: int | None, *, same_class: bool) -> tuple[float, int]:
        """Largest overlap of object o with one of a frame, and its row: the lowest on ties; 0 and -1 if none."""
        found = (0.0, -1)
        for q, other in enumerate(self.things):
            if other.frame != frame or other.excluded or (same_class and other.class_id != self.things[o].class_id):
                continue
            if self.iou(o, q) > found[0]:
                found = (self.iou(o, q), q)
        return found

    def tracks(self) -> list[list[int]]:
        """Objects of every track that take part, in order of time."""
        keys = {(self.sequence[t.frame], t.track) for t in self.things if not t.excluded and t.track >= 0}
        found = []
        for sequence, track in sorted(key for key in keys if key[0] >= 0):
            frames = self.in_order(sequence)
            members = [i for i, t in enumerate(self.things) if self.sequence[t.frame] == sequence and t.track == track]
            members = [i for i in members if not self.things[i].excluded]
            found.append(sorted(members, key=lambda i: (frames.index(self.things[i].frame), i)))
        return found

    def untracked(self, i: int) -> bool:
        return self.things[i].track < 0 or self.sequence[self.things[i].frame] < 0


def consistency(video: Video) -> list[tuple[float | None, int | None, str]]:
    """Value and code of every object."""
    found: list[tuple[float | None, int | None, str]] = []
    for o, thing in enumerate(video.things):
        before = video.before(thing.frame)
        if thing.excluded or before is None:
            found.append((None, None, thing.excluded or "first_frame"))
            continue
        overlap, q = video.best(o, before, same_class=False)
        other = video.things[q]
        same_track = thing.track >= 0 and thing.track == other.track
        if overlap > 0.8 and not same_track and thing.class_id != other.class_id:
            found.append((1 - overlap, 1, ""))
        elif overlap > 0.8 and not same_track and thing.track != other.track:
            found.append((1 - overlap, 2, ""))
        else:
            found.append((1.0, 0, ""))
    return found


def continuity(video: Video) -> list[tuple[float | None, int | None, str]]:
    """Value of every object, and the frame that lacks it."""
    value: list[float] = [1.0] * len(video.things)
    missing: list[int | None] = [None] * len(video.things)
    for o, thing in enumerate(video.things):
        if thing.excluded:
            continue
        a, oldest = video.best(o, video.before(thing.frame, 2), same_class=True)
        if a < 0.25:
            continue
        between = video.before(thing.frame)
        b, middle = video.best(o, between, same_class=True)
        if b > 0.5:
            if not thing.track == video.things[oldest].track == video.things[middle].track:
                value[o] = min(value[o], 0.5)
        else:
            value[oldest], missing[oldest] = 0.0, between
    found: list[tuple[float | None, int | None, str]] = []
    for o, thing in enumerate(video.things):
        short = "too_few_samples" if len(video.part_of(thing.frame)) < 3 else ""
        reason = thing.excluded or short
        found.append((None, None, reason) if reason else (value[o], missing[o], ""))
    return found


def occlusion(video: Video) -> list[Answer]:
    found: list[Answer] = [(None, thing.excluded or "no_track") for thing in video.things]
    for members in video.tracks():
        if len({video.things[i].frame for i in members}) < 5:
            for i in members:
                found[i] = (None, "short_track")
            continue
        sides = [(b[2] - b[0], b[3] - b[1]) for b in (video.things[i].box for i in members)]
        scaled = []
        for values in ([w * h for w, h in sides], [w / h for w, h in sides]):
            low, high = min(values), max(values)
            scaled.append([(v - low) / (high - low) if high - low > 1e-9 * high else 0.0 for v in values])
        means = [sum(values) / len(values) for values in scaled]
        for i, size, form in zip(members, *scaled, strict=True):
            away = math.hypot(size - means[0], form - means[1])
            found[i] = (away if size < means[0] else 0.0, "")
    return found


def jitter(video: Video) -> list[Answer]:
    found: list[Answer] = [(None, thing.excluded or "no_track") for thing in video.things]
    for members in video.tracks():
        for i in members:
            part = video.part_of(video.things[i].frame)
            place = part.index(video.things[i].frame)
            sides = []
            for other in (place - 1, place + 1):
                frame = part[other] if 0 <= other < len(part) else None
                sides.append(next((j for j in members if video.things[j].frame == frame), None))
            if None in sides:
                found[i] = (None, "short_track")
                continue
            box, before, after = (video.things[j].box for j in (i, *(s for s in sides if s is not None)))
            total = sum((box[k] - (before[k] + after[k]) / 2) ** 2 for k in range(4))
            found[i] = (math.sqrt(total / 4) / math.sqrt((box[2] - box[0]) * (box[3] - box[1])), "")
    return found
