"""Which index to use: exact as long as that is affordable, said in a sentence with the reason, and always overridable."""

from dataclasses import dataclass
from typing import Final, Literal

from gpu_quality.errors import ConfigError

Name = Literal["exact", "flat", "ivf", "hnsw", "pq"]
NAMES: Final = ("exact", "flat", "ivf", "hnsw", "pq")
CPU_RATE: Final = 2.5e11
"""Multiplications of the exact search per second, 2 cores with fast bfloat16 (bench row `knn_exact`): about two thirds of
what was measured, for a machine that is busy."""
CUDA_RATE: Final = 3e14
"""The same on an H200: half of its sustained matrix product; not measured by us yet."""
PATIENCE: Final = 1800.0
"""Seconds that an exact search may take before an approximate one is chosen."""
HNSW_LINKS: Final = 32
HNSW_BYTES: Final = HNSW_LINKS * 2 * 4 + 8
"""What links add per vector."""


@dataclass(frozen=True)
class Choice:
    """An index and why it was chosen."""

    name: Name
    why: str


def choose(n: int, d: int, *, memory: int, cuda: bool = False, wanted: str | None = None, asked: int | None = None) -> Choice:
    """The index for the neighbors of `asked` queries (default: every vector) among n vectors of d components in `memory` bytes.

    `wanted` overrides. Raises `ConfigError` if there is no such index.
    """
    if wanted is not None:
        for name in NAMES:
            if wanted == name:
                return Choice(name, f"{name} index for {n:,} vectors of {d} components, as asked")
        raise ConfigError(f"there is no index {wanted!r}", hint=f"choose one of {', '.join(NAMES)}")
    queries = n if asked is None else asked
    seconds = queries * n * d / (CUDA_RATE if cuda else CPU_RATE)
    facts = f"{n:,} vectors of {d} components"
    if seconds <= PATIENCE:
        return Choice("exact", f"exact search for {facts}: about {_time(seconds)}, nothing is missed")
    slow = f"an exact search would take about {_time(seconds)}"
    whole = n * d * 4
    if whole + n * HNSW_BYTES <= memory and n <= 10_000_000:
        return Choice("hnsw", f"HNSW for {facts}: {slow}, and {_size(whole + n * HNSW_BYTES)} fit into {_size(memory)}")
    if whole + 8 * n <= memory:
        return Choice("ivf", f"IVF-Flat for {facts}: {slow}, and {_size(whole + 8 * n)} fit into {_size(memory)}")
    return Choice(
        "pq", f"IVF-PQ for {facts}: {slow}, and {_size(whole)} do not fit into {_size(memory)}; distances are estimates"
    )


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.0f} h"


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
