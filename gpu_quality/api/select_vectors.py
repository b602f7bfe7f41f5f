"""The vectors that a diverse selection is made by: read from the store, compared with what is known, clustered."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Float16, Float64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.analysis.selection_pickers import Farthest, First, OfClusters, Picker
from gpu_quality.api.select_input import Copies
from gpu_quality.api.vectors import vectors_of
from gpu_quality.errors import UsageError
from gpu_quality.index.exact import Exact
from gpu_quality.index.vectors import usable
from gpu_quality.store.store import Store

Mask = NDArray[np.bool_]
_ALONE: Final = "--diverse none goes by columns alone"


@dataclass(frozen=True, slots=True)
class Matrix:
    """The vectors of all frames."""

    x: Float16[Tensor, "n d"]
    usable: Mask


@dataclass(frozen=True, slots=True)
class Diverse:
    """A way to pick, and what it was made of."""

    picker: Picker
    clusters: NDArray[np.int64] | None = None
    """Cluster of each row; None where there are none."""


def matrix(store: Store) -> Matrix:
    """All vectors, NaN where there is none. Raises `UsageError` where the store holds none."""
    try:
        found = vectors_of(store, "frame")
    except UsageError as error:
        hint = f"{error.hint}; {_ALONE}" if error.hint else _ALONE
        raise UsageError(f"diverse frames are told by their vectors: {error}", hint=hint) from None
    x = torch.full((store.input.count("frames"), found.encoder["dim"]), torch.nan, dtype=torch.float16)
    for rows, part in found.pieces():
        x[rows.start : rows.stop] = part
    return Matrix(x, usable(x).numpy())


def copies_by_vectors(vectors: Matrix, at_least: float) -> Copies:
    """Groups of frames whose vectors have a cosine of at least `at_least` to the first of the group."""
    leader = Exact().groups(vectors.x, at_least).leader.numpy()
    count = np.bincount(leader[leader >= 0], minlength=len(leader))
    group = np.where((leader >= 0) & (count[leader] > 1), leader, -1) if len(leader) else leader
    return Copies(group, np.zeros(len(leader), bool), f"vectors with a cosine from {at_least:g} on")


def picker_of(
    way: str, x: Float[Tensor, "p d"], known: Float[Tensor, "m d"], count: int, *, scored: bool, seed: int
) -> Diverse:
    """How to pick among vectors, the most wanted first where they are `scored`; `known` ones are to be kept away from."""
    if way == "none":
        return Diverse(First())
    near = _nearest(x, known)
    if way == "kcenter":
        return Diverse(Farthest(x, near, None if scored else seed))
    found = Exact().kmeans(x, min(count, len(x)), seed)
    order = torch.arange(len(x)) if scored else found.distance.sort(stable=True).indices
    return Diverse(OfClusters(x, near, found.label, order), found.label.numpy())


def _nearest(x: Float[Tensor, "p d"], known: Float[Tensor, "m d"]) -> Float64[Tensor, " p"]:
    """Cosine distance to the nearest known vector; infinite where there is none."""
    if not len(known):
        return torch.full((len(x),), torch.inf, dtype=torch.float64)
    return Exact().search(x, known, 1).distance[:, 0].double().clamp(min=0)
