"""Classes that are kinds of other classes: a car is a vehicle, so a label of a car is one of a vehicle too."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from gpu_quality.errors import UsageError


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """All ancestors and all descendants of each class k as CSR, each once, by rising row."""

    ancestor_offset: Int64[Tensor, " k_plus_1"]
    ancestor: Int64[Tensor, " a"]
    descendant_offset: Int64[Tensor, " k_plus_1"]
    descendant: Int64[Tensor, " a"]

    def upward(self, class_id: Int64[Tensor, " n"]) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]:
        """Rows and classes of the given entries, each followed by copies for its ancestors."""
        return _expanded(class_id, self.ancestor_offset, self.ancestor)

    def downward(self, class_id: Int64[Tensor, " n"]) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]:
        """Rows and classes of the given entries, each followed by copies for its descendants."""
        return _expanded(class_id, self.descendant_offset, self.descendant)


def hierarchy(parents: Iterable[tuple[int, int]], classes: int) -> Hierarchy:
    """The hierarchy that pairs (class, parent) of class rows span; a class may have several parents.

    Raises
    ------
    UsageError
        A row is no class, or a class is its own ancestor.
    """
    above: dict[int, set[int]] = {k: set() for k in range(classes)}
    for child, parent in parents:
        if not (0 <= child < classes and 0 <= parent < classes):
            raise UsageError(f"hierarchy: ({child}, {parent}) is no pair of classes; there are rows 0 to {classes - 1}")
        above[child].add(parent)
    try:
        order = list(TopologicalSorter(above).static_order())  # parents first
    except CycleError as error:
        loop = " -> ".join(str(row) for row in error.args[1])
        raise UsageError(f"hierarchy: a class is its own ancestor: {loop}") from error
    below: dict[int, set[int]] = {k: set() for k in range(classes)}
    for k in order:
        above[k] |= {far for near in above[k] for far in above[near]}
        for ancestor in above[k]:
            below[ancestor].add(k)
    return Hierarchy(*_csr(above), *_csr(below))


def from_tree(tree: Mapping[str, Any], rows: Mapping[str, int]) -> Hierarchy:
    """The hierarchy in Open Images' form: nested ``{"LabelName": name, "Subcategory": [...]}``; parts are no kinds.

    `rows` maps names to class rows 0..k-1. Names that are no class, such as the root, pass on what is below them.

    Raises
    ------
    UsageError
        A node has no name, or a class is its own ancestor.
    """
    return hierarchy(_edges(tree, None, rows), max(rows.values(), default=-1) + 1)


def _edges(node: Mapping[str, Any], parent: int | None, rows: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """Pairs (class, nearest ancestor that is a class) of a tree."""
    if "LabelName" not in node:
        raise UsageError(f"hierarchy: a node has no LabelName, only {', '.join(node) or 'nothing'}")
    own = rows.get(node["LabelName"])
    if own is not None and parent is not None:
        yield own, parent
    for child in node.get("Subcategory", ()):
        yield from _edges(child, parent if own is None else own, rows)


def _csr(sets: Mapping[int, set[int]]) -> tuple[Int64[Tensor, " k_plus_1"], Int64[Tensor, " a"]]:
    offset = torch.tensor([0, *(len(members) for members in sets.values())]).cumsum(0)
    return offset, torch.tensor([row for members in sets.values() for row in sorted(members)], dtype=torch.int64)


def _expanded(
    class_id: Int64[Tensor, " n"], offset: Int64[Tensor, " k_plus_1"], members: Int64[Tensor, " a"]
) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]:
    """Each entry, and behind it one for each member of its class."""
    count = offset.diff()[class_id] + 1
    rows = torch.repeat_interleave(torch.arange(len(class_id)), count)
    inside = torch.arange(len(rows)) - (count.cumsum(0) - count)[rows]
    other = members[(offset[class_id[rows]] + inside - 1).clamp(min=0)] if len(members) else class_id[rows]
    return rows, torch.where(inside == 0, class_id[rows], other)
