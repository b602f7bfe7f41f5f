"""MOT challenge: tracks of numbered frames, ``frame, id, left, top, width, height, confidence, …``.

Files of ten numbers (MOT15, and results) end in a place in the world; files of nine (MOT16 and later) in class and visibility.
Frames and pixels count from 1 there, from 0 here.
"""

from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations import Builder, ObjectColumns
from gpu_quality.annotations.columns import Floats
from gpu_quality.data.formats.label_files import Place, adopt_images, glance
from gpu_quality.data.formats.mot_files import Sequence, find_sequences
from gpu_quality.data.formats.number_lines import Lines, is_number, pieces, table
from gpu_quality.data.formats.sequences import MOST_FRAMES, Sequences, place, usable, whole
from gpu_quality.data.formats.text_lines import lines
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader

CLASSES: Final = {
    1: "pedestrian",
    2: "person on vehicle",
    3: "car",
    4: "bicycle",
    5: "motorbike",
    6: "non motorized vehicle",
    7: "static person",
    8: "distractor",
    9: "occluder",
    10: "occluder on the ground",
    11: "occluder full",
    12: "reflection",
    13: "crowd",
}
"""Class numbers of MOT16 and later. Source: Milan et al., MOT16: A Benchmark for Multi-Object Tracking, annotation classes."""
PERSON: Final = "person"
"""Class of files without one, unless the labels say pedestrian."""
_ENOUGH: Final = 200_000
"""Lines that become columns at a time."""


def looks_like_mot(path: Path) -> bool:
    """Whether the path is, or leads to, text files of six to ten numbers with commas between, frame and track in front."""
    try:
        found = find_sequences(path, Builder(), set(), labels=True) if path.exists() else []
    except (UsageError, OSError):
        return False
    words = [" ".join(line) for sequence in found[:3] for line in glance(sequence.tracks)]
    return bool(words) and all(map(_is_line, words))


def _is_line(line: str) -> bool:
    words = line.split(",")
    numbers = [float(word) for word in words if is_number(word)]
    whole_ids = (
        6 <= len(words) <= 10 and len(numbers) == len(words) and all(n == round(n) for n in numbers[:2] if abs(n) < 1e12)
    )
    return whole_ids and 1 <= numbers[0] < 1e9


@reader("mot", guess=looks_like_mot)
def read(path: Path, builder: Builder, origin: str) -> None:
    """MOT challenge tracks: a gt.txt or result file, a folder of sequences, or a folder of files named after sequences.

    All frames up to seqLength, else up to the last one named, exist and are labelled. A label whose confidence is 0 is a region
    to ignore: crowd. Ids below 0 are no tracks; a confidence of -1 is none. A wrong line becomes an error row.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint="give a gt.txt or a folder of sequences")
    builder.add_origin(origin)
    known = {key[0] for key in builder.image_rows if isinstance(key, tuple)}
    found = find_sequences(path, builder, known, labels=origin == "labels")
    places = [Place(sequence.images, sequence.split) for sequence in found if sequence.images is not None]
    folder = path if path.is_dir() else path.parent
    adopt_images(builder, folder if len(found) > 1 else _above(found[0]) or folder, places)
    sequences = Sequences(builder, 1)
    for sequence in found:
        _Tracks(sequence, sequences, builder, origin).read()


def _above(sequence: Sequence) -> Path | None:
    """The folder above that of a sequence with images, so that ids of frames start with the sequence."""
    return next((p.parent for p in sequence.tracks.parents if p.name == sequence.name), None)


class _Tracks:
    """One sequence of one origin while it is read."""

    def __init__(self, sequence: Sequence, sequences: Sequences, builder: Builder, origin: str) -> None:
        self.sequence, self.sequences, self.builder = sequence, sequences, builder
        self.origin, self.labels = origin, origin == "labels"
        self.file = "/".join(
            sequence.tracks.parts[-3:] if sequence.tracks.parent.name in ("gt", "det") else (sequence.tracks.name,)
        )
        self.names = CLASSES
        named = sequence.tracks.with_name("labels.txt")
        if named.is_file() and named != sequence.tracks:
            self.names = {number: line.strip() for number, line in lines(named) if line.strip()}

    def read(self) -> None:
        """All lines of the sequence."""
        last = self.sequence.length
        for piece in pieces(lines(self.sequence.tracks), _ENOUGH):
            last = max(last, self.add(piece))
        if self.labels:
            numbers = sorted({*range(1, last + 1), *self.sequences.numbers(self.sequence.name)})
            self.sequences.label(self.sequence.name, numbers, self.sequence.rate, (self.sequence.width, self.sequence.height))

    def add(self, piece: list[tuple[int, str]]) -> int:
        """Objects of some lines; returns the highest number of a frame."""
        found = Lines()
        for number, line in piece:
            words = [word.strip() for word in line.split(",")] if "," in line else line.split()
            if 6 <= len(words) <= 10:
                found.add(self.file, number, -1, words[7] if len(words) in (8, 9) else "", words)
            elif words:
                found.refuse(self.file, number, -1, f"the line has {len(words)} values; MOT has 6 to 10")
        numbers = table(found.numbers(), 8)
        frame = whole(numbers[:, 0])
        good = usable(frame, 1)
        for i in np.flatnonzero(found.numbers().count > 0).tolist():
            if not good[i]:
                found.problems[i] = f"frame {numbers[i, 0]:g} is no number of a frame from 1 to {MOST_FRAMES:,}"
            elif numbers[i, 1] != np.round(numbers[i, 1]):
                found.problems[i] = f"track id {numbers[i, 1]:g} is no whole number"
            elif not self.class_name(found.label[i]):
                found.problems[i] = f"class {found.label[i][:80]!r} is no class number"
        last = int(frame[good].max(initial=0))
        rows = self.sequences.rows(self.sequence.name, range(1, last + 1), self.sequence.rate)
        found.frame = place(frame, good, rows, 1)
        if len(found):
            self.builder.add_objects(self.origin, self.file, self.columns(found, numbers), found.problems)
        return last

    def columns(self, found: Lines, numbers: Floats) -> ObjectColumns:
        """Objects of lines."""
        _, track, x, y, w, h, confidence, _ = numbers.T
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused later
            box = np.column_stack([x - 1, y - 1, x - 1 + w, y - 1 + h])
        return ObjectColumns(
            np.array(found.frame, np.int64),
            found.classes(self.class_rows),
            box,
            np.array(found.line, np.int64),
            source_id=[f"{self.sequence.name}:{line}" for line in found.line],
            score=None if self.labels else confidence,
            unscored=None if self.labels else np.isnan(confidence) | (confidence == -1),
            track=np.maximum(whole(track), -1),
            crowd=confidence == 0 if self.labels else None,
            file=found.file,
        )

    def class_rows(self, labels: list[str]) -> list[int]:
        """Rows of the classes that these words stand for."""
        rows: list[int] = self.builder.name_classes([self.class_name(label) for label in labels]).tolist()
        return rows

    def class_name(self, label: str) -> str:
        """Name of a class number; empty where it is none."""
        value = float(label) if is_number(label) else None
        if label == "" or value == -1:
            known = self.builder.classes
            return CLASSES[1] if not self.labels and CLASSES[1] in known and PERSON not in known else PERSON
        if value is None or not 0 <= value < 1e9 or value != round(value):
            return ""
        return self.names.get(int(value), str(int(value)))
