"""What a frame is among all others by its vector: rare or repeated, central or marginal, new, leaked into another split."""

import torch
from jaxtyping import Float16, Float64, Int64
from torch import Tensor

from gpu_quality.features.neighbors import Copies, Neighbors, usable
from gpu_quality.functional import association, hashing, ranking
from gpu_quality.registry import metric
from gpu_quality.types import Index, Masked

CLUSTERS = 20
"""Clusters that representativeness is measured in (FiftyOne)."""
UNNAMED = 10
"""Clusters of diversity_rank where the data name no classes (Encord Active)."""
RADIUS = 0.875
"""Cosine of unit vectors half a unit apart: one of them stands for the other (FiftyOne)."""


@metric(over="dataset", unit="cosine distance", bounds=(0.0, 2.0), bad="low")
def singularity(copies: Copies) -> Float64[Tensor, " n"] | Masked:
    r"""How unlike every other frame a frame is: near duplicates have almost 0, repeated frames exactly 0.

    .. math:: \min_{j \notin C_i} (1 - \cos(x_i, x_j)) \text{ for the first of component } C_i, \qquad 0 \text{ for the rest}
    C holds the frames that a chain of distances below 1e-5 joins; embedding_duplicate_group names the first of them.
    Range: 0 to 2; up to 0.03 a near duplicate. Null without a frame outside the component.
    Depends on: the encoder, and on all other frames; the order of frames only decides which of several copies is the first.
    Source: Encord Active, "Image Singularity" (30 approximate neighbors there).
    """
    found = ranking.singularity(copies.component, copies.outside)
    return Masked(found.value, found.missing, "no_neighbors")


@metric(over="dataset", unit="row")
def embedding_duplicate_group(copies: Copies) -> Int64[Tensor, " n"] | Masked:
    r"""The first of the frames that the encoder takes for this very frame.

    .. math:: \min C_i, \qquad C \text{ the components of } 1 - \cos(x_i, x_j) < 10^{-5}
    Range: the row of a frame, in the order of ids. Null where no other frame is in the component.
    Depends on: the encoder; re-encoded copies are usually further apart, see near_duplicate_group_embedding.
    Source: Encord Active, "Image Singularity".
    """
    return Masked(copies.component, hashing.group_sizes(copies.component) < 2, "no_neighbors")


@metric(over="dataset", unit="row")
def near_duplicate_group_embedding(
    embedding: Float16[Tensor, "n d"], index: Index, *, distance: float = 0.03
) -> Int64[Tensor, " n"] | Masked:
    r"""The first of the frames that show nearly the same as this one, by the encoder.

    .. math:: \min \lbrace j : j \text{ leads},\ 1 - \cos(x_i, x_j) \le \mathrm{distance} \rbrace
    In the order of ids, a frame without a group leads a new one and takes every such frame within the distance of itself.
    Range: the row of a frame. Null where no other frame is near.
    Depends on: the encoder; members are near their leader, so no chain of small steps joins unlike pictures.
    Source: FiftyOne and fastdup, near duplicates by embedding (thresholds .2 and .04 there).
    """
    leader = index.groups(embedding, 1 - distance).leader
    return Masked(leader, hashing.group_sizes(leader) < 2, "no_neighbors")


@metric(over="dataset", unit="fraction", bounds=(0.0, 1.0), bad="low")
def uniqueness(embedding: Float16[Tensor, "n d"], neighbors: Neighbors, index: Index) -> Float64[Tensor, " n"] | Masked:
    r"""How much a frame adds to the data set: the distance to its three nearest frames, as a share of the largest.

    .. math:: \frac{u_i}{\max_j u_j}, \qquad u = 0.6\, d_1 + 0.3\, d_2 + 0.1\, d_3, \quad d = 1 - \cos
    Range: 0 (three copies elsewhere) to 1 (the most unlike all others). 1 where there are three frames or fewer.
    Depends on: the encoder, and on the frame that is unlike all others most. Null without a vector.
    Source: FiftyOne Brain, "uniqueness".
    """
    known = usable(index, embedding)
    if int(known.sum()) > 3:  # an approximate index may miss some
        known = known & ~neighbors.distance[:, :3].isnan().any(1)
    return Masked(ranking.uniqueness(neighbors.distance, known), ~known, "no_neighbors")


@metric(over="dataset", unit="fraction", bounds=(0.0, 1.0), bad="low")
def representativeness(
    embedding: Float16[Tensor, "n d"], index: Index, seed: int, *, downweight: float = 0.0
) -> Float64[Tensor, " n"] | Masked:
    r"""How typical a frame is of those around it: 1 at the heart of its cluster, 0 for the farthest of the cluster.

    .. math:: 1 - \frac{\lVert x_i - m_c \rVert}{\max_{j \in c} \lVert x_j - m_c \rVert}, \qquad c = c_i
    m are the centers of 20 clusters by k-means of unit vectors (as many as there are frames, where those are fewer).
    `downweight` above 0 (.7 is usual) multiplies a frame for each more typical one within 0.5: one of them is enough.
    Range: 0 to 1; 1 throughout a cluster of one frame or of copies. Null without a vector.
    Depends on: the encoder and the seed.
    Source: FiftyOne Brain, "representativeness" (1 minus this there, so that outliers have 1).
    """
    found = index.kmeans(embedding, CLUSTERS, seed)
    value = ranking.representativeness(found.label, found.distance)
    if downweight:
        value = ranking.downweighted(value, index.pairs(embedding, RADIUS), downweight)
    return Masked(value, found.label < 0, "no_neighbors")


@metric(over="dataset", unit="rank", bounds=(1, float("inf")))
def diversity_rank(
    embedding: Float16[Tensor, "n d"], index: Index, classes: tuple[str, ...], seed: int, *, clusters: int = 0
) -> Int64[Tensor, " n"] | Masked:
    r"""In which order to label frames so that the first few already show everything there is.

    .. math:: \text{k-means; in each cluster by } \lVert x_i - m_c \rVert; \text{ then the clusters take turns}
    As many clusters as the data name classes, else 10; `clusters` above 0 says otherwise.
    Range: 1 (look at it first) to the number of frames, each once. Null without a vector.
    Depends on: the encoder and the seed.
    Source: Encord Active, "Image Diversity" (unseeded there).
    """
    found = index.kmeans(embedding, clusters or len(classes) or UNNAMED, seed)
    return Masked(ranking.diversity_rank(found.label, found.distance), found.label < 0, "no_neighbors")


@metric(over="dataset", unit="cosine distance", bounds=(0.0, 2.0), bad="high")
def novelty(
    embedding: Float16[Tensor, "n d"], reference: Float16[Tensor, "m d"], index: Index
) -> Float64[Tensor, " n"] | Masked:
    r"""How unlike all frames of an earlier run a frame is: what the reference set has never shown.

    .. math:: \min_{j} (1 - \cos(x_i, r_j)), \qquad r \text{ the vectors of the reference run}
    Range: 0 (the reference has this frame) to 2. Null without a vector.
    Depends on: the encoder, which must be that of the reference run.
    """
    distance = index.search(embedding, reference, 1).distance[:, 0].double().clamp(0, 2)
    return Masked(distance, distance.isnan(), "no_neighbors")


@metric(over="dataset", unit="cosine distance", bounds=(0.0, 2.0), bad="low")
def leak_distance(
    embedding: Float16[Tensor, "n d"],
    split: Int64[Tensor, " n"],
    exact_duplicate_group: Float64[Tensor, " n"],
    index: Index,
) -> Float64[Tensor, " n"] | Masked:
    r"""How close a frame comes to the nearest frame of another split: near 0, the test set has been seen in training.

    .. math:: \min_{s_j \ne s_i} (1 - \cos(x_i, x_j)), \qquad 0 \text{ where an exact copy is in another split}
    Range: 0 to 2; up to 0.03 a leak. Null for frames of no split, and where there is only one.
    Depends on: the encoder; exact copies count whatever it says.
    Source: FiftyOne Brain, "leaky splits" (threshold .2 there).
    """
    outside = torch.full((len(split),), torch.nan)
    for own in torch.unique(split[split >= 0]).tolist():
        others = embedding[(split >= 0) & (split != own)]
        outside[split == own] = index.search(embedding[split == own], others, 1).distance[:, 0].clamp(0, 2)
    rows = torch.arange(len(split))
    content = torch.where(exact_duplicate_group.isnan(), rows, exact_duplicate_group).long()
    return Masked(*association.leak_distance(outside, split, content), "no_neighbors")
