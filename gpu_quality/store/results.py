"""What is kept beside the layers: result files with their checksums, and the state of a run in numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpu_quality.store import layers
from gpu_quality.store.commit import commit_bytes
from gpu_quality.store.layout import COMPLETE, RESULTS, SUMS, WHOLE, checked_name, digest, read_sealed, seal
from gpu_quality.store.reading import fixed_rows

if TYPE_CHECKING:
    from gpu_quality.store.layers import Layer
    from gpu_quality.store.store import Store

ABSENT: Final = "absent"
"""Stands for a checksum while a result is written for the first time."""


def read_sums(store: Path) -> dict[str, list[str]]:
    """File of a result → the SHA-256 it may have: one, or two while it is replaced. Raises `CorruptError`."""
    path = store / RESULTS / SUMS
    return dict(read_sealed(path)["files"]) if path.exists() else {}


def save_result(store: Path, name: str, data: bytes) -> None:
    """Write ``results/<name>`` so that `verify` finds no fault at any moment: both checksums hold while it is replaced."""
    folder, new = store / RESULTS, digest(data)
    sums = read_sums(store)
    before = sums.get(checked_name(name, "result"), [ABSENT])
    commit_bytes(folder / SUMS, seal({"files": {**sums, name: sorted({*before, new})}}, SUMS))
    commit_bytes(folder / name, data)
    commit_bytes(folder / SUMS, seal({"files": {**sums, name: [new]}}, SUMS))


def status(store: "Store") -> dict[str, Any]:
    """The state of a run in numbers. Frames are counted once, however many layers look at them."""
    found = store.layers()
    stream = [layer for layer in found if layer.kind == "stream"]
    total = store.input.shard_names()
    # Measures of a person's own may be all there is; they see every frame at once.
    whole = bool(found) and not stream and all(layer.complete for layer in found)
    done = frozenset(total) if stream or whole else frozenset()
    for layer in stream:
        done &= store.done(layer.name)
    rows = [_layer_status(store, layer, len(total)) for layer in found]
    counts = [row["counts"] for row in rows if row["kind"] == "stream" or whole]
    committed = sum(len(store.input.rows_of(shard)) for shard in done)
    errors = counts[0]["errors"] if len(counts) == 1 else _failed_frames(store) if counts else 0
    return {
        "listed": store.input.count("frames"),
        "scored": max(committed - errors, 0),
        "errors": errors,
        "complete": bool(found) and all(layer.complete for layer in found),
        "shards": len(total),
        "shards_done": len(done),
        "input_errors": store.input.count("errors"),
        "layers": rows,
    }


def _layer_status(store: "Store", layer: "Layer", shards: int) -> dict[str, Any]:
    done = store.done(layer.name)
    if layer.complete:
        facts = read_sealed(layers.layer_folder(store.path, layer.name) / COMPLETE)
        counts = {key: int(facts[key]) for key in ("listed", "scored", "errors")}
    else:
        counts = layers.tally(layers.shard_facts(store.path, layer.name, shard) for shard in done)
    return {
        "name": layer.name,
        "kind": layer.kind,
        "complete": layer.complete,
        "shards": 1 if layer.kind == "table" else shards,
        "shards_done": len(done - {WHOLE} if layer.kind == "stream" else done & {WHOLE}),
        "columns": sorted(layer.columns),
        "counts": counts,
    }


def _failed_frames(store: "Store") -> int:
    """Frames that failed in any layer."""
    table = fixed_rows(store, "errors").select(["frame", "object", "metric", "stage"])
    return len({row["frame"] for row in table.to_pylist() if layers.is_frame_error(row)})
