"""The whole job of one shard: load, stream, commit. An engine only decides where it runs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gpu_quality.annotations import objects_tensor
from gpu_quality.cards import ModelCard
from gpu_quality.data.loader import Failure, Loaded, LoaderSettings, Source, load
from gpu_quality.data.sources import open_source
from gpu_quality.encoders.encoder import ImageEncoder, load_encoder
from gpu_quality.engine.columns import ShardColumns
from gpu_quality.engine.stream import Stream, Work
from gpu_quality.errors import FrameError
from gpu_quality.geometry.regions import regions_of
from gpu_quality.plan import Plan
from gpu_quality.store.store import Store
from gpu_quality.types import Crops, Facts, Frame, Objects, Pixels, Shard, Sizes, moved

BLIND_BATCH = 8192
"""Frames per batch when no image is opened."""
Culprits = Mapping[int, FrameError]
Heartbeat = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Embedding:
    """What embeds, and how: everything that decides what a vector is."""

    card: ModelCard
    precision: str
    batch: int
    crops: Crops
    device: str = "cpu"
    """Kind of device that the vectors come from."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker has to know; the same for every shard of a layer."""

    store: Path
    layer: str
    plan: Plan
    root: Path | None
    loader: LoaderSettings
    origins: tuple[str, ...]
    classes: tuple[str, ...]
    regions: frozenset[str]
    seed: int
    device: str = "cpu"
    dataset: Any = None
    embedding: Embedding | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a shard, and where its seconds went."""

    shard: str
    scored: int
    errors: int
    cell_errors: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    """What a person should know about how the shard was scored."""


class Worker:
    """Shard in, receipt out; commits its own shard."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.store = Store.open(job.store)
        self.frames = self.store.frames().to_pandas()
        self.encoder = _encoder(job)
        resources: dict[str, object] = {"classes": job.classes, "seed": job.seed, "encoder": self.encoder}
        if job.embedding is not None:
            resources["crops"] = job.embedding.crops
        layer = next(layer for layer in self.store.layers() if layer.name == job.layer)
        self.hashed = "file_hash" in layer.columns
        self._held: tuple[Shard, pd.DataFrame, Objects | None] | None = None
        self.stream = Stream(job.plan, {k: v for k, v in resources.items() if k in job.plan.resources}, job.origins)

    def __call__(self, shard: Shard, culprits: Culprits | None = None, heartbeat: Heartbeat | None = None) -> Receipt:
        """Score every frame of a shard but the `culprits`, which become error rows, and commit."""
        started = time.perf_counter()
        blamed = dict(culprits or {})
        rows = [row for row in range(len(shard.rows)) if row not in blamed]
        columns, seconds = self.score(shard, rows, heartbeat)
        for row, error in blamed.items():
            columns.fail(Failure(row, error))
        begun = time.perf_counter()
        extra = {} if self.encoder is None else {"encoder_batch": self.encoder.batch}
        self.store.commit(self.job.layer, shard.name, columns.tables(), columns.arrays(), extra)
        seconds |= {"write": time.perf_counter() - begun, "total": time.perf_counter() - started}
        remarks: list[str] = []
        if self.encoder is not None:
            remarks, self.encoder.remarks = self.encoder.remarks, remarks
        return Receipt(shard.name, columns.scored, columns.failed, columns.cell_errors(), seconds, tuple(remarks))

    def score(
        self, shard: Shard, rows: Sequence[int], heartbeat: Heartbeat | None = None
    ) -> tuple[ShardColumns, dict[str, float]]:
        """Score the given rows of a shard without writing anything."""
        if self.encoder is not None and heartbeat is not None:
            self.encoder.on_batch = lambda: heartbeat(0, 0)
        frames, objects = self._inputs(shard)
        columns = ShardColumns(self.job.plan, self.job.origins, frames, objects, shard.name, hashed=self.hashed)
        seconds: dict[str, float] = {}
        for loaded in self._batches(frames, list(rows)):
            for failure in loaded.failures:
                columns.fail(failure)
            for phase, spent in loaded.seconds.items():
                seconds[phase] = seconds.get(phase, 0.0) + spent
            if loaded.rows:
                begun = time.perf_counter()
                work, members = self._work(frames, objects, loaded)
                columns.add(loaded.rows, members, self.stream(work), loaded.digests)
                seconds["stream"] = seconds.get("stream", 0.0) + time.perf_counter() - begun
            if heartbeat is not None:
                heartbeat(len(loaded.rows) + len(loaded.failures), len(loaded.failures))
        return columns, seconds

    def _inputs(self, shard: Shard) -> tuple[pd.DataFrame, Objects | None]:
        """The shard's rows of the input tables, kept until another shard is asked for."""
        if self._held is None or self._held[0] != shard:
            frames = self.frames.iloc[shard.rows.start : shard.rows.stop].reset_index(drop=True)
            self._held = (shard, frames, self._objects(shard))
        return self._held[1], self._held[2]

    def _objects(self, shard: Shard) -> Objects | None:
        if not self.job.plan.roots & {"objects", "regions"} or not self.job.origins:
            return None
        table = self.store.objects(shard.rows.start, shard.rows.stop)
        return objects_tensor(table, shard.rows.start, shapes=True)

    def _batches(self, frames: pd.DataFrame, rows: list[int]) -> "Iterator[Loaded | _Blind]":
        """Decoded batches, or bare rows where no pixel is needed and the labels say how large the frames are."""
        images = self.job.root is not None or self.job.dataset is not None
        if self.job.plan.reads_pixels or (images and frames[["width", "height"]].isna().any(axis=None)):
            yield from load(self._source(frames), rows, self.job.loader)
            return
        for start in range(0, len(rows), BLIND_BATCH):
            yield _Blind(rows[start : start + BLIND_BATCH], [])

    def _source(self, frames: pd.DataFrame) -> Source:
        seen = zip(frames["size_bytes"].tolist(), frames["mtime_ns"].tolist(), strict=True)
        expected = [None if size < 0 else (size, mtime) for size, mtime in seen]
        return open_source(self.job.root, frames["uri"].tolist(), expected, self.job.dataset)

    def _work(self, frames: pd.DataFrame, objects: Objects | None, loaded: "Loaded | _Blind") -> tuple[Work, Tensor]:
        """One batch as the stream sees it, and which objects of the shard are in it."""
        rows = torch.tensor(loaded.rows, dtype=torch.int64)
        if objects is None:
            members, inside = torch.empty(0, dtype=torch.int64), None
        else:
            place = torch.full((len(frames),), -1, dtype=torch.int64)
            place[rows] = torch.arange(len(rows))
            members = (place[objects.frame] >= 0).nonzero().flatten()
            inside = objects if len(members) == len(objects) else objects.select(members)
            inside = replace(inside, frame=place[inside.frame])
        named = _frames(frames.iloc[loaded.rows]) if "frames" in self.job.plan.roots else ()
        if loaded.pixels is not None:
            sizes = Sizes(loaded.pixels.width, loaded.pixels.height)
        else:
            sizes = declared_sizes(frames.iloc[loaded.rows])
        return self._assemble(named, sizes, inside, loaded.pixels, loaded.facts, single=True), members

    def _assemble(
        self,
        frames: tuple[Frame, ...],
        sizes: Sizes,
        objects: Objects | None,
        pixels: Pixels | None,
        facts: Facts | None,
        *,
        single: bool,
    ) -> Work:
        """Build the roots the plan asked for; with `single`, also a way to see each frame alone."""
        wanted = self.job.plan.roots
        picked = torch.empty(0, dtype=torch.int64)
        roots: dict[str, object] = {"frames": frames, "sizes": sizes, "objects": objects, "facts": facts, "pixels": pixels}
        if "regions" in wanted:
            if objects is not None:
                origins = [
                    i for i in range(len(self.job.origins)) if ("labels" if i == 0 else "predictions") in self.job.regions
                ]
                picked = torch.isin(objects.origin, torch.tensor(origins, dtype=torch.int8)).nonzero().flatten()
            roots["regions"] = regions_of(objects.select(picked) if objects is not None else None, sizes)
        if self.job.device != "cpu":
            roots["pixels"] = moved(pixels, self.job.device)

        def alone(frame: int) -> Work:
            cut = slice(frame, frame + 1)
            own = None if objects is None else objects.select((objects.frame == frame).nonzero().flatten())
            return self._assemble(
                frames[cut],
                Sizes(sizes.width[cut], sizes.height[cut]),
                own and replace(own, frame=torch.zeros_like(own.frame)),
                pixels and Pixels(pixels.data, pixels.offset[cut], pixels.height[cut], pixels.width[cut]),
                facts and Facts(*(getattr(facts, name)[cut] for name in Facts.__dataclass_fields__)),
                single=False,
            )

        given = {name: value for name, value in roots.items() if name in wanted or (name == "pixels" and "rgb" in wanted)}
        unknown = sizes.width.isnan() | sizes.height.isnan()
        return Work(
            given, len(sizes.width), objects, picked, alone if single else None, unsized=unknown if unknown.any() else None
        )


def _encoder(job: Job) -> ImageEncoder | None:
    """The encoder of a job that has to embed something, on the job's device; on a CPU it shares the loader's threads."""
    if job.embedding is None or "encoder" not in job.plan.resources:
        return None
    given = job.embedding
    threads = job.loader.threads if job.device == "cpu" else 1
    return load_encoder(given.card, device=job.device, precision=given.precision, batch=given.batch, threads=threads)


@dataclass(frozen=True, slots=True)
class _Blind:
    """A batch of frames whose images stay closed."""

    rows: list[int]
    failures: list[Failure]
    pixels: None = None
    facts: None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def digests(self) -> list[str]:
        """No file was read."""
        return [""] * len(self.rows)


def declared_sizes(frames: pd.DataFrame) -> Sizes:
    """Sizes the labels claim; NaN, and all of them floating, where a frame's size is unknown."""
    columns = [frames[name].to_numpy(np.float64, na_value=np.nan) for name in ("width", "height")]
    width, height = (torch.tensor(c) if np.isnan(c).any() else torch.tensor(c.astype(np.int32)) for c in columns)
    return Sizes(width, height)


def _frames(frames: pd.DataFrame) -> tuple[Frame, ...]:
    """The rows of the frame table as metrics see them."""
    columns = (frames[name].tolist() for name in ("frame", "uri", "sequence", "position", "seconds"))
    return tuple(
        Frame(str(name), str(uri), str(sequence or ""), int(position), None if pd.isna(seconds) else float(seconds))
        for name, uri, sequence, position, seconds in zip(*columns, strict=True)
    )
