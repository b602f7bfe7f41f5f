"""Where a metric's data and results lie: a store, or a plain folder of images whose store is made beside them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gpu_quality.annotations import Builder
from gpu_quality.config import RunConfig
from gpu_quality.data.formats.folder import list_images
from gpu_quality.errors import UsageError
from gpu_quality.store.commit import commit_bytes
from gpu_quality.store.layout import RUN
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store

BESIDE: Final = ".gpu-quality"
"""Folder of the store of a plain folder of images."""
SHARD: Final = 8192


@dataclass(frozen=True, slots=True)
class Place:
    """A store, the folder its images lie in (None where nobody knows), and where files for people go."""

    store: Store
    root: Path | None
    files: Path


def open_place(data_dir: Path) -> Place:
    """The store at `data_dir`, or that of a folder of images, made now where there is none.

    Raises `UsageError`, `EmptyInputError` where there is no image, and what opening a store raises.
    """
    path = Path(data_dir)
    if (path / RUN).is_file():
        return Place(Store.open(path), _noted_root(path), path / "metrics")
    if not path.is_dir():
        raise UsageError(f"{path} is no folder", hint="give a store, the folder of --out, or a folder of images")
    beside = path / BESIDE
    if not (beside / RUN).is_file():
        with writer_lock(beside):
            _list_into(path, beside)
    return Place(Store.open(beside), path.resolve(), path / "metrics")


def _list_into(images: Path, store: Path) -> None:
    """Make the store that ``gpu-quality run IMAGES --out IMAGES/.gpu-quality`` would begin, so that it can go on with it."""
    builder = Builder()
    root = list_images(images, builder)
    tables = builder.build()
    config = RunConfig()
    identity: dict[str, Any] = {
        **config.source.model_dump(mode="json"),
        "labels": None,
        "predictions": {},
        "images": True,
        "pixels": True,
        "objects": False,
        "decode": config.decode.meaning(),
        "regions": sorted(config.regions),
        "seed": config.seed,
        "origins": list(tables.origins),
        "classes": [],
        "class_sources": [],
        "holds": tables.holds(),
        "shard_size": SHARD,
    }
    Store.create(store, identity, {"frames": tables.frames, "errors": tables.errors})
    commit_bytes(store / "logs" / "source.json", json.dumps({"root": str(root.resolve())}).encode())


def _noted_root(store: Path) -> Path | None:
    """The folder of images that the run of a store noted."""
    try:
        root = json.loads((store / "logs" / "source.json").read_text(encoding="utf-8"))["root"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if root is None else Path(str(root))
