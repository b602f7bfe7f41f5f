"""Cells, overlaps and matching in plain torch, on any device: the definition of the fast kernels, and the path of CUDA."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

from gpu_quality.kernels.matching import Cells, Found, Rules, Sides


def cells(
    label_frame: Int64[Tensor, " m"],
    label_class: Int64[Tensor, " m"],
    prediction_frame: Int64[Tensor, " n"],
    prediction_class: Int64[Tensor, " n"],
    score: Float64[Tensor, " n"],
    pooled: bool,  # noqa: FBT001
    limit: int | None,
) -> Cells:
    """Sort rows into cells; see ``kernels.matching``."""
    frames = int(torch.cat([label_frame, prediction_frame, label_frame.new_zeros(1)]).max()) + 1
    labels = _sorted([label_class, label_frame] if pooled else [label_frame, label_class])
    order = [prediction_class, -score, prediction_frame] if pooled else [-score, prediction_frame, prediction_class]
    predictions = _sorted(order)
    label_key = label_frame[labels] + (0 if pooled else label_class[labels] * frames)
    key = prediction_frame[predictions] + (0 if pooled else prediction_class[predictions] * frames)
    known = torch.unique(torch.cat([label_key, key]))
    if limit is not None:
        kept = torch.arange(len(key), device=key.device) - torch.searchsorted(key, key) < limit
        predictions, key = predictions[kept], key[kept]
    offsets = [torch.cat([known.new_zeros(1), torch.searchsorted(side, known, right=True)]) for side in (key, label_key)]
    frame, class_id = (known, torch.full_like(known, -1)) if pooled else (known % frames, known // frames)
    return Cells(frame, class_id, predictions, offsets[0], labels, offsets[1])


def _sorted(keys: list[Tensor]) -> Int64[Tensor, " n"]:
    """Rows by the last key, then by the one before it, and so on; as they are where all are equal."""
    order = torch.arange(len(keys[0]), device=keys[0].device)
    for key in keys:
        order = order[torch.sort(key[order], stable=True).indices]
    return order


def outside(
    rows: Int64[Tensor, " p"],
    area: Float64[Tensor, " n"],
    class_id: Int64[Tensor, " n"],
    low: Float64[Tensor, "a k"],
    high: Float64[Tensor, "a k"],
    ignored: Bool[Tensor, " n"] | None,
) -> Bool[Tensor, "a p"]:
    """Members of the cells outside size ranges; see ``kernels.matching``."""
    column = class_id[rows] if low.shape[1] > 1 else torch.zeros_like(rows)
    out = (area[rows] < low[:, column]) | (area[rows] > high[:, column])
    return out if ignored is None else out | ignored[rows]


def ranks(offset: Int64[Tensor, " s_plus_1"]) -> Int32[Tensor, " p"]:
    """Place of every member in its cell; see ``kernels.matching``."""
    first = torch.repeat_interleave(offset[:-1], offset.diff())
    return (torch.arange(len(first), device=offset.device) - first).int()


def _pairs(found: Cells) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]:
    """Places of the prediction and of the label of every pair."""
    device = found.label.device
    many, own = found.prediction_offset.diff(), found.label_offset.diff()
    cell = torch.repeat_interleave(torch.arange(len(many), device=device), many)  # [p]
    width = own[cell]
    prediction = torch.repeat_interleave(torch.arange(len(cell), device=device), width)
    start = torch.repeat_interleave(width.cumsum(0) - width, width)
    label = found.label_offset[:-1][cell][prediction] + torch.arange(len(prediction), device=device) - start
    return prediction, label


def box_overlaps(
    label_box: Float64[Tensor, "m 4"],
    prediction_box: Float64[Tensor, "n 4"],
    crowd: Bool[Tensor, " m"],
    found: Cells,
    inclusive: bool,  # noqa: FBT001
) -> Float64[Tensor, " pairs"]:
    """Overlaps of all pairs; see ``kernels.matching``."""
    places, others = _pairs(found)
    rows, label_rows = found.prediction[places], found.label[others]
    p, q = prediction_box[rows], label_box[label_rows]
    p_side, q_side = (side[:, 2:] + 1.0 if inclusive else side[:, 2:] for side in (p, q))
    wide = torch.minimum(p_side + p[:, :2], q_side + q[:, :2]) - torch.maximum(p[:, :2], q[:, :2])  # [pairs, 2]
    both, area = wide.prod(1), p_side.prod(1)
    union = torch.where(crowd[label_rows], area, area + q_side.prod(1) - both)
    return torch.where((wide > 0).all(1) & (union > 0), both / union, 0.0)


class _Candidates(NamedTuple):
    """Predictions with a label in reach, and those labels from the best on, padded with overlap -1."""

    place: Int64[Tensor, " m"]
    turn: Int64[Tensor, " m"]
    """How many predictions of the cell choose before."""
    label: Int64[Tensor, "m c"]
    overlap: Float64[Tensor, "m c"]


def _candidates(overlap: Float64[Tensor, " pairs"], found: Cells, rules: Rules) -> _Candidates:
    """Pairs that reach the lowest threshold, by prediction, overlap and the tie rule."""
    near = (overlap >= torch.minimum(rules.need.min(), rules.need_ignored.min())).nonzero().flatten()
    prediction, label = (side[near] for side in _pairs(found))
    value = overlap[near]
    order = _sorted([-label if rules.last else label, -value, prediction])
    prediction, label, value = prediction[order], label[order], value[order]
    place, row, many = torch.unique_consecutive(prediction, return_inverse=True, return_counts=True)
    column = torch.arange(len(row), device=row.device) - (many.cumsum(0) - many)[row]
    shape = len(place), int(many.max()) if len(many) else 0
    labels, overlaps = label.new_zeros(shape), value.new_full(shape, -1.0)
    labels[row, column], overlaps[row, column] = label, value
    cell = torch.searchsorted(found.prediction_offset, place, right=True)
    turn = torch.arange(len(cell), device=cell.device) - torch.searchsorted(cell, cell)
    return _Candidates(place, turn, labels, overlaps)


def by_score(overlap: Float64[Tensor, " pairs"], found: Cells, sides: Sides, rules: Rules) -> Found:
    """Matching in order of score; see ``kernels.matching``. The first predictions of all cells choose together."""
    a, t = len(sides.label_ignored), len(rules.need)
    label_of = torch.full((a, t, len(found.prediction)), -1, dtype=torch.int32, device=overlap.device)
    prediction_of = torch.full((a, t, len(found.label)), -1, dtype=torch.int32, device=overlap.device)
    hidden = torch.zeros_like(label_of, dtype=torch.bool)
    near = _candidates(overlap, found, rules)
    order = torch.argsort(near.turn, stable=True)
    for own in torch.split(order, torch.bincount(near.turn).tolist()):
        place, label = near.place[own], near.label[own]
        column, had, unheard = _choices(near.overlap[own], label, prediction_of >= 0, sides, rules)
        chosen = label.expand(a, t, *label.shape).gather(3, column[..., None])[..., 0]  # [a, t, m]
        ranges, levels, rows = had.nonzero(as_tuple=True)
        label_of[ranges, levels, place[rows]] = found.label[chosen[had]].int()
        hidden[:, :, place] = unheard
        first = prediction_of[ranges, levels, chosen[had]] < 0
        prediction_of[ranges[first], levels[first], chosen[had][first]] = found.prediction[place[rows[first]]].int()
    ignored = torch.where(label_of >= 0, hidden, sides.outside[:, None])
    return Found(label_of, ignored, prediction_of)


def _choices(
    value: Float64[Tensor, "m c"],
    label: Int64[Tensor, "m c"],
    taken: Bool[Tensor, "a t q"],
    sides: Sides,
    rules: Rules,
) -> tuple[Int64[Tensor, "a t m"], Bool[Tensor, "a t m"], Bool[Tensor, "a t m"]]:
    """Which candidate each prediction takes, whether it takes one, and whether it is ignored for it."""
    ignored = sides.label_ignored[:, None, label]  # [a, 1, m, c]
    need = torch.where(ignored, rules.need_ignored[:, None, None], rules.need[:, None, None])  # [a, t, m, c]
    reached, had = value >= need, taken[:, :, label]
    many = ignored & (sides.crowd[label] | (not rules.second_choice) | rules.groups)
    together = not rules.second_choice and not rules.groups
    open_now = [value >= 0] if together else [(value >= 0) & ~ignored, (value >= 0) & ignored]
    column, done = had.new_zeros(had.shape[:3], dtype=torch.int64), had.new_zeros(had.shape[:3])
    for members in open_now:
        if not rules.second_choice:
            members = members & (members.cumsum(-1) == 1)  # noqa: PLW2901 - only the best of these
        good = reached & members & (~had | many)
        new = good.any(-1) & ~done
        column, done = torch.where(new, good.int().argmax(-1), column), done | new
    at = column[..., None]
    hidden = ignored.expand_as(good).gather(3, at)[..., 0]
    if rules.groups:
        hidden = hidden & had.gather(3, at)[..., 0]
    return column, done, hidden & done
