"""Figures from the tables of weighted sets: a few sets at a time, these over threads, and sums in NumPy's order."""

from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int32, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.kernels.threads import spread
from gpu_quality.kernels.weighted import Figure, Means, Stored, cpu
from gpu_quality.kernels.weighted.plan import TIED, Area, plan

LANES: Final = 32
"""Sets computed together: as many doubles as one pass of a compiled loop takes."""
BUDGET: Final = 64 << 20
"""Bytes of tables that a thread may hold; with many classes fewer sets are computed together."""
_AT_ONCE: Final = 128
"""Sets whose weights are added up together."""

Floats = NDArray[np.float64]


class _Group(NamedTuple):
    """Figures that come from one part of a table: the columns of the result they fill, and their classes (-1 = mean of all)."""

    recall: bool
    thresholds: tuple[int, ...]
    limit: int
    columns: NDArray[np.int64]
    class_rows: NDArray[np.int64]


class _Layout(NamedTuple):
    """What does not depend on weights."""

    areas: list[Area]
    groups: list[list[_Group]]
    class_first: NDArray[np.int64]
    frame: NDArray[np.int32]
    recalls: Floats
    limits: int
    zero: bool

    @property
    def thresholds(self) -> int:
        return len(self.areas[0].run_first)

    @property
    def entries(self) -> int:
        """Doubles of the table of one set."""
        return self.thresholds * len(self.recalls) * (len(self.class_first) - 1)


def means(
    stored: Stored,
    figures: tuple[Figure, ...],
    recalls: Float64[Tensor, " r"],
    max_detections: tuple[int, ...],
    *,
    zero: bool,
) -> Means:
    """A function from weights to figures; see ``kernels.weighted``."""
    layout = _Layout(
        areas=plan(stored, max_detections),
        groups=[_groups(figures, a) for a in range(len(stored.label_ignored))],
        class_first=stored.ranked[0].class_offset.numpy(),
        frame=stored.frame.numpy().astype(np.int32),
        recalls=recalls.numpy(),
        limits=len(max_detections),
        zero=zero,
    )

    def function(weights: Int32[Tensor, "r n"]) -> Float64[Tensor, "r v"]:
        given, out = weights.cpu().numpy(), np.full((len(weights), len(figures)), np.nan)
        scratch: list[Floats] = []
        lanes = max(1, min(LANES, BUDGET // (8 * max(layout.entries, 1))))

        def work(start: int) -> None:
            _some(layout, given[start : start + lanes], out[start : start + lanes], scratch)

        spread(work, range(0, len(out), lanes))
        return torch.from_numpy(out)

    return function


def group_sums(
    frame: Int64[Tensor, " p"], first: Int64[Tensor, " k_plus_1"], weights: Int32[Tensor, "r n"]
) -> Float64[Tensor, "k r"]:
    """Weights added up by group; see ``kernels.weighted``."""
    out = np.zeros((len(first) - 1, len(weights)))
    given, members, edges = weights.numpy(), frame.numpy().astype(np.int32), first.numpy()

    def work(start: int) -> None:
        chosen = slice(start, start + _AT_ONCE)
        part = np.zeros((len(out), len(given[chosen])))
        cpu.sums(edges, members, np.ascontiguousarray(given[chosen].T, np.float64), part)
        out[:, chosen] = part

    spread(work, range(0, len(given), _AT_ONCE))
    return torch.from_numpy(out)


def _groups(figures: tuple[Figure, ...], area: int) -> list[_Group]:
    """The figures of a size range by the part of the tables that they are made from."""
    parts: dict[tuple[bool, tuple[int, ...], int], list[int]] = {}
    for column, figure in enumerate(figures):
        if figure.area == area:
            parts.setdefault((figure.recall, figure.thresholds, figure.limit if figure.recall else -1), []).append(column)
    return [
        _Group(*part, np.array(columns), np.array([figures[column].class_row for column in columns]))
        for part, columns in parts.items()
    ]


def _some(layout: _Layout, given: NDArray[np.int32], out: Floats, scratch: list[Floats]) -> None:
    """All figures of a few sets; `scratch` holds memory that no thread uses now."""
    lanes, classes = len(given), len(layout.class_first) - 1
    weights = np.ascontiguousarray(given.T, np.float64)
    positives = np.zeros((len(layout.areas), classes, lanes))
    for area, own in zip(layout.areas, positives, strict=True):
        cpu.sums(area.label_first, area.label_frame, weights, own)
    shown = positives > 0
    if layout.zero:
        detections = np.zeros((classes, lanes))
        cpu.sums(layout.class_first, layout.frame, weights, detections)
        shown |= (positives == 0).all(0) & (detections > 0)
    table = _taken(scratch, lanes, layout.entries)
    recall = np.empty((lanes, layout.limits, layout.thresholds * classes))
    for area, groups, own, seen in zip(layout.areas, layout.groups, positives, shown, strict=True):
        if groups:
            cpu.area_tables(tuple(area[2:]), _rooms(area, given, own), weights, own, seen, layout.recalls, table, recall)
            for g in range(lanes):
                _means(groups, table[g], recall[g], seen[:, g], (layout.thresholds, len(layout.recalls)), out[g])
    scratch.append(table)


def _taken(scratch: list[Floats], lanes: int, entries: int) -> Floats:
    """A table that was used before, if there is one of this size."""
    try:
        table = scratch.pop()
    except IndexError:  # other threads have them all
        return np.empty((lanes, entries))
    return table if len(table) == lanes else np.empty((lanes, entries))


def _rooms(area: Area, given: NDArray[np.int32], positives: Floats) -> tuple[int, int, int]:
    """How much of everything one class needs at most: regular predictions, records, labels."""
    runs = np.diff(area.run_first, axis=1)
    tied = np.diff(area.run_edge)[area.run_kind == TIED].sum() * int(given.max(initial=0))
    return (
        int(np.diff(area.regular_first).max(initial=0)) + 1,
        int(runs.max(initial=0)) + int(tied) + 1,
        int(positives.max(initial=0)) + cpu.WIDE + 1,
    )


def _means(
    groups: list[_Group], table: Floats, recall: Floats, seen: NDArray[np.bool_], size: tuple[int, int], out: Floats
) -> None:
    """The figures of one set in one size range, summed by NumPy in the order of its tables."""
    thresholds, recalls = size
    classes = int(seen.sum())
    column = np.where(seen, np.cumsum(seen) - 1, -1)
    for group in groups:
        if group.recall:
            part = recall[group.limit, : thresholds * classes].reshape(thresholds, 1, classes)
        else:
            part = table[: thresholds * recalls * classes].reshape(thresholds, recalls, classes)
        part = part if len(group.thresholds) == thresholds else part[list(group.thresholds)]
        if not part.size:
            continue
        flat = part.reshape(-1, classes)
        for place in group.columns[group.class_rows < 0]:
            out[place] = np.add.reduce(flat.reshape(-1)) / flat.size  # what `mean` does, without its overhead
        each = group.class_rows >= 0
        if each.any():
            own = column[group.class_rows[each]]
            by_class = np.ascontiguousarray(flat.T).mean(1)
            out[group.columns[each]] = np.where(own >= 0, by_class[own], np.nan)
