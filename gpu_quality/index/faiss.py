"""The door to faiss: approximate search among very many vectors, and indexes kept on disk, read only when they verify.

A saved index is a folder: ``index.faiss``, ``ids.npy`` (row of every stored vector) and ``meta.json`` (kind, sizes, what it was
built from, SHA-256 of both files and of itself). It is a cache: whatever does not fit in every point is built anew.
"""

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from gpu_quality.errors import ConfigError, ResourceError, UsageError
from gpu_quality.index.searching import Neighbors
from gpu_quality.index.vectors import checked, usable

Kind = Literal["flat", "ivf", "hnsw", "pq"]
KINDS: Final = ("flat", "ivf", "hnsw", "pq")
INDEX, IDS, META = "index.faiss", "ids.npy", "meta.json"
FORMAT: Final = 1
BLOCK: Final = 65536
"""Vectors added or asked at a time, so that half precision is widened in pieces."""


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

    def save(self, folder: Path) -> None:
        """Write the index into a folder that does not exist, marker last. Raises `ResourceError`."""
        import faiss

        data = faiss.serialize_index(self.index).tobytes()
        buffer = io.BytesIO()
        np.save(buffer, self.ids, allow_pickle=False)
        files = {INDEX: data, IDS: buffer.getvalue()}
        meta = {
            "format": FORMAT,
            "faiss": faiss.__version__,
            "setting": asdict(self.setting),
            "source": self.source,
            "vectors": len(self.ids),
            "components": int(self.index.d),
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        try:
            folder.mkdir(parents=True)
            for name, content in {**files, META: _sealed(meta)}.items():
                with (folder / name).open("xb") as stream:
                    stream.write(content)
        except OSError as error:
            raise ResourceError(f"cannot write the index {folder}: {error.strerror}", hint="name a new folder") from error


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
    """A saved index if every byte is as written, by this version of faiss, with this setting, from this source; else None.

    Nothing is given to faiss before its SHA-256 is right.
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
        index = faiss.deserialize_index(np.frombuffer(files[INDEX], np.uint8))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        return None
    if (index.ntotal, index.d, len(ids)) != (meta["vectors"], meta["components"], meta["vectors"]):
        return None
    return Faiss(_tuned(index, setting), ids, setting, source)


def load_or_build(folder: Path, x: Float[Tensor, "n d"], setting: Setting, source: str) -> Faiss:
    """The saved index where it verifies, else a new one (not saved). Raises as `build`."""
    return load(folder, setting, source) or build(x, setting, source)


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
