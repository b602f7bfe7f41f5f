"""The vectors of a store, and the nearest of them to one query: exact piece by piece, or by an index that the store keeps."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpu_quality.errors import CorruptError, LockedError, ResourceError, UnknownNameError, UsageError
from gpu_quality.index import faiss
from gpu_quality.index.choice import Choice, choose
from gpu_quality.index.exact import Exact
from gpu_quality.index.vectors import usable
from gpu_quality.store import layers
from gpu_quality.store.commit import commit_folder, remove_folder
from gpu_quality.store.layout import SHARD
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Blocks, Store

Per = Literal["frame", "object"]
_MADE: Final = {"card": str, "sha256": str, "meaning": dict, "precision": str, "batch": int, "device": str, "dim": int}
"""What a store tells about the encoder of its vectors."""
NAMES: Final[Mapping[str, str]] = {"frame": "embedding", "object": "object_embedding"}
_ADD: Final[Mapping[str, str]] = {"frame": "singularity", "object": "object_singularity"}
"""A metric that cannot do without the vectors: a run embeds only what its metrics need."""
ALONE: Final = 1700
"""A query alone costs as much per vector as so many in one search: 3.5 microseconds for 512 components on one core, in which
the length of every vector is taken anew. Estimated times count it so."""


@dataclass(frozen=True, slots=True)
class Hits:
    """The nearest vectors, nearest first, and how they were found."""

    rows: tuple[int, ...]
    """Rows of the frames or objects of the input."""
    similarity: tuple[float, ...]
    """Cosines; of PQ estimates."""
    known: int
    """How many vectors there are; frames that failed, and objects that were not embedded, have none."""
    choice: Choice
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vectors:
    """The stored vectors of the frames or the objects of a store."""

    store: Store
    per: Per
    layer: str
    encoder: Mapping[str, Any]
    """What made them: card, sha256, meaning, precision, batch, device, text, dim."""
    blocks: Blocks

    def pieces(self) -> Iterator[tuple[range, Float[Tensor, "n d"]]]:
        """Rows of the input and their vectors, mapped when they are reached; shards in which all failed are left out."""
        for rows, array in self.blocks:
            if array.ndim != 2 or array.dtype != np.float16:
                raise CorruptError(
                    f"{self.store.path}: {NAMES[self.per]} is {array.dtype} {list(array.shape)}, not float16 [n, d]"
                )
            if array.shape[1] == self.encoder["dim"]:
                yield rows, torch.from_numpy(np.array(array))
            elif array.shape[1]:
                raise CorruptError(
                    f"{self.store.path}: {NAMES[self.per]} has {array.shape[1]} components, its card {self.encoder['dim']}"
                )

    def one(self, row: int) -> Float[Tensor, "1 d"] | None:
        """The vector of a row; None where it has none."""
        for rows, part in self.pieces():
            if row in rows:
                found = part[row - rows.start][None]
                return found if bool(usable(found).all()) else None
        return None

    def search(self, query: Float[Tensor, "1 d"], k: int, *, own: int = -1, kind: str = "auto") -> Hits:
        """The k rows nearest to a query that is itself row `own` (-1: none). Raises `ConfigError` for an unknown index."""
        listed = sum(len(rows) for rows in self.blocks.rows)
        wanted = None if kind == "auto" else kind
        choice = choose(listed, query.shape[1], memory=_memory(), wanted=wanted, asked=ALONE)
        if choice.name == "exact":
            return self._exact(query, k, own, choice)
        return self._by_index(query, k, own, choice, faiss.Setting(choice.name))

    def _exact(self, query: Float[Tensor, "1 d"], k: int, own: int, choice: Choice) -> Hits:
        """Piece by piece, so that only one is in memory; the best of the best are the best."""
        found: list[tuple[float, int]] = []
        known = 0
        for rows, part in self.pieces():
            known += int(usable(part).sum())
            here = own - rows.start if own in rows else -1
            near = Exact().search(query, part, k, same=torch.tensor([here]))
            best = zip(near.distance[0].tolist(), near.row[0].tolist(), strict=True)
            found = sorted([*found, *((distance, rows.start + row) for distance, row in best if row >= 0)])[:k]
        return Hits(tuple(row for _, row in found), tuple(1 - distance for distance, _ in found), known, choice)

    def _by_index(self, query: Float[Tensor, "1 d"], k: int, own: int, choice: Choice, setting: faiss.Setting) -> Hits:
        rows = np.concatenate([np.empty(0, np.int64), *(np.arange(part.start, part.stop) for part in self.blocks.rows)])
        notes: list[str] = []

        def keep(folder: Path, files: Mapping[str, bytes | memoryview]) -> None:
            notes.append(_kept(self.store.path, folder, files))

        index = faiss.load_or_build(self.folder(setting), lambda: self._whole(len(rows)), setting, self.source(), keep)
        place = int(np.searchsorted(rows, own)) if own >= 0 else -1
        near = index.search(query, k, same=torch.tensor([place]))
        hits = [
            (1 - d, int(rows[at])) for d, at in zip(near.distance[0].tolist(), near.row[0].tolist(), strict=True) if at >= 0
        ]
        told = tuple(note for note in notes if note)
        return Hits(tuple(row for _, row in hits), tuple(cosine for cosine, _ in hits), len(index.ids), choice, told)

    def _whole(self, count: int) -> Float[Tensor, "n d"]:
        """All vectors side by side, without gaps for shards that are not there; NaN where there is none."""
        whole = torch.full((count, self.encoder["dim"]), torch.nan, dtype=torch.float16)
        start = {rows.start: place for rows, place in zip(self.blocks.rows, _places(self.blocks.rows), strict=True)}
        for rows, part in self.pieces():
            whole[start[rows.start] : start[rows.start] + len(rows)] = part
        return whole

    def folder(self, setting: faiss.Setting) -> Path:
        """Where the store keeps the index of these vectors with this setting."""
        what = json.dumps([self.layer, NAMES[self.per], dataclasses.asdict(setting)], sort_keys=True)
        return self.store.path / "index" / hashlib.sha256(what.encode()).hexdigest()[:16]

    def source(self) -> str:
        """What an index of these vectors is an index of: the checksums with which their shards were committed."""
        parts = [layers.shard_facts(self.store.path, self.layer, path.parent.name)["seal"] for path in self.blocks.paths]
        return f"{NAMES[self.per]} of {self.layer}, {SHARD} {hashlib.sha256(''.join(parts).encode()).hexdigest()}"


def vectors_of(store: Store, per: Per) -> Vectors:
    """The vectors of a store's frames or objects. Raises `UsageError` that tells how to add them where there are none."""
    name = NAMES[per]
    facts = store.columns().get(name)
    if per == "object" and not store.input.count("objects"):
        raise UsageError(f"{store.path} has no objects", hint="search among frames, or run with --labels")
    if not store.identity.get("pixels", True):
        raise UsageError(
            f"{store.path} holds no vectors: it was made of labels without their images",
            hint="gpu-quality run IMAGES --labels …, into another --out",
        )
    if facts is None or not facts.get("encoder"):
        card = store.columns().get(NAMES["frame"], {}).get("encoder", {}).get("card", "default")
        raise UsageError(
            f"{store.path} holds no vectors of its {per}s",
            hint=f"run again into the same store with --metrics {_ADD[per]} --encoder {card}: what is stored is kept",
        )
    if any(not isinstance(facts["encoder"].get(key), kind) for key, kind in _MADE.items()):
        raise CorruptError(f"{store.path} does not tell what made its vectors", hint="embed again with --replace")
    try:
        return Vectors(store, per, facts["layer"], facts["encoder"], store.array(name, per))
    except UnknownNameError:
        raise UsageError(
            f"no vector of a {per} is finished in {store.path}", hint="run the same command again to go on"
        ) from None


def _places(rows: Sequence[range]) -> list[int]:
    ends = np.cumsum([0, *(len(part) for part in rows)])
    return [int(end) for end in ends[:-1]]


def _memory() -> int:
    """Half of this machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _kept(store: Path, folder: Path, files: Mapping[str, bytes | memoryview]) -> str:
    """Keep an index in the store; returns why it could not be kept, which harms nobody but the next search's time."""
    try:
        with writer_lock(store):
            remove_folder(folder)
            commit_folder(folder, files)
    except (LockedError, ResourceError) as error:
        return f"the index is not kept in the store: {error}"
    return ""
