"""Layers: what a set of columns means, which of its shards are committed, and when it is complete."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_quality.errors import CorruptError, IncompatibleError, UsageError
from gpu_quality.store.commit import commit_bytes, remove_file, remove_folder
from gpu_quality.store.layout import (
    COMPLETE,
    LAYER,
    LAYERS,
    SHARD,
    WHOLE,
    checked_name,
    digest,
    is_shard,
    plain,
    read_sealed,
    seal,
)

if TYPE_CHECKING:
    from gpu_quality.store.store import Store


@dataclass(frozen=True, slots=True)
class Layer:
    """Columns computed together: `meta` as given to `Store.begin_layer`; complete when every frame is accounted for."""

    name: str
    meta: dict[str, Any]
    complete: bool

    @property
    def kind(self) -> str:
        """``stream`` (a folder per shard) or ``table`` (one shard called all)."""
        return str(self.meta.get("kind", "stream"))

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """Column name → its facts."""
        return dict(self.meta.get("columns", {}))


def layer_folder(store: Path, layer: str) -> Path:
    """Where a layer lies. Raises `UsageError` for a name that cannot be a folder's."""
    return store / LAYERS / checked_name(layer, "layer")


def layer_names(store: Path) -> list[str]:
    """Names of the layers that have begun, sorted."""
    folder = store / LAYERS
    return sorted(path.parent.name for path in folder.glob(f"[!.]*/{LAYER}")) if folder.is_dir() else []


def read_layer(store: Path, layer: str) -> Layer:
    """One layer. Raises `CorruptError` if its description is missing or damaged."""
    folder = layer_folder(store, layer)
    try:
        state = (folder / LAYER).stat()
    except OSError:
        content = read_sealed(folder / LAYER)  # says what is wrong
    else:
        content = _described(folder / LAYER, state.st_ino, state.st_size, state.st_mtime_ns)
    if content["layer"] != layer:
        raise CorruptError(f"{folder / LAYER} describes the layer {content['layer']!r}")
    meta = {key: value for key, value in content.items() if key not in ("layer", "seal")}
    return Layer(layer, meta, (folder / COMPLETE).is_file())


@lru_cache(maxsize=256)
def _described(path: Path, _inode: int, _size: int, _modified: int) -> dict[str, Any]:
    """A description, read once for as long as the file stays the same: a report asks for all of them a hundred times."""
    return read_sealed(path)


def begin_layer(store: Path, layer: str, meta: Mapping[str, object]) -> None:
    """Write the description of a layer; nothing happens if the same is there already.

    Raises `CorruptError` if the layer is described otherwise, `IncompatibleError` if a visible column belongs to another layer.
    """
    if meta.get("kind", "stream") not in ("stream", "table") or {"layer", "seal", "file"} & set(meta):
        raise UsageError("a layer's kind is 'stream' or 'table', and layer, seal and file are no keys of it")
    path = layer_folder(store, layer) / LAYER
    if path.exists():
        if read_layer(store, layer).meta != plain(meta):
            raise CorruptError(f"{path} describes other columns than those asked for under the same fingerprint")
        return
    asked = Layer(layer, plain(meta), complete=False).columns
    for other in (read_layer(store, name) for name in layer_names(store)):
        for name in sorted(set(asked) & set(other.columns)):
            if not (asked[name].get("hidden") and other.columns[name].get("hidden")):
                raise IncompatibleError(
                    f"{store} holds {name!r} of layer {other.name}, this run asks layer {layer}",
                    hint="give it another name with `as:`, write to another --out, or retire the old layer with --replace",
                )
    commit_bytes(path, seal({**meta, "layer": layer}, LAYER))


def done(store: Path, layer: str) -> frozenset[str]:
    """Names of the committed shards of a layer: one listing, no file is opened."""
    try:
        with os.scandir(layer_folder(store, layer)) as entries:
            return frozenset(entry.name for entry in entries if is_shard(entry.name) and entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return frozenset()


def shard_facts(store: Path, layer: str, shard: str) -> dict[str, Any]:
    """Content of a ``shard.json``. Raises `CorruptError`."""
    return read_sealed(layer_folder(store, layer) / shard / SHARD)


def is_frame_error(row: Mapping[str, Any]) -> bool:
    """Whether an error row means that its frame has no values; a row that names a metric or an object leaves it scored."""
    return row["frame"] is not None and row["object"] is None and row["metric"] is None and row["stage"] != "annotate"


def tally(manifests: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Frames listed, scored and in error, summed over shards."""
    total = {"listed": 0, "scored": 0, "errors": 0}
    for manifest in manifests:
        for key in total:
            total[key] += manifest["counts"][key]
    return total


def seal_of_shards(manifests: Iterable[Mapping[str, Any]]) -> str:
    """One digest over the manifests of all shards in order: notices a shard put back from an older copy."""
    return digest(json.dumps([manifest["seal"] for manifest in manifests]).encode())


def finish(store: "Store", layer: str, counts: Mapping[str, int] | None) -> dict[str, int]:
    """Write ``complete.json`` if every shard is committed and every frame is scored or in error; returns the counts.

    Raises `CorruptError` with both sides of the sum otherwise.
    """
    folder, frames = layer_folder(store.path, layer), store.input.count("frames")
    expected = [WHOLE] if read_layer(store.path, layer).kind == "table" else store.input.shard_names()
    if missing := sorted(set(expected) - done(store.path, layer)):
        raise CorruptError(
            f"layer {layer} lacks {len(missing)} of {len(expected)} shards, first {missing[0]}", hint="run it again"
        )
    manifests = [shard_facts(store.path, layer, shard) for shard in expected]
    found = tally(manifests)
    given = {key: int(value) for key, value in (found if counts is None else counts).items()}
    if given != found or found["listed"] != frames or found["listed"] != found["scored"] + found["errors"]:
        raise CorruptError(
            f"layer {layer} does not add up: given {given}, stored {found}, {frames} frames in the input",
            hint="run `verify`, then `repair`",
        )
    facts = {"layer": layer, **found, "shards": len(expected), "over": seal_of_shards(manifests)}
    commit_bytes(folder / COMPLETE, seal(facts, COMPLETE))
    return found


def retire(store: Path, layer: str) -> None:
    """Remove a layer at once. Raises `ResourceError`."""
    remove_folder(layer_folder(store, layer))


def drop_shards(store: Path, layer: str, shards: Iterable[str]) -> None:
    """Remove committed shards, so that a run computes them again; the layer is no longer complete. Raises `ResourceError`."""
    folder = layer_folder(store, layer)
    remove_file(folder / COMPLETE)
    for shard in shards:
        remove_folder(folder / checked_name(shard, "shard"))
