"""Things with a class that are compared with one another: the objects of an origin, or the answers to a question."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from jaxtyping import Bool, Float16, Float64, Int8, Int64
from torch import Tensor

from gpu_quality.features.neighbors import Copies, Neighbors, find_copies, nearest, usable
from gpu_quality.features.tracks import undefined
from gpu_quality.registry import feature
from gpu_quality.types import AREAL, Answers, Index, Objects

OF_CLASS: Final = 50
"""Neighbors of the own class, and of all others, that are kept."""


@dataclass(frozen=True, slots=True)
class ByClass:
    """The nearest of the own class, and the nearest of all other classes."""

    own: Neighbors
    other: Neighbors
    size: Int64[Tensor, " i"]
    """How many items with a vector the own class has."""


@dataclass(frozen=True, slots=True)
class Comparable:
    """Items and the vectors they are compared by. What was searched is remembered, so that no metric searches it again."""

    vectors: Float16[Tensor, "n d"]
    place: Int64[Tensor, " i"]
    """Row of `vectors` of each item."""
    class_id: Int64[Tensor, " i"]
    groups: Mapping[str, Int64[Tensor, " i"]]
    """By name, ids of what may keep two items from being neighbors; -1 is no group."""
    parts: tuple[Int64[Tensor, " p"], ...]
    """Items that may be compared with one another; those in no part are compared with nothing."""
    null: Int8[Tensor, " i"]
    """Why an item is not compared: 0 it is, else 1 + index into ``errors.NULL_REASONS``."""
    index: Index
    _found: dict[tuple[object, ...], Neighbors] = field(default_factory=dict)
    _by_class: list[ByClass] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.place)

    def of(self, rows: Int64[Tensor, " p"]) -> Float16[Tensor, "p d"]:
        """Vectors of some items; nothing is copied for all of them in order."""
        place = self.place[rows]
        whole = len(place) == len(self.vectors) and torch.equal(place, torch.arange(len(place), device=place.device))
        return self.vectors if whole else self.vectors[place]

    def nearest(self, k: int, apart: tuple[str, ...]) -> Neighbors:
        """The k nearest other items of the same part that share none of the groups named in `apart`."""
        if (k, apart) not in self._found:
            found = self._nothing(k)
            for rows in self.parts:
                groups = torch.stack([self.groups[name][rows] for name in apart])
                _place(found, rows, nearest(self.index, self.of(rows), k, groups))
            self._found[k, apart] = found
        return self._found[k, apart]

    def by_class(self) -> ByClass:
        """The 50 nearest of the own and of other classes, inside each part."""
        if not self._by_class:
            self._by_class.append(self._search_by_class())
        return self._by_class[0]

    def copies(self) -> Copies:
        """Items whose vectors are all but equal; only where there is one part with all items in order."""
        found = self.by_class()
        return find_copies(self.index, self.vectors, [found.own, found.other])

    def _search_by_class(self) -> ByClass:
        own, other = self._nothing(OF_CLASS), self._nothing(OF_CLASS)
        size = torch.zeros_like(self.place)
        for rows in self.parts:
            x, classes = self.of(rows), self.class_id[rows]
            _place(other, rows, nearest(self.index, x, OF_CLASS, classes))
            known = usable(self.index, x)
            for class_id in torch.unique(classes).tolist():
                of_class = (classes == class_id).nonzero().flatten()
                size[rows[of_class]] = known[of_class].sum()
                if len(of_class) > 1:
                    _place(own, rows[of_class], nearest(self.index, x[of_class], OF_CLASS))
        return ByClass(own, other, size)

    def _nothing(self, k: int) -> Neighbors:
        shape, device = (len(self), max(k, 0)), self.place.device
        return Neighbors(torch.full(shape, torch.nan, device=device), torch.full(shape, -1, device=device))


def _place(whole: Neighbors, rows: Int64[Tensor, " p"], found: Neighbors) -> None:
    """Write neighbors that count items of a part into those that count all items."""
    whole.distance[rows] = found.distance
    whole.row[rows] = torch.where(found.row >= 0, rows[found.row.clamp(min=0)], -1)


@feature(per="object", over="dataset")
def comparable_objects(
    object_embedding: Float16[Tensor, "o d"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    exact_duplicate_group: Float64[Tensor, " n"],
    index: Index,
) -> Comparable:
    """The objects of one origin by their crops: apart by sequence, by frame, by frames that are exact copies."""
    everything = torch.arange(len(objects))
    groups = {"sequence": sequence[objects.frame], "frame": objects.frame, "copy": _group(exact_duplicate_group)[objects.frame]}
    null = _without_vector(~usable(index, object_embedding), objects)
    return Comparable(object_embedding, everything, objects.class_id.long(), groups, (everything,), null, index)


def _group(duplicates: Float64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Group ids as they come out of another step, NaN for a frame on its own."""
    return torch.where(duplicates.isnan(), -1, duplicates).long()


def _without_vector(gone: Bool[Tensor, " o"], objects: Objects) -> Int8[Tensor, " o"]:
    """Why an object has no vector: lines and points have no crop, nor have boxes without area or outside their frame."""
    spread = (objects.box[:, 2:] > objects.box[:, :2]).all(1)
    line = torch.zeros_like(gone) if objects.shapes is None else objects.shapes.kind >= AREAL
    none = torch.zeros(len(objects), dtype=torch.int8)
    return undefined(none, (gone & line, "unsupported_shape"), (gone & ~spread, "degenerate_geometry"), (gone, "empty_region"))


@feature(per="classification", over="dataset")
def comparable_answers(
    embedding: Float16[Tensor, "n d"],
    answers: Answers,
    sequence: Int64[Tensor, " n"],
    exact_duplicate_group: Float64[Tensor, " n"],
    index: Index,
) -> Comparable:
    """The answers of each origin to each single-choice question, by the frames they are about.

    A question to which some frame has two answers of an origin is a checklist, and compared with nothing (`unsupported_shape`);
    nor are answers about objects (`no_neighbors`).
    """
    groups = {"sequence": sequence[answers.frame], "copy": _group(exact_duplicate_group)[answers.frame]}
    whole = (answers.object < 0).nonzero().flatten()
    parts = []
    checklist = torch.zeros(len(answers), dtype=torch.bool)
    for rows in _asked(answers, whole):
        if len(torch.unique(answers.frame[rows])) == len(rows):
            parts.append(rows)
        else:
            checklist[rows] = True
    unknown = ~usable(index, embedding)[answers.frame]
    null = undefined(
        torch.zeros(len(answers), dtype=torch.int8),
        (checklist, "unsupported_shape"),
        ((answers.object >= 0) | unknown, "no_neighbors"),
    )
    return Comparable(embedding, answers.frame, answers.class_id, groups, tuple(parts), null, index)


def _asked(answers: Answers, rows: Int64[Tensor, " a"]) -> list[Int64[Tensor, " p"]]:
    """The given answers by origin and question."""
    if not len(rows):
        return []
    asked = torch.stack([answers.origin[rows].long(), answers.question[rows]], 1)
    _, which = torch.unique(asked, dim=0, return_inverse=True)
    order = which.sort(stable=True).indices
    return list(torch.split(rows[order], torch.bincount(which).tolist()))
