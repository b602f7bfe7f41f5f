"""Lines of a class and numbers, of many small files, on their way into columns."""

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np

from gpu_quality.annotations.columns import Bools, Floats, Ints, Problem, Ragged
from gpu_quality.geometry.polygons import offsets

_T = TypeVar("_T")


def pieces(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """The items, so many at a time."""
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece


@dataclass(slots=True)
class Lines:
    """Lines read so far: where each stands, the frame it is about, the word that names its class, its numbers."""

    file: list[str] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    frame: list[int] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    problems: dict[int, Problem | str] = field(default_factory=dict)
    _count: list[int] = field(default_factory=list)
    _values: "array[float]" = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        """Number of lines."""
        return len(self.line)

    def add(self, file: str, line: int, frame: int, label: str, words: Sequence[str]) -> None:
        """One line; where a word is no number the line becomes a problem."""
        try:
            numbers = [float(word) for word in words]
            if "_" in "".join(words):  # Python reads 1_0 as 10, no label tool writes it
                raise ValueError
        except ValueError:
            bad = next(word for word in words if "_" in word or not is_number(word))
            self.problems[len(self)] = f"{bad[:80]!r} is no number"
            numbers = []
        self.file.append(file)
        self.line.append(line)
        self.frame.append(frame)
        self.label.append(label)
        self._count.append(len(numbers))
        self._values.extend(numbers)

    def refuse(self, file: str, line: int, frame: int, problem: Problem | str) -> None:
        """A line that cannot be used."""
        self.problems[len(self)] = problem
        self.add(file, line, frame, "", [])

    def numbers(self) -> Ragged:
        """The numbers of every line, none for a line with a problem."""
        return Ragged(offsets(np.array(self._count, np.int64)), np.array(self._values, np.float64))

    def sources(self) -> list[str]:
        """Ids of the lines' objects: ``file:line``."""
        return [f"{file}:{line}" for file, line in zip(self.file, self.line, strict=True)]

    def classes(self, rows_of: Callable[[list[str]], Iterable[int]]) -> Ints:
        """Class rows of all lines, -1 where a line has a problem; `rows_of` gives those of the labels that occur, each once."""
        good = {label for i, label in enumerate(self.label) if i not in self.problems}
        labels = sorted(good)
        known = dict(zip(labels, rows_of(labels), strict=True))
        found = (-1 if i in self.problems else known[label] for i, label in enumerate(self.label))
        return np.fromiter(found, np.int64, len(self))


def is_number(word: str) -> bool:
    """Whether a word is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def table(numbers: Ragged, width: int) -> Floats:
    """The first `width` numbers of every row as columns, NaN where a row has fewer."""
    out = np.full((len(numbers), width), math.nan)
    for i in range(width):
        has = numbers.count > i
        out[has, i] = numbers.values[numbers.offset[:-1][has] + i]
    return out


def heads(numbers: Ragged, length: Ints) -> Ragged:
    """The first `length` numbers of every row, each with a length of its own."""
    within = np.arange(len(numbers.values)) - np.repeat(numbers.offset[:-1], numbers.count)
    return Ragged(offsets(length), numbers.values[within < np.repeat(length, numbers.count)])


def lasts(numbers: Ragged, wanted: Bools) -> Floats:
    """The last number of the wanted rows, NaN for the others."""
    out = np.full(len(numbers), math.nan)
    out[wanted] = numbers.values[numbers.offset[1:][wanted] - 1]
    return out
