"""Closest labels, counts and the best predictions on CPU cores: one pass over flat arrays."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numba import njit
from torch import Tensor

from gpu_quality.kernels.errors import Closest, Tally
from gpu_quality.kernels.matching import Cells
from gpu_quality.kernels.threads import spread

CHUNK: Final = 1 << 18
"""Pairs a thread takes at a time, whole cells: about 1 ms."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def keep_best(group, d, overlap, label, value, row):
    """Note a label for prediction `d` if it is better than what is noted, or as good with a lower row."""
    if overlap > value[group, d] or (overlap == value[group, d] and label < row[group, d]):
        value[group, d], row[group, d] = overlap, label


@compiled
def closest_of_cells(begin, end, labels, label_first, predictions, first, classes, regular, taken, overlap, pair, value, row):
    """Best overlaps of the predictions of cells begin .. end: with labels of the class, of others, taken ones of the class."""
    label_class, prediction_class = classes
    for s in range(begin, end):
        q0, q1 = label_first[s], label_first[s + 1]
        for d in range(first[s], first[s + 1]):
            own = prediction_class[predictions[d]]
            at = pair[s] + (d - first[s]) * (q1 - q0)
            for q in range(q0, q1):
                if not regular[q]:
                    continue
                label = labels[q]
                if label_class[label] != own:
                    keep_best(1, d, overlap[at + q - q0], label, value, row)
                    continue
                keep_best(0, d, overlap[at + q - q0], label, value, row)
                if taken[q]:
                    keep_best(2, d, overlap[at + q - q0], label, value, row)


@compiled
def count_all(
    label_of, ignored, iou_at, place, label_ignored, last, label_class, own_class, label_key, own_key, overlap, count, iou
):
    """Count every prediction at every threshold in the last column in which it counts."""
    for t in range(len(label_of)):
        for d in range(len(last)):
            column, label = last[d] - 1, label_of[t, d]
            if column < 0 or ignored[t, d]:
                continue
            if label < 0:
                count[1, own_key[d], t, column] += 1
            elif not label_ignored[place[label]]:
                if label_class[label] == own_class[d]:
                    count[0, own_key[d], t, column] += 1
                    iou[own_key[d], t, column] += overlap[iou_at[d] + place[label]]
                else:
                    count[1, own_key[d], t, column] += 1
                    count[2, label_key[label], t, column] += 1


@compiled
def copy_rows(predictions, first, kept, width, pair, overlap, rows, out):
    """Copy the first predictions of each cell and their overlaps."""
    at = 0
    for s in range(len(kept) - 1):
        n = kept[s + 1] - kept[s]
        rows[kept[s] : kept[s + 1]] = predictions[first[s] : first[s] + n]
        out[at : at + n * width[s]] = overlap[pair[s] : pair[s] + n * width[s]]
        at += n * width[s]


def closest(
    overlap: Float64[Tensor, " pairs"],
    found: Cells,
    label_class: Int64[Tensor, " m"],
    prediction_class: Int64[Tensor, " n"],
    regular: Bool[Tensor, " q"],
    taken: Bool[Tensor, " q"],
) -> Closest:
    """Compare every prediction with the regular labels of its cell; see ``kernels.errors``."""
    tensors = (found.label, found.label_offset, found.prediction, found.prediction_offset)
    columns = [np.ascontiguousarray(tensor.numpy()) for tensor in tensors]
    classes = label_class.numpy(), prediction_class.numpy()
    flags = regular.numpy(), taken.numpy()
    pair = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(columns[1]) * np.diff(columns[3]))])
    value, row = np.full((3, len(columns[2])), -1.0), np.full((3, len(columns[2])), -1, np.int64)
    cuts = np.unique(np.concatenate([np.searchsorted(pair, np.arange(0, pair[-1], CHUNK)), [len(pair) - 1]]))

    def work(cut: tuple[int, int]) -> None:
        closest_of_cells(*cut, *columns, classes, *flags, overlap.numpy(), pair, value, row)

    spread(work, list(pairwise(cuts.tolist())))
    values, rows = torch.from_numpy(value), torch.from_numpy(row)
    return Closest(values[0], rows[0], values[1], rows[1], values[2], rows[2])


def tally(
    given: Tally, overlap: Float64[Tensor, " pairs"], keys: int, columns: int
) -> tuple[Int64[Tensor, "3 k t c"], Float64[Tensor, "k t c"]]:
    """Count predictions; see ``kernels.errors``."""
    shape = keys, len(given.label_of), columns
    count, iou = np.zeros((3, *shape), np.int64), np.zeros(shape)
    count_all(*(np.ascontiguousarray(part.numpy()) for part in (*given, overlap)), count, iou)
    for table in (count, iou):  # a prediction counts in all columns up to its last one
        table[...] = np.cumsum(table[..., ::-1], axis=-1)[..., ::-1]
    return torch.from_numpy(count), torch.from_numpy(iou)


def best_rows(
    overlap: Float64[Tensor, " pairs"], found: Cells, count: Int64[Tensor, " s"]
) -> tuple[Int64[Tensor, " p"], Float64[Tensor, " pairs"]]:
    """The best predictions of every cell; see ``kernels.errors``."""
    width, size = found.label_offset.diff().numpy(), found.prediction_offset.diff().numpy()
    pair, kept = (np.concatenate([np.zeros(1, np.int64), np.cumsum(part)]) for part in (width * size, count.numpy()))
    rows, out = np.empty(kept[-1], np.int64), np.empty(int((count.numpy() * width).sum()))
    copy_rows(found.prediction.numpy(), found.prediction_offset.numpy(), kept, width, pair, overlap.numpy(), rows, out)
    return torch.from_numpy(rows), torch.from_numpy(out)
