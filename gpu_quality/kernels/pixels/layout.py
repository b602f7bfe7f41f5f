"""From plain sums to the structs of `types.py`: what the fast kernels share."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

import torch
from torch import Tensor

from gpu_quality import types

GROUPS: Final = (
    "moments",
    "tones",
    "edges",
    "gradients",
    "grain",
    "channel_edges",
    "channel_tones",
    "hues",
    "perceived",
    "phases",
    "cells",
    "content",
)
"""Names of the statistics groups; each is the struct of the same name in CamelCase."""

Statistics = (
    types.Moments
    | types.Tones
    | types.Edges
    | types.Gradients
    | types.Grain
    | types.ChannelEdges
    | types.ChannelTones
    | types.Hues
    | types.Perceived
    | types.Phases
    | types.Cells
    | types.Content
)
"""Any one group."""


def checked(groups: Collection[str]) -> frozenset[str]:
    """The wanted groups as a set.

    Raises
    ------
    ValueError
        A name is no group.
    """
    unknown = sorted(set(groups) - set(GROUPS))
    if unknown:
        raise ValueError(f"unknown statistics groups {unknown}; there are {list(GROUPS)}")
    return frozenset(groups)


def moments(count: Tensor, sums: Tensor, products: Tensor) -> types.Moments:
    """Power sums of colors and opponent axes from the sums of R, G, B and of RR, GG, BB, RG, RB, GB.

    Expanding the squares of R - G and R + G - 2B is exact and spares the sweep four accumulators.
    """
    red, green, blue = sums.unbind(1)
    rr, gg, bb, rg, rb, gb = products.unbind(1)
    return types.Moments(
        count=count,
        sum=sums,
        square=products[:, :3].contiguous(),
        opponent=torch.stack([red - green, red + green - 2 * blue], 1),
        opponent_square=torch.stack([rr + gg - 2 * rg, rr + gg + 4 * bb + 2 * rg - 4 * rb - 4 * gb], 1),
    )


def structs(sums: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Statistics]:
    """The wanted groups from the sums of one sweep: int64, one row per region (phases, cells, content: per frame)."""
    count = sums["count"]
    make: dict[str, Callable[[], Statistics]] = {
        "moments": lambda: moments(count, sums["sum"], sums["products"]),
        "tones": lambda: types.Tones(count, sums["tones"]),
        "edges": lambda: types.Edges(count, sums["edges"][:, 0], sums["edges"][:, 1]),
        "gradients": lambda: types.Gradients(count, sums["gradients"][:, 0], sums["gradients"][:, 1]),
        "grain": lambda: types.Grain(sums["grain"][:, 0], sums["grain"][:, 1]),
        "channel_edges": lambda: types.ChannelEdges(count, sums["channel_edges"][:, :3], sums["channel_edges"][:, 3:]),
        "channel_tones": lambda: types.ChannelTones(count, sums["channel_tones"].view(-1, 3, 256)),
        "hues": lambda: types.Hues(count, sums["hues"][:, :3], sums["hues"][:, 3], sums["hues"][:, 4]),
        "perceived": lambda: types.Perceived(sums["area"], sums["perceived"][:, :2], sums["perceived"][:, 2:]),
        "phases": lambda: types.Phases(sums["phases"][:, :8], sums["phases"][:, 8:]),
        "cells": lambda: types.Cells(sums["cells"].view(-1, 8, 8), sums["cell_count"]),
        "content": lambda: types.Content(sums["content"]),
    }
    return {name: make[name]() for name in GROUPS if name in wanted}


def cell_counts(height: Tensor, width: Tensor) -> Tensor:
    """Pixels in each of the 8 x 8 cells of every frame: int64 [b, 8, 8]; small frames have empty cells."""
    return _eighths(height)[:, :, None] * _eighths(width)[:, None, :]


def _eighths(side: Tensor) -> Tensor:
    """How many of ``0 .. side-1`` have ``floor(8 i / side) = k``: int64 [b, 8]."""
    edges = torch.arange(9, device=side.device)[None] * side.to(torch.int64)[:, None]
    return ((edges + 7) // 8).diff(dim=1)


def areas(rect: Tensor) -> Tensor:
    """Pixels in the rectangle of every region, 0 if it is empty: int64 [r]."""
    sides = (rect[:, 2:] - rect[:, :2]).clamp(min=0).to(torch.int64)
    return sides[:, 0] * sides[:, 1]
