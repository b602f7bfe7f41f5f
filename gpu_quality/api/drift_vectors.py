"""The vectors of the two sets that `drift` compares, where both were made by one encoder."""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float16
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.api.drift_input import Side
from gpu_quality.api.vectors import Vectors, vectors_of
from gpu_quality.errors import UsageError
from gpu_quality.index.vectors import usable
from gpu_quality.text import clean, counted

Ints = NDArray[np.int64]
MOST_VECTORS: Final = 100_000
"""Frames of a side whose vectors are read."""


def vectors(
    pair: tuple[Side, Side], seed: int, notes: list[str]
) -> tuple[list[Ints], list[Float16[Tensor, "n d"]], str] | None:
    """Per side the frames with a vector and those vectors, and the encoder's name; None, and a note, where there are none."""
    try:
        held = [vectors_of(side.store, "frame") for side in pair]
    except UsageError as error:
        notes.append(f"vectors are not compared: {error}; {error.hint}")
        return None
    if held[0].encoder["meaning"] != held[1].encoder["meaning"]:
        cards = " and ".join(str(one.encoder["card"]) for one in held)
        notes.append(f"vectors are not compared: they are of different encoders ({cards})")
        return None
    found = [_read(one, side.frames, seed) for one, side in zip(held, pair, strict=True)]
    for (rows, _), side in zip(found, pair, strict=True):
        lost = min(len(side.frames), MOST_VECTORS) - len(rows)
        if lost:
            notes.append(f"{counted(lost, 'frame')} of {clean(side.name)} without a vector")
        if len(side.frames) > MOST_VECTORS:
            notes.append(
                f"vectors of {MOST_VECTORS:,} of {len(side.frames):,} frames of {clean(side.name)} are used (seed {seed})"
            )
    return [rows for rows, _ in found], [part for _, part in found], str(held[0].encoder["card"])


def _read(held: Vectors, frames: Ints, seed: int) -> tuple[Ints, Float16[Tensor, "n d"]]:
    """Vectors of some frames, and which of them have one."""
    if len(frames) > MOST_VECTORS:
        frames = np.sort(np.random.default_rng(seed).choice(frames, MOST_VECTORS, replace=False))
    rows, parts = [np.zeros(0, np.int64)], [torch.zeros(0, int(held.encoder["dim"]), dtype=torch.float16)]
    for span, part in held.pieces():
        wanted = frames[(frames >= span.start) & (frames < span.stop)]
        own = part[torch.from_numpy(wanted - span.start)]
        good = usable(own)
        rows.append(wanted[good.numpy()])
        parts.append(own[good].half())
    return np.concatenate(rows), torch.cat(parts)
