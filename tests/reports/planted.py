"""A small finished store with planted problems, made in code: real files, made-up columns, no kernel is run."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from gpu_quality.annotations import FRAMES, OBJECTS
from gpu_quality.data.formats.folder import uri_of
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store

STREAM, TABLE = "0123456789abcdef", "fedcba9876543210"
SCRIPT = "<script>alert('x')</script>"
NAMES = (
    "=cmd|calc.jpg",
    "[bold]tag[/bold].jpg",
    'a & b "quoted".jpg',
    "copy_1.jpg",
    "copy_2.jpg",
    "dark.jpg",
    "new\nline\x1b[31m.jpg",
    "night/\u202egpj.exe.jpg",
    "plain_1.jpg",
    "plain_2.jpg",
    f"{SCRIPT.replace('/', '⁄')}.jpg",
    "truncated.jpg",
)
DARK, COPIES, BROKEN = 5, (3, 4), 11
SIZE = (48, 36)


def _fact(per: str, metric: str, unit: str, bad: str, summary: str, topic: str, **more: object) -> dict[str, object]:
    module = f"gpu_quality.metrics.{topic}" if topic else "gpu_quality_plugin_mine_01234567"
    return {
        "per": per, "metric": metric, "hidden": False, "unit": unit, "bounds": None, "bad": bad, "version": 1, "options": {},
        "fingerprint": "0" * 64, "summary": summary, "module": module, **more,
    }  # fmt: skip


STREAM_COLUMNS = {
    "brightness": _fact("frame", "brightness", "fraction of full scale", "neither", "How bright it is.", "color"),
    "sharpness": _fact("frame", "sharpness", "level²", "low", "How crisp it is.", "sharpness"),
    "noise": _fact("frame", "noise", "level", "high", "How grainy it is.", "sharpness"),
    "dark_score": _fact("frame", "dark_score", "score", "low", "How bright the brightest parts are.", "issues"),
    "phash": _fact("frame", "phash", "64-bit hash", "neither", "A fingerprint.", "hashes"),
    "mine": _fact("frame", "mine", "<b>apples</b>", "neither", "A metric of <i>my</i> own.", ""),
    "secret": _fact("frame", "secret", "level", "neither", "Not to be shown.", "color", hidden=True),
    "object_brightness": _fact("object", "brightness", "fraction of full scale", "neither", "How bright it is.", "color"),
    "object_area_relative": _fact("object", "object_area_relative", "fraction", "low", "How large it is.", "objects"),
}
TABLE_COLUMNS = {
    "is_dark_issue": _fact(
        "frame", "is_dark_issue", "flag", "high", "Whether a frame is too dark.", "flags", options={"threshold": 0.32}
    ),
    "is_odd_issue": _fact("frame", "is_odd_issue", "flag", "high", "Whether a frame is odd.", "flags"),
    "is_light_issue": _fact(
        "frame", "is_light_issue", "flag", "high", "Whether a frame is too bright.", "flags", options={"threshold": 0.1}
    ),
    "exact_duplicate_group": _fact(
        "frame", "exact_duplicate_group", "row", "neither", "The first of its copies.", "duplicates"
    ),
    "near_duplicate_group": _fact("frame", "near_duplicate_group", "row", "neither", "The first that looks so.", "duplicates"),
}


def write_images(folder: Path) -> None:
    """Noise pictures under the planted names: one dark, two equal, one that ends too early."""
    rng = np.random.default_rng(7)
    copy = rng.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    for row, name in enumerate(NAMES):
        pixels = copy if row in COPIES else rng.integers(0, 8 if row == DARK else 255, copy.shape, np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, "JPEG", quality=90)
    broken = folder / NAMES[BROKEN]
    broken.write_bytes(broken.read_bytes()[:200])


def planted_store(out: Path, images: Path | None, *, objects: bool = True) -> Store:
    """A complete store of the planted pictures, twelve frames in shards of eight; `images` None: their place is not known."""
    n = len(NAMES)
    ids = [uri_of(name) for name in NAMES]
    stats = [(images / name).stat() if images else None for name in NAMES]
    given = {
        "frame": ids, "uri": ids, "sequence": [""] * n, "position": list(range(n)), "labelled": [False] * n,
        "size_bytes": [s.st_size if s else -1 for s in stats], "mtime_ns": [s.st_mtime_ns if s else -1 for s in stats],
    }  # fmt: skip
    frames = pa.table([pa.array(given.get(f.name, [None] * n), f.type) for f in FRAMES], schema=FRAMES)
    tables = {"frames": frames, "objects": _objects(ids) if objects else OBJECTS.empty_table()}
    identity = {
        "shard_size": 8, "labels": {"format": "coco", "sha256": "0" * 64}, "predictions": {},
        "decode": {"exif": True, "max_mb": 64}, "origins": ["labels", "net"], "classes": ["cat", "<u>dog</u>"],
        "pixels": True, "objects": objects,
    }  # fmt: skip
    with writer_lock(out):
        store = Store.create(out, identity, tables)
        store.begin_layer(STREAM, {"kind": "stream", "columns": STREAM_COLUMNS})
        for shard in store.shards():
            store.commit(STREAM, shard.name, _stream(shard.rows, ids, objects=objects))
        store.finish(STREAM)
        store.begin_layer(TABLE, {"kind": "table", "columns": TABLE_COLUMNS})
        store.commit(TABLE, "all", {"frames": _table(n)})
        store.finish(TABLE)
    logs = out / "logs"
    logs.mkdir(exist_ok=True)
    root = None if images is None else str(images)
    (logs / "source.json").write_text(json.dumps({"root": root, "version": "0.1.0", "at": 1_700_000_000.0}))
    return store


def _objects(ids: list[str]) -> pa.Table:
    """Two labels in frame 0, one in frame 8, one prediction in frame 8; one box reaches out of its frame."""
    rows, boxes = [0, 0, 8, 8], [[2.0, 2, 20, 20], [10, 10, 12, 13], [-5, 5, 60, 30], [4, 5, 40, 30]]
    given = {
        "object": [f"o{i}" for i in range(4)], "frame": [ids[r] for r in rows], "origin": [0, 0, 0, 1],
        "class_id": [0, 1, 0, 0], "box": boxes, "area": [1.0] * 4, "crowd": [False] * 4, "difficult": [False] * 4,
        "kind": [0] * 4, "source_id": list("abcd"), "row": rows, "file": ["labels.json"] * 4, "record": list(range(4)),
    }  # fmt: skip
    return pa.table([pa.array(given.get(f.name, [None] * 4), f.type) for f in OBJECTS], schema=OBJECTS)


def values(n: int) -> dict[str, np.ndarray]:
    """The made-up columns of all frames; the broken frame is masked where they are stored."""
    return {
        "brightness": np.arange(n) / n,
        "sharpness": 1000.0 - 50 * np.arange(n),
        "noise": np.full(n, 2.0),
        "dark_score": np.where(np.arange(n) == DARK, 0.05, 0.9),
        "phash": np.arange(n) + 2**62,
        "mine": np.arange(n)[::-1] ** 2.0,
        "secret": np.arange(n),
    }


def _stream(rows: range, ids: list[str], *, objects: bool) -> dict[str, object]:
    failed = [row for row in rows if row == BROKEN]
    mask = np.array([row == BROKEN for row in rows])
    tables: dict[str, object] = {
        "frames": {name: np.ma.masked_array(v[rows.start : rows.stop], mask) for name, v in values(len(ids)).items()}
    }
    if objects:
        numbers = np.array([0.0, 1] if rows.start == 0 else [2.0, 3])  # two objects lie in either shard
        tables["objects"] = {"object_brightness": numbers / 10, "object_area_relative": (numbers + 1) / 100}
    if failed:
        tables["errors"] = {
            "frame": [ids[row] for row in failed], "uri": [ids[row] for row in failed], "stage": ["decode"] * len(failed),
            "reason": ["truncated"] * len(failed), "detail": [f"{SCRIPT} ends too early"] * len(failed),
        }  # fmt: skip
    return tables


def _table(n: int) -> dict[str, object]:
    flags = np.zeros(n, bool)
    mask = np.arange(n) == BROKEN
    dark, odd = flags.copy(), ~flags
    dark[DARK] = True
    group = np.where(np.isin(np.arange(n), COPIES), COPIES[0], -1)
    near = np.where(np.isin(np.arange(n), (8, 9)), 8, group)
    return {
        "is_dark_issue": np.ma.masked_array(dark, mask),
        "is_odd_issue": np.ma.masked_array(odd, mask),
        "is_light_issue": np.ma.masked_array(flags, mask),
        "exact_duplicate_group": np.ma.masked_array(group, group < 0),
        "near_duplicate_group": np.ma.masked_array(near, near < 0),
    }
