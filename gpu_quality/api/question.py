"""The question a store answers: frozen when it is made, compared key by key ever after."""

import json
import math
import time
from pathlib import Path
from typing import Any, Final

from gpu_quality import __version__, plan
from gpu_quality.api import changes, inputs
from gpu_quality.api.progress import Progress
from gpu_quality.config import RunConfig
from gpu_quality.errors import IncompatibleError, UsageError
from gpu_quality.store.commit import commit_bytes
from gpu_quality.store.store import Store

SHARDS_AIMED_AT: Final = 500
SMALLEST_SHARD, LARGEST_SHARD = 256, 8192


def shard_size(frames: int, configured: str | int, *, pixels: bool = True) -> int:
    """Frames per shard: a power of two from 256 to 8,192 that gives about 500 shards, unless configured.

    Without images to open it is 8,192: scoring such a shard takes less time than committing hundreds of small ones.
    """
    if configured != "auto":
        return int(configured)
    if not pixels:
        return LARGEST_SHARD
    wanted = 2 ** round(math.log2(max(frames, 1) / SHARDS_AIMED_AT)) if frames else SMALLEST_SHARD
    return int(min(max(wanted, SMALLEST_SHARD), LARGEST_SHARD))


def _question(config: RunConfig, dataset: Any) -> dict[str, Any]:
    """The part of `run.json` that a resumed run has to agree with, key by key."""
    return {
        **inputs.identity(config.source),
        "images": dataset is not None or config.source.images is not None,
        "sequences": config.source.sequences,
        "decode": config.decode.meaning(),
        "regions": sorted(config.regions),
        "seed": config.seed,
    }


def open_or_create(config: RunConfig, out: Path, progress: Progress, dataset: Any) -> tuple[Store, Path | None]:
    """The store at `out`, made now or found to answer the same question, and the folder image paths are relative to.

    Raises `IncompatibleError` naming the keys that differ, `UsageError` and `EmptyInputError` about the input.
    """
    question = _question(config, dataset)
    if (out / "run.json").is_file():
        store = Store.open(out)
        differ = [key for key, value in question.items() if store.identity.get(key) != json.loads(json.dumps(value))]
        if differ:
            told = ", ".join(f"{key} ({store.identity.get(key)!r:.80} there, {question[key]!r:.80} asked)" for key in differ)
            raise IncompatibleError(
                f"{out} answers another question: {told}", hint="write to another --out, or repeat the earlier settings"
            )
        root = changes.check_inputs(store, config.source, dataset, progress.say)
        return store, root
    if config.metrics != "default":
        plan.parse_wanted(config.metrics)  # a misspelt name is told before a long listing
    tables, root = inputs.read_source(config.source, progress.say, dataset)
    progress.say(f"{tables.frames.num_rows:,} frames listed")
    pixels = dataset is not None or root is not None
    facts = {
        "pixels": pixels,
        "objects": config.source.labels is not None or bool(config.source.predictions) or tables.objects.num_rows > 0,
        "holds": tables.holds(),
        "origins": list(tables.origins),
        "classes": list(tables.classes),
        "class_sources": list(tables.class_sources),
        "shard_size": shard_size(tables.frames.num_rows, config.engine.shard, pixels=pixels),
    }
    store = Store.create(
        out,
        {**question, **facts},
        {
            "frames": tables.frames,
            "objects": tables.objects,
            "classifications": tables.classifications,
            "errors": tables.errors,
        },
    )
    return store, root


def reject_dataset_mixup(store: Store, root: Path | None, dataset: Any) -> None:
    """Raise `UsageError` where a store of images in memory is resumed without them."""
    if store.identity["pixels"] and root is None and dataset is None:
        raise UsageError(f"{store.path} was made from a data set in memory", hint="pass the same data set again to resume")


def log_source(store: Store, root: Path | None) -> None:
    """Where the images lie and what made the store; in logs/, because it differs between machines."""
    facts = {"root": None if root is None else str(root.resolve()), "version": __version__, "at": round(time.time(), 1)}
    commit_bytes(store.path / "logs" / "source.json", json.dumps(facts).encode())
