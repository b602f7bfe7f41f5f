"""The door to faiss: approximate search among very many vectors, and indexes kept on disk, read only when they verify.

A kept index is a folder: ``index.faiss``, ``ids.npy`` (row of every stored vector) and ``meta.json`` (kind, sizes, what it was
built from, answers to a few fixed queries, SHA-256 of both files and of itself). It is a cache: whatever does not fit in every
point is built anew. Nothing is written here: an index is handed out as the bytes of its files.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from gpu_quality.errors import ConfigError, UsageError
from gpu_quality.index.searching import Neighbors
from gpu_quality.index.vectors import checked, usable

Kind = Literal["flat", "ivf", "hnsw", "pq"]
KINDS: Final = ("flat", "ivf", "hnsw", "pq")
INDEX, IDS, META = "index.faiss", "ids.npy", "meta.json"
FORMAT: Final = 2
BLOCK: Final = 65536
"""Vectors added or asked at a time, so that half precision is widened in pieces."""
PROBES: Final = 8
"""Fixed queries whose answers are kept with an index and asked again when it is read."""
LOOPS: Final = 1 << 24
"""Most rounds of a loop that faiss may be told to run by a file: levels, cells and code books are far fewer."""
Keep = Callable[[Path, Mapping[str, bytes | memoryview]], None]
"""Writes a folder of files so that it appears whole or not at all."""


@dataclass(frozen=True)
class Setting:
    """Which index, and how hard it looks: more probes or a wider search find more of the true neighbors."""

    kind: Kind = "flat"
    lists: int = 0
    """Cells of IVF and PQ; 0: four times the root of n."""
    probes: int = 32
    """Cells that a query looks into."""
    links: int = 32
    """Links per vector of HNSW."""
    width: int = 128
    """Candidates that HNSW keeps while it searches."""
    bytes: int = 64
    """Bytes per vector of PQ; divides the number of components."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"there is no index {self.kind!r}", hint=f"choose one of {', '.join(KINDS)}")


class Faiss:
    """Vectors in an index of faiss, searched by cosine. Row ids are those of the matrix it was built from."""

    def __init__(self, index: Any, ids: np.ndarray, setting: Setting, source: str) -> None:
        self.index, self.ids, self.setting, self.source = index, ids, setting, source

    def search(self, queries: Float[Tensor, "q d"], k: int, *, same: Int64[Tensor, " q"] | None = None) -> Neighbors:
        """The k nearest that the index finds, nearest first, equal ones by row; ``same[q]`` is the row of query q itself.

        Queries without a direction find nothing. Distances are those of the index: of PQ they are estimates.
        """
        if queries.ndim != 2 or queries.shape[1] != self.index.d:
            raise UsageError(f"queries {list(queries.shape)} do not fit an index of {self.index.d} components")
        distance = torch.full((len(queries), k), torch.nan)
        row = torch.full((len(queries), k), -1, dtype=torch.int64)
        known = usable(queries).nonzero().flatten().cpu()
        own = torch.full((len(queries),), -1, dtype=torch.int64) if same is None else same.cpu()
        width = min(k + 1, len(self.ids))
        for part in torch.split(known, BLOCK) if width else ():
            score, place = self.index.search(_units(queries, part), width)
            found = np.where(place >= 0, self.ids[place.clip(0)], -1)
            distance[part], row[part] = _without(torch.from_numpy(score), torch.from_numpy(found), own[part], k)
        return Neighbors(distance, row)

    def files(self) -> dict[str, bytes | memoryview]:
        """The files of a kept index by name, the one that vouches for the others last."""
        import faiss

        buffer, whole = io.BytesIO(), faiss.serialize_index(self.index)
        np.lib.format.write_array(buffer, self.ids, allow_pickle=False)
        files = {INDEX: memoryview(whole.data), IDS: buffer.getbuffer()}
        meta = {
            "format": FORMAT,
            "faiss": faiss.__version__,
            "setting": asdict(self.setting),
            "source": self.source,
            **_facts(self.index),
            "probes": _probed(self.index),
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        return {**files, META: _sealed(meta)}


def build(x: Float[Tensor, "n d"], setting: Setting, source: str = "") -> Faiss:
    """Put the usable rows of `x` into a new index; `source` names what they are, and a saved index is only used for the same.

    Raises
    ------
    UsageError
        PQ cannot split the components evenly.
    """
    ids = usable(checked(x)).nonzero().flatten().cpu()
    index = _empty(x.shape[1], len(ids), setting)
    if not index.is_trained:
        index.train(_units(x, _sample(ids, index.nlist, setting.seed)))
    for part in torch.split(ids, BLOCK):
        if len(part):
            index.add(_units(x, part))
    return Faiss(index, ids.numpy(), setting, source)


def load(folder: Path, setting: Setting, source: str) -> Faiss | None:
    """A kept index if every byte is as written, by this version of faiss, with this setting, from this source; else None.

    Nothing is given to faiss before its SHA-256 is right; then kind, sizes and ids are compared, and a few fixed queries must
    be answered as they were when it was made.
    """
    import faiss

    try:
        meta = json.loads((folder / META).read_bytes())
        asked = {"format": FORMAT, "faiss": faiss.__version__, "setting": asdict(setting), "source": source}
        if (folder / META).read_bytes() != _sealed({k: v for k, v in meta.items() if k != "seal"}):
            return None
        if any(meta[key] != value for key, value in asked.items()):
            return None
        files = {name: (folder / name).read_bytes() for name in (INDEX, IDS)}
        if any(hashlib.sha256(content).hexdigest() != meta["sha256"][name] for name, content in files.items()):
            return None
        ids = np.load(io.BytesIO(files[IDS]), allow_pickle=False)
        with _limits(len(files[INDEX])):
            index = _tuned(faiss.deserialize_index(np.frombuffer(files[INDEX], np.uint8)), setting)
        if {key: meta[key] for key in _facts(index)} != _facts(index) or not _rows(ids, index.ntotal):
            return None
        return Faiss(index, ids, setting, source) if _probed(index) == meta["probes"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, MemoryError):
        return None


def load_or_build(
    folder: Path, vectors: Callable[[], Float[Tensor, "n d"]], setting: Setting, source: str, keep: Keep | None = None
) -> Faiss:
    """The kept index where it verifies, else a new one of what `vectors` returns; `keep` gets its files. Raises as `build`."""
    if (kept := load(folder, setting, source)) is not None:
        return kept
    found = build(vectors(), setting, source)
    if keep is not None:
        keep(folder, found.files())
    return found


@contextmanager
def _limits(size: int) -> Iterator[None]:
    """Let faiss believe no length in a file that the file itself could not hold."""
    import faiss

    loops, length = faiss.get_deserialization_loop_limit(), faiss.get_deserialization_vector_byte_limit()
    faiss.set_deserialization_loop_limit(LOOPS)
    faiss.set_deserialization_vector_byte_limit(2 * size + (1 << 20))
    try:
        yield
    finally:
        faiss.set_deserialization_loop_limit(loops)
        faiss.set_deserialization_vector_byte_limit(length)


def _facts(index: Any) -> dict[str, Any]:
    """What must be the same when an index is read as when it was written."""
    kind, metric = type(index).__name__, int(index.metric_type)
    return {"type": kind, "metric": metric, "vectors": int(index.ntotal), "components": int(index.d)}


def _rows(ids: np.ndarray, count: int) -> bool:
    """Whether ids are rows of a matrix: whole numbers that rise from 0 or more, one for each vector."""
    return ids.dtype == np.int64 and ids.shape == (count,) and bool((np.diff(ids, prepend=-1) > 0).all())


def _probed(index: Any) -> list[int]:
    """What an index finds nearest to a few directions that are always the same."""
    queries = np.random.default_rng(0).standard_normal((PROBES, index.d), dtype=np.float32)
    return [] if index.ntotal == 0 else [int(place) for place in index.search(queries, 1)[1][:, 0]]


def _sealed(meta: dict[str, Any]) -> bytes:
    body = json.dumps(meta, sort_keys=True, indent=1)
    seal = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({**meta, "seal": seal}, sort_keys=True, indent=1).encode()


def _empty(d: int, n: int, setting: Setting) -> Any:
    import faiss

    if setting.kind == "flat" or n < 2:
        return faiss.IndexFlatIP(d)
    if setting.kind == "hnsw":
        index = faiss.IndexHNSWFlat(d, setting.links, faiss.METRIC_INNER_PRODUCT)
        return _tuned(index, setting)
    cells = min(setting.lists or round(4 * n**0.5), max(1, n // 39))  # faiss warns below 39 vectors per cell
    coarse = faiss.IndexFlatIP(d)
    if setting.kind == "ivf" or n < 39 * 256:  # a code book has 256 entries
        return _tuned(faiss.IndexIVFFlat(coarse, d, cells, faiss.METRIC_INNER_PRODUCT), setting)
    if d % setting.bytes:
        raise UsageError(f"{setting.bytes} bytes do not split {d} components evenly", hint="choose a divisor of the components")
    return _tuned(faiss.IndexIVFPQ(coarse, d, cells, setting.bytes, 8, faiss.METRIC_INNER_PRODUCT), setting)


def _tuned(index: Any, setting: Setting) -> Any:
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = setting.width
    if hasattr(index, "nprobe"):
        index.nprobe, index.cp.seed = min(setting.probes, index.nlist), setting.seed + 1
    return index


def _sample(ids: Int64[Tensor, " m"], cells: int, seed: int) -> Int64[Tensor, " t"]:
    """At most 256 vectors per cell are worth training on, the number at which faiss stops to look."""
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))
    return ids[order[: max(256 * cells, 1 << 16)].sort().values]


def _units(x: Tensor, rows: Int64[Tensor, " b"]) -> Float32[np.ndarray, "b d"]:
    block = x[rows.to(x.device)].double()
    return np.ascontiguousarray((block / block.norm(dim=1, keepdim=True)).float().cpu().numpy())


def _without(
    score: Tensor, row: Tensor, own: Int64[Tensor, " b"], k: int
) -> tuple[Float32[Tensor, "b k"], Int64[Tensor, "b k"]]:
    """The k best hits that are not the query itself, as distances, equal ones by row."""
    gone = (row < 0) | ((row == own[:, None]) & (own[:, None] >= 0))
    distance = torch.where(gone, torch.inf, (1 - score).clamp(0, 2))
    by_row = row.sort(dim=1, stable=True)
    order = distance.gather(1, by_row.indices).sort(dim=1, stable=True)
    row, distance = by_row.values.gather(1, order.indices), order.values
    row, distance = row[:, :k], distance[:, :k]
    missing = k - row.shape[1]
    row, distance = (torch.nn.functional.pad(t, (0, missing), value=v) for t, v in ((row, -1), (distance, torch.inf)))
    return torch.where(distance.isinf(), torch.nan, distance), torch.where(distance.isinf(), -1, row)
