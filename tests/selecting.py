"""A store made in code for tests of selection: frames on a few directions, some labeled, predictions, columns, duplicates."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from gpu_quality.annotations import FRAMES, OBJECTS
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store

ENCODER = {
    "card": "made", "sha256": "0" * 64, "meaning": {"model": "x"}, "precision": "float32", "batch": 4, "device": "cpu",
    "text": False,
}  # fmt: skip


def fact(per="frame", unit="fraction", bad="neither", **more):
    return {"per": per, "unit": unit, "bad": bad, "hidden": False, "version": 1, "summary": "What it is.", **more}


def made_store(
    out: Path,
    n: int,
    *,
    vectors: np.ndarray | None = None,
    labelled: set[int] = frozenset(),
    objects: list[tuple[int, int, int, float | None]] = (),
    classes: tuple[str, ...] = ("cat", "dog", "fox"),
    origins: tuple[str, ...] = ("labels", "net"),
    columns: dict[str, tuple[dict, np.ndarray]] | None = None,
    broken: set[int] = frozenset(),
) -> Store:
    """A finished store of n frames; `objects` are (frame, origin, class, score), `columns` facts and values, NaN for null."""
    ids = [f"f{i:04d}.jpg" for i in range(n)]
    given = {
        "frame": ids, "uri": [f"deep/{name}" for name in ids], "size_bytes": [1] * n, "mtime_ns": [1] * n, "width": [64] * n,
        "height": [48] * n, "sequence": [""] * n, "position": [0] * n, "labelled": [i in labelled for i in range(n)],
        "split": ["train" if i % 2 else "val" for i in range(n)],
    }  # fmt: skip
    frames = pa.table([pa.array(given.get(f.name, [None] * n), f.type) for f in FRAMES], schema=FRAMES)
    columns = dict(columns or {})
    facts = {name: about for name, (about, _) in columns.items()}
    if vectors is not None:
        facts["embedding"] = {**fact(unit=""), "hidden": True, "vector": True}
    meta = {"kind": "stream", "columns": facts}
    if vectors is not None:
        meta["encoder"] = {**ENCODER, "dim": vectors.shape[1]}
    identity = {"shard_size": n, "origins": list(origins), "classes": list(classes),
                "class_sources": [str(i + 1) for i in range(len(classes))], "labels": None, "predictions": {},
                "pixels": True, "objects": True}  # fmt: skip
    with writer_lock(out):
        store = Store.create(out, identity, {"frames": frames, "objects": _objects(ids, sorted(objects))})
        store.begin_layer("00000000deadbeef", meta)
        shown = {name: np.ma.masked_invalid(values) for name, (_, values) in columns.items()}
        arrays = {} if vectors is None else {"embedding": vectors.astype(np.float16)}
        failed = sorted(broken)
        errors = {"frame": [ids[i] for i in failed], "stage": ["decode"] * len(failed),
                  "reason": ["truncated"] * len(failed), "detail": ["cut"] * len(failed)}  # fmt: skip
        tables = {"frames": shown} if shown else {}
        for shard in store.shards():
            store.commit("00000000deadbeef", shard.name, {**tables, **({"errors": errors} if failed else {})}, arrays)
        store.finish("00000000deadbeef")
    return store


def _objects(ids, rows):
    n = len(rows)
    given = {
        "object": [f"o{i}" for i in range(n)], "frame": [ids[r[0]] for r in rows], "origin": [r[1] for r in rows],
        "class_id": [r[2] for r in rows], "score": [r[3] for r in rows], "box": [[2.0, 3.0, 20.0, 21.0]] * n,
        "area": [324.0] * n, "crowd": [False] * n, "difficult": [False] * n, "kind": [0] * n,
        "source_id": [str(i) for i in range(n)], "row": [r[0] for r in rows], "file": ["labels.json"] * n,
        "record": list(range(n)),
    }  # fmt: skip
    return pa.table([pa.array(given.get(f.name, [None] * n), f.type) for f in OBJECTS], schema=OBJECTS)
