"""What thumbnails give, and the sizes of thumbnails."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from jaxtyping import Int64
from torch import Tensor

WANTED: Final = ("square", "wide", "tall", "soft_blur")
SHAPES: Final = {"square": (32, 32), "wide": (8, 9), "tall": (9, 8)}
"""Height and width of the thumbnails of Y that hashes are made of."""
SIDE: Final = 64
"""Longest side of the thumbnail that `soft_blur` is measured on."""


@dataclass(frozen=True, slots=True)
class SoftBlur:
    """Sums over the 64-pixel thumbnail of every region: what cleanvision's blur score is made of.

    `response` is the 8-neighbor edge filter of the thumbnail's luma, clipped to 0..255; `histogram_square` sums the squared
    counts of the 256 luma values. Empty regions hold zeros.
    """

    count: Int64[Tensor, " r"]
    response: Int64[Tensor, " r"]
    response_square: Int64[Tensor, " r"]
    histogram_square: Int64[Tensor, " r"]


def checked(wanted: Collection[str]) -> frozenset[str]:
    """The wanted thumbnails as a set.

    Raises
    ------
    ValueError
        A name is no thumbnail.
    """
    unknown = sorted(set(wanted) - set(WANTED))
    if unknown:
        raise ValueError(f"unknown thumbnails {unknown}; there are {list(WANTED)}")
    return frozenset(wanted)
