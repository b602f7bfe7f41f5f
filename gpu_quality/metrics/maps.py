"""Where frames lie on a map of the data set: like things side by side, for the eye and for a scatter plot."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float16, Float64
from torch import Tensor

from gpu_quality.features.neighbors import usable
from gpu_quality.registry import feature, metric
from gpu_quality.types import Index, Masked

BLOCK = 8192
"""Vectors handled at once."""
ROUNDING = 1e-12
"""Components of unit vectors that differ by less are equal: float16 cannot tell them apart, float64 may by chance."""


@feature(over="dataset")
def plane(embedding: Float16[Tensor, "n d"], index: Index) -> Float64[Tensor, "n 2"]:
    """Unit vectors on the two axes along which they vary most; NaN without a usable vector.

    Of each axis the largest component in magnitude is positive, so that a map is not mirrored by chance.
    """
    known = usable(index, embedding).nonzero().flatten()
    place = torch.full((len(embedding), 2), torch.nan, dtype=torch.float64)
    if not len(known):
        return place
    parts = torch.split(known, BLOCK)
    mean = torch.stack([_units(embedding, rows).sum(0) for rows in parts]).sum(0) / len(known)
    spread = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for rows in parts:
        around = _around(embedding, rows, mean)
        spread += around.T @ around
    spread /= spread.abs().max().clamp(min=ROUNDING**2)  # the solver gives up on matrices of very small numbers
    axes = _signed(torch.linalg.eigh(spread).eigenvectors[:, -2:].flip(1))
    for rows in parts:
        place[rows, : axes.shape[1]] = _around(embedding, rows, mean) @ axes
    place[known, axes.shape[1] :] = 0  # vectors of one component
    return place


def _units(x: Float16[Tensor, "n d"], rows: Tensor) -> Float64[Tensor, "b d"]:
    return torch.nn.functional.normalize(x[rows].double(), dim=1)


def _around(x: Float16[Tensor, "n d"], rows: Tensor, mean: Float64[Tensor, " d"]) -> Float64[Tensor, "b d"]:
    """Unit vectors seen from their mean; copies lie exactly there."""
    away = _units(x, rows) - mean
    return torch.where(away.abs() < ROUNDING, 0, away)


def _signed(axes: Float64[Tensor, "d a"]) -> Float64[Tensor, "d a"]:
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0)


@feature(over="dataset")
def umap_plane(
    embedding: Float16[Tensor, "n d"], umap: Callable[[np.ndarray, int], np.ndarray], seed: int
) -> Float64[Tensor, "n 2"]:
    """Places by UMAP; NaN without a usable vector."""
    return torch.from_numpy(np.asarray(umap(embedding.float().numpy(), seed), np.float64))


@metric(over="dataset", unit="coordinate", bounds=(-2.0, 2.0))
def map_x(plane: Float64[Tensor, "n 2"]) -> Float64[Tensor, " n"] | Masked:
    r"""Where a frame lies on the map from left to right: along the direction in which frames differ most.

    .. math:: (x_i - \overline{x}) \cdot a_1, \qquad a_1 \text{ the first principal axis of the unit vectors}
    Range: -2 to 2. Null without a vector.
    Depends on: the encoder and all other frames; no chance is involved.
    """
    return Masked(plane[:, 0], plane[:, 0].isnan(), "no_neighbors")


@metric(over="dataset", unit="coordinate", bounds=(-2.0, 2.0))
def map_y(plane: Float64[Tensor, "n 2"]) -> Float64[Tensor, " n"] | Masked:
    r"""Where a frame lies on the map from bottom to top: along the second direction in which frames differ most.

    .. math:: (x_i - \overline{x}) \cdot a_2, \qquad a_2 \text{ the second principal axis of the unit vectors}
    Range: -2 to 2. Null without a vector.
    Depends on: the encoder and all other frames; no chance is involved.
    """
    return Masked(plane[:, 1], plane[:, 1].isnan(), "no_neighbors")


@metric(over="dataset", unit="coordinate")
def umap_x(umap_plane: Float64[Tensor, "n 2"]) -> Float64[Tensor, " n"] | Masked:
    r"""Where a frame lies from left to right on a map that keeps neighbors together.

    .. math:: u_{i1}, \qquad u = \mathrm{UMAP}(x), \quad 15 \text{ neighbors, cosine}
    Range: any number. Null without a vector.
    Depends on: the encoder, the seed and the version of umap-learn; distances between far groups mean little.
    Source: McInnes, Healy and Melville, UMAP, 2018.
    """
    return Masked(umap_plane[:, 0], umap_plane[:, 0].isnan(), "no_neighbors")


@metric(over="dataset", unit="coordinate")
def umap_y(umap_plane: Float64[Tensor, "n 2"]) -> Float64[Tensor, " n"] | Masked:
    r"""Where a frame lies from bottom to top on a map that keeps neighbors together.

    .. math:: u_{i2}, \qquad u = \mathrm{UMAP}(x), \quad 15 \text{ neighbors, cosine}
    Range: any number. Null without a vector.
    Depends on: the encoder, the seed and the version of umap-learn; distances between far groups mean little.
    Source: McInnes, Healy and Melville, UMAP, 2018.
    """
    return Masked(umap_plane[:, 1], umap_plane[:, 1].isnan(), "no_neighbors")
