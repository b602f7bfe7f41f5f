"""How alike frames are by their stored hashes, whatever turn or flip lies between them.

A mirrored picture changes the sign of the odd columns of its cosine transform, so its phash is nearly the stored one with those
bits inverted (the median moves a little: 0 to 10 bits, half of 56 photos at most 4); its dhash is the stored one read backwards
and inverted, but for ties. So the four flips are compared without another column. A quarter turn needs the transposed
thumbnail: there the stored ``phash_d4`` and ``dhash_d4``, smallest over all eight turns, are compared. They are equal to a bit
or two for a turned picture, but jump to another turn when an edit changes a leading bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.functional import hashing
from gpu_quality.kernels import near_codes

BITS: Final = 128
"""Bits of a phash and a dhash together; where only one of them is stored, its bits count twice."""
BLOCK: Final = 1024
"""Frames compared with all later ones at a time."""
PART: Final = 1 << 18
"""Pairs that are looked at exactly at a time."""
_ODD_COLUMNS: Final = 0x5555555555555555
_ODD_ROWS: Final = 0x00FF00FF00FF00FF
"""Bits of a hash in its second, fourth … column or row of eight; the first bit is the most significant."""
_WAYS: Final = ((False, False), (True, False), (False, True), (True, True))
"""Flipped left to right, and top to bottom."""


@dataclass(frozen=True, slots=True)
class Hashes:
    """Two codes per frame for every way of laying one frame over another: as stored, and as they are after a flip."""

    own: Int64[Tensor, "ways 2 n"]
    other: Int64[Tensor, "ways 2 n"]
    usable: Bool[Tensor, " n"]
    """Frames that take part."""

    def similarity(self, i: Int64[Tensor, " p"], j: Int64[Tensor, " p"]) -> Float64[Tensor, " p"]:
        """Share of equal bits, 0..1, under the flip or turn that fits best; NaN where one of the two takes no part."""
        found = torch.full((len(i),), torch.nan, dtype=torch.float64)
        rows = (self.usable[i] & self.usable[j]).nonzero().flatten()
        for part in torch.split(rows, PART):
            differing = hashing.hamming(self.own[:, :, i[part]], self.other[:, :, j[part]]).sum(1)  # ways p
            found[part] = 1 - differing.amin(0).double() / BITS
        return found

    def near(self, at_least: float) -> Iterator[Int64[Tensor, "p 2"]]:
        """Pairs with a similarity of at least `at_least`, the lower row first, sorted, a block of rows at a time."""
        rows = self.usable.nonzero().flatten()
        own, other = self.own[:, :, rows].contiguous(), self.other[:, :, rows].contiguous()
        # A threshold of 1 - 16 / 128 means 16 bits, whatever the last digit of its float is.
        most = int(BITS * (1 - at_least) + 1e-9)
        for begin in range(0, len(rows), BLOCK):
            found = near_codes.near(own, other, begin, min(begin + BLOCK, len(rows)), most)
            if len(found):
                yield rows[found]


def hashes(
    flips: Sequence[Int64[Tensor, " n"] | None], turns: Sequence[Int64[Tensor, " n"] | None], usable: Bool[Tensor, " n"]
) -> Hashes:
    """Make ready what is stored: `flips` is (phash, dhash), `turns` is (phash_d4, dhash_d4); None is not stored.

    Raises
    ------
    ValueError
        Nothing is stored.
    """
    kinds = [(code, make) for code, make in zip(flips, (flipped_phash, flipped_dhash), strict=True) if code is not None]
    own, other = [], []
    for across, down in _WAYS if kinds else ():
        own.append(_pair([code for code, _ in kinds]))
        other.append(_pair([make(code, across=across, down=down) for code, make in kinds]))
    if least := [code for code in turns if code is not None]:
        own.append(_pair(least))
        other.append(_pair(least))
    if not own:
        raise ValueError("no hash is stored")
    return Hashes(torch.stack(own), torch.stack(other), usable)


def _pair(codes: list[Int64[Tensor, " n"]]) -> Int64[Tensor, "2 n"]:
    """Two codes; a lone one twice, so that 128 bits are compared in any case."""
    return torch.stack([codes[0], codes[-1]])


def flipped_phash(code: Int64[Tensor, " n"], *, across: bool, down: bool) -> Int64[Tensor, " n"]:
    """Very nearly the phash of the flipped picture: odd columns (rows) of the transform change their sign."""
    return code ^ (_ODD_COLUMNS if across else 0) ^ (_ODD_ROWS if down else 0)


def flipped_dhash(code: Int64[Tensor, " n"], *, across: bool, down: bool) -> Int64[Tensor, " n"]:
    """The dhash of the flipped picture, but for neighbors that are equally bright: what grew falls, read from the other end."""
    if across:  # the bits of every byte, which is a row, the other way round
        for shift, low in ((1, _ODD_COLUMNS), (2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F)):
            code = _swapped(code, shift, low)
        code = ~code
    if down:  # the bytes the other way round
        for shift, low in ((8, _ODD_ROWS), (16, 0x0000FFFF0000FFFF), (32, 0x00000000FFFFFFFF)):
            code = _swapped(code, shift, low)
    return code


def _swapped(code: Int64[Tensor, " n"], shift: int, low: int) -> Int64[Tensor, " n"]:
    """Neighboring runs of `shift` bits change places; `low` marks the lower one of two."""
    return ((code >> shift) & low) | ((code & low) << shift)
