"""What the crop of an object says beside its class: rare or repeated, odd among its kind, the same thing labeled twice."""

import torch
from jaxtyping import Float16, Float64, Int64
from torch import Tensor

from gpu_quality.features.comparable import Comparable
from gpu_quality.features.tracks import masked, undefined
from gpu_quality.functional import ranking
from gpu_quality.registry import metric
from gpu_quality.types import Masked, Objects

ANY = float("inf")
BLOCK = 1 << 22
"""Numbers handled at once: 32 MB."""
NORMAL = 0.6745
"""Median absolute deviation of a normal distribution with standard deviation 1."""


@metric(per="object", over="dataset", unit="cosine distance", bounds=(0.0, 2.0), bad="low")
def object_singularity(comparable_objects: Comparable) -> Float64[Tensor, " o"] | Masked:
    r"""How unlike every other object an object looks: 0 for what is repeated crop by crop.

    .. math:: \min_{j \notin C_i} (1 - \cos(x_i, x_j)) \text{ for the first of component } C_i, \qquad 0 \text{ for the rest}
    As singularity of frames, for the crops of one origin.
    Range: 0 to 2. Null without an object outside the component, and without a crop.
    Depends on: the encoder; overlapping objects look alike.
    Source: Encord Active, "Image Singularity", for objects.
    """
    found = comparable_objects.copies()
    value = ranking.singularity(found.component, found.outside)
    return masked(value.value, undefined(comparable_objects.null, (value.missing, "no_neighbors")))


@metric(per="object", over="dataset", unit="modified z-score", bad="high")
def object_class_outlier(
    comparable_objects: Comparable, *, neighbors: int = 5, min_objects: int = 5
) -> Float64[Tensor, " o"] | Masked:
    r"""How far an object stands apart from its class, compared with how far the others do: a wrong class, or a rare view.

    .. math:: 0.6745\, \frac{d_i - \operatorname{med} d}{\operatorname{med} |d - \operatorname{med} d|}, \qquad
              d_i = \operatorname{mean}_{j \in N_5^{\,c = c_i}} (1 - \cos(x_i, x_j))
    N are the nearest crops of the own class and origin, medians are those of the class. Where more than half of the deviations
    are 0, their mean takes the place of the median; where all are, the result is 0.
    Range: any number, below 0 for those closer to their class than usual; above 3.5 an outlier. Null in classes of fewer
    than 5 objects, and without a crop.
    Depends on: the encoder; overlapping objects of one class hold each other close.
    Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993, on distances as in fastdup's outliers.
    """
    found = comparable_objects.by_class()
    near = found.own.distance[:, : max(neighbors, 1)].double()
    distance = near.nanmean(1)
    few = (found.size < min_objects) | distance.isnan()
    null = undefined(comparable_objects.null, (few, "too_few_samples"))
    value, known = torch.zeros_like(distance), null == 0
    value[known] = _modified_z(distance[known], comparable_objects.class_id[known])
    return masked(value, null)


def _modified_z(value: Float64[Tensor, " n"], group: Int64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """Distance of every value to the median of its group, in units of what is usual there; 0 where all are alike."""
    score = torch.zeros_like(value)
    for own in torch.unique(group).tolist():
        rows = (group == own).nonzero().flatten()
        around = value[rows] - value[rows].quantile(0.5)
        usual = around.abs().quantile(0.5)
        usual = usual if usual > 0 else around.abs().mean()
        if usual > 0:
            score[rows] = NORMAL * around / usual
    return score


@metric(per="object", over="dataset", unit="cosine", bounds=(-1.0, 1.0), bad="high")
def appearance_duplicate(
    comparable_objects: Comparable, object_embedding: Float16[Tensor, "o d"], objects: Objects
) -> Float64[Tensor, " o"] | Masked:
    r"""How much an object looks like another of the same frame, whatever its class: one thing may be labeled twice.

    .. math:: \max_{p \ne o,\ f_p = f_o} \cos(x_o, x_p)
    Range: -1 to 1 (the very same crop). Null for the only object of a frame and origin, and without a crop.
    Depends on: the encoder; things of one kind look alike too, so look at annotation_duplicate as well.
    Source: Encord Active, "Annotation Duplicates", by appearance in place of overlap.
    """
    known = (comparable_objects.null == 0).nonzero().flatten()
    value = torch.full((len(objects),), -torch.inf, dtype=torch.float64)
    for rows in _by_count(objects.frame[known]):
        value[known[rows]] = _closest(object_embedding, known[rows])
    null = undefined(comparable_objects.null, (value.isinf(), "no_neighbors"))
    return masked(value.clamp(-1, 1), null)


def _by_count(frame: Int64[Tensor, " o"]) -> list[Int64[Tensor, "f m"]]:
    """Rows of objects, sorted by frame: a matrix [frames, m] for each m but 1 that frames have."""
    _, count = torch.unique_consecutive(frame, return_counts=True)
    start = count.cumsum(0) - count
    return [start[count == m, None] + torch.arange(m) for m in torch.unique(count).tolist() if m > 1]


def _closest(x: Float16[Tensor, "o d"], rows: Int64[Tensor, "f m"]) -> Float64[Tensor, "f m"]:
    """Largest cosine of each object to another of its row."""
    m = rows.shape[1]
    best = torch.empty(rows.shape, dtype=torch.float64)
    for frames in torch.split(torch.arange(len(rows)), max(1, BLOCK // (m * x.shape[1]))):
        units = torch.nn.functional.normalize(x[rows[frames]].double(), dim=2)  # [f, m, d]
        for own in torch.split(torch.arange(m), max(1, BLOCK // (m * len(frames)))):
            cosine = units[:, own] @ units.mT
            cosine[:, torch.arange(len(own)), own] = -torch.inf
            best[frames[:, None], own] = cosine.amax(2)
    return best
