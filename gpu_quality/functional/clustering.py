"""k-means on the directions of vectors: seeded, one start, and the same result every time on one device."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

BLOCK = 8192
"""Vectors handled at once."""
HELD = 2**28
"""Numbers up to which scaled vectors are kept: 1 GiB."""
ROUNDS = 300
TOLERANCE = 1e-4
"""Centers are at rest when the sum of their squared moves is below this share of the variance."""
EQUAL = 1e-6
"""Squared distances of unit vectors below this are rounding of float32: no new center is opened there."""


class Clusters(NamedTuple):
    """Which cluster each vector belongs to, how far it is from the center, and the centers."""

    label: Int64[Tensor, " n"]
    """0 .. k - 1; clusters are numbered in the order in which their centers were drawn."""
    distance: Float64[Tensor, " n"]
    """Euclidean distance of the unit vector to the center of its cluster."""
    center: Float64[Tensor, "k d"]


def kmeans(x: Float[Tensor, "n d"], k: int, seed: int = 0) -> Clusters:
    """Group vectors, each scaled to length 1, around at most k centers.

    k-means++ with one start, at most 300 rounds, until the centers move less than 1e-4 of the variance. There are fewer than k
    clusters where there are fewer different vectors. Every vector must be finite and not zero.

    Raises
    ------
    ValueError
        k is below one.
    """
    if k < 1:
        raise ValueError(f"there must be at least one cluster, got k = {k}")
    if not len(x):
        empty = torch.empty(0, dtype=torch.float64, device=x.device)
        return Clusters(empty.long(), empty, empty.new_empty(0, x.shape[1]))
    units = _Units(x)
    center = _first_centers(units, min(k, len(x)), torch.Generator().manual_seed(seed))
    rest = TOLERANCE * _variance(units)
    label = _assigned(units, center)
    for _ in range(ROUNDS):
        moved = _means(units, label, center)
        shift = float((moved - center).square().sum())
        center, before = moved, label
        label = _assigned(units, center)
        if shift <= rest or torch.equal(label, before):
            break
    return Clusters(label, _distances(units, center, label), center)


class _Units:
    """Vectors scaled to length 1 as float32, in blocks: scaled once where all of them fit, else each time they are read."""

    def __init__(self, x: Float[Tensor, "n d"]) -> None:
        self.x = x
        self.held = x.numel() <= HELD
        if self.held:
            self.x = torch.cat([_scaled(x[part]) for part in _parts(len(x))])

    def __len__(self) -> int:
        return len(self.x)

    def __iter__(self) -> Iterator[tuple[slice, Float[Tensor, "b d"]]]:
        for part in _parts(len(self.x)):
            yield part, self.x[part] if self.held else _scaled(self.x[part])

    def one(self, row: int) -> Float[Tensor, " d"]:
        """A single vector."""
        return self.x[row] if self.held else _scaled(self.x[row : row + 1])[0]


def _parts(count: int) -> Iterator[slice]:
    return (slice(begin, min(begin + BLOCK, count)) for begin in range(0, count, BLOCK))


def _scaled(block: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    exact = block.double()
    scaled: Tensor = exact / exact.norm(dim=1, keepdim=True)
    return scaled.float()


def _first_centers(units: _Units, k: int, generator: torch.Generator) -> Float64[Tensor, "k d"]:
    """k-means++: every next center is a vector, drawn with a chance that grows with its squared distance to the nearest one."""
    near = torch.full((len(units),), torch.inf, device=units.x.device)
    row = int(torch.randint(len(units), (1,), generator=generator))
    chosen: list[Tensor] = []
    while True:
        chosen.append(units.one(row))
        if len(chosen) == k:
            break
        for part, unit in units:
            near[part] = torch.minimum(near[part], 2 - 2 * (unit @ chosen[-1]))
        near = torch.where(near < EQUAL, 0, near)
        total = near.double().cumsum(0)
        if total[-1] <= 0:
            break
        place = torch.rand(1, generator=generator, dtype=torch.float64).to(units.x.device) * total[-1]
        row = int(torch.searchsorted(total, place, right=True).clamp(max=len(units) - 1))
        if near[row] == 0:  # rounding at the very end of the sum
            row = int(near.nonzero()[-1])
    return torch.stack(chosen).double()


def _variance(units: _Units) -> float:
    """Mean over the components of their variance."""
    total = torch.zeros(units.x.shape[1], dtype=torch.float64, device=units.x.device)
    square = torch.zeros_like(total)
    for _, unit in units:
        total += unit.double().sum(0)
        square += unit.double().square().sum(0)
    mean = total / len(units)
    return float((square / len(units) - mean.square()).clamp(min=0).mean())


def _assigned(units: _Units, center: Float64[Tensor, "k d"]) -> Int64[Tensor, " n"]:
    """The nearest center of each vector, the first of equally near ones."""
    label = torch.empty(len(units), dtype=torch.int64, device=units.x.device)
    half, target = (center.square().sum(1) / 2).float(), center.float().T
    for part, unit in units:
        label[part] = (half - unit @ target).min(1).indices
    return label


def _means(units: _Units, label: Int64[Tensor, " n"], center: Float64[Tensor, "k d"]) -> Float64[Tensor, "k d"]:
    """Mean of every cluster; one that lost all its vectors stays where it was."""
    total = torch.zeros_like(center)
    for part, unit in units:
        member = torch.nn.functional.one_hot(label[part], len(center)).double()
        total += member.T @ unit.double()  # a product adds in a fixed order on every device, a scatter does not
    count = torch.bincount(label, minlength=len(center))[:, None]
    return torch.where(count > 0, total / count.clamp(min=1), center)


def _distances(units: _Units, center: Float64[Tensor, "k d"], label: Int64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """Euclidean distance of every vector to its own center, from differences: those of near vectors are exact."""
    out = torch.empty(len(units), dtype=torch.float64, device=units.x.device)
    for part, unit in units:
        out[part] = (unit.double() - center[label[part]]).norm(dim=1)
    return out
