"""The canonical Arrow tables, and turning rows of them into tensors."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.types import KINDS, Answers, Objects, Shapes

FRAMES: Final = pa.schema(
    [
        pa.field("frame", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("sequence", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("seconds", pa.float64()),
        pa.field("split", pa.string()),
        pa.field("labelled", pa.bool_(), nullable=False),
    ]
)
"""One row per frame, sorted by id. `size_bytes` and `mtime_ns` are -1 where no file was seen; `labelled` tells a frame that the
labels call empty from one they do not know."""

OBJECTS: Final = pa.schema(
    [
        pa.field("object", pa.string(), nullable=False),
        pa.field("frame", pa.string(), nullable=False),
        pa.field("origin", pa.int8(), nullable=False),
        pa.field("class_id", pa.int32(), nullable=False),
        pa.field("box", pa.list_(pa.float64(), 4), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("track", pa.int64()),
        pa.field("area", pa.float64(), nullable=False),
        pa.field("crowd", pa.bool_(), nullable=False),
        pa.field("difficult", pa.bool_(), nullable=False),
        pa.field("kind", pa.int8(), nullable=False),
        pa.field("polygon", pa.list_(pa.list_(pa.float64()))),
        pa.field("rle", pa.struct([("height", pa.int32()), ("width", pa.int32()), ("counts", pa.binary())])),
        pa.field("angle", pa.float64()),
        pa.field("keypoints", pa.list_(pa.float64())),
        pa.field("probabilities", pa.list_(pa.float32())),
        pa.field("annotator", pa.string()),
        pa.field("annotation_seconds", pa.float64()),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
    ]
)
"""One row per label or prediction, sorted by (`row`, `origin`, input order); `row` is the row of its frame.

`origin` counts into `Dataset.origins`, `class_id` into `Dataset.classes`, `kind` into `types.KINDS`. `polygon` holds rings of
flat x y numbers, `rle` COCO-compressed counts. `area` is the declared one, else that of the shape. `file` and `record` say
where the object was read, as `uri` and `line` do in the error table; `annotation_seconds` is the time spent on it."""

CLASSIFICATIONS: Final = pa.schema(
    [
        pa.field("frame", pa.string(), nullable=False),
        pa.field("object", pa.string()),
        pa.field("origin", pa.int8(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("class_id", pa.int32(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("probabilities", pa.list_(pa.float32())),
        pa.field("annotator", pa.string()),
    ]
)
"""One row per answer to a question about a frame or an object."""

ERRORS: Final = pa.schema(
    [
        pa.field("frame", pa.string()),
        pa.field("object", pa.string()),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("exc_type", pa.string()),
        pa.field("metric", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("size_bytes", pa.int64()),
        pa.field("digest", pa.string()),
        pa.field("width", pa.int64()),
        pa.field("height", pa.int64()),
        pa.field("format", pa.string()),
        pa.field("attempt", pa.int64()),
        pa.field("shard", pa.string()),
    ]
)
"""One row per frame, annotation row or cell that has no value. For annotations `uri` is the name of their file and `line` the
line, or the place of the record in its list counted from 0."""

_OUTLINED: Final = (KINDS.index("polygon"), KINDS.index("mask"))
_NAMES: Final = b"gpu_quality.names"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything that readers found: what a run scores."""

    frames: pa.Table
    objects: pa.Table
    classifications: pa.Table
    errors: pa.Table
    classes: tuple[str, ...] = ()
    class_sources: tuple[str, ...] = ()
    """The classes' ids in the file they came from, as text."""
    origins: tuple[str, ...] = ("labels",)
    """"labels", then the names of the prediction sets."""
    notes: tuple[str, ...] = ()
    """Sentences for the person: what was skipped and how often."""

    def holds(self) -> dict[str, bool]:
        """Which facts that many inputs lack this one has: sequences of frames, track ids, times of annotation."""
        return {
            "sequence": pc.any(pc.not_equal(self.frames.column("sequence"), "")).as_py() or False,
            "outlined": bool(np.isin(self.objects.column("kind").to_numpy(), _OUTLINED).any()),
            "track": self.objects.column("track").null_count < len(self.objects),
            "annotation_seconds": self.objects.column("annotation_seconds").null_count < len(self.objects),
            "split": self.frames.column("split").null_count < len(self.frames),
            "answers": len(self.classifications) > 0,
        }


def stable_id(*parts: str) -> str:
    """16 hex digits that depend on nothing but the texts: SHA-256, each text preceded by its length."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def with_names(table: pa.Table, classes: tuple[str, ...], class_sources: tuple[str, ...], origins: tuple[str, ...]) -> pa.Table:
    """The table with names of classes and origins in its metadata, where a Parquet file keeps them."""
    names = json.dumps({"classes": classes, "class_sources": class_sources, "origins": origins})
    return table.replace_schema_metadata({_NAMES: names.encode()})


def names_of(table: pa.Table) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Classes, class sources and origins that `with_names` wrote; empty classes and ("labels",) where it did not."""
    metadata = table.schema.metadata or {}
    names = json.loads(metadata.get(_NAMES, b"{}"))
    return tuple(names.get("classes", ())), tuple(names.get("class_sources", ())), tuple(names.get("origins", ("labels",)))


def empty(schema: pa.Schema) -> pa.Table:
    """A table without rows."""
    return schema.empty_table()


def _numbers(table: pa.Table, name: str, missing: float) -> Tensor:
    column = table.column(name)
    if column.null_count:
        column = pc.fill_null(column, pa.scalar(missing, column.type))
    return torch.from_numpy(np.array(column.to_numpy()))


def _flat(array: Any) -> Any:
    """One Arrow array that owns exactly the rows of a chunked column."""
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _shapes(table: pa.Table) -> Shapes:
    polygon = _flat(table.column("polygon"))
    rings = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(polygon), 0).to_numpy(zero_copy_only=False))])
    ring = polygon.flatten()
    points = np.concatenate([[0], np.cumsum(ring.value_lengths().to_numpy(zero_copy_only=False) // 2)])
    values = np.array(ring.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
    counts = _flat(table.column("rle")).field("counts") if table.column("rle").null_count < len(table) else None
    valid = table.column("rle").is_valid().to_pylist()
    rle = counts.to_pylist() if counts is not None else [None] * len(table)
    return Shapes(
        _numbers(table, "kind", 0),
        torch.from_numpy(rings.astype(np.int64)),
        torch.from_numpy(points.astype(np.int64)),
        torch.from_numpy(values.reshape(-1, 2)),
        tuple(c if v else None for c, v in zip(rle, valid, strict=True)),
    )


def objects_tensor(table: pa.Table, first_row: int, shapes: bool) -> Objects:  # noqa: FBT001
    """Rows of the objects table as tensors; `frame` is the row in the data set less `first_row`.

    With `shapes` the outlines come too, though not where every row is a box.
    """
    box = _flat(table.column("box")).flatten().to_numpy(zero_copy_only=False)
    kinds = table.column("kind").to_numpy()
    return Objects(
        tuple(table.column("object").to_pylist()),
        _numbers(table, "row", 0).long() - first_row,
        _numbers(table, "origin", 0),
        torch.from_numpy(np.array(box, dtype=np.float64).reshape(-1, 4)),
        _numbers(table, "class_id", -1),
        _numbers(table, "score", 1.0),
        _numbers(table, "track", -1),
        _numbers(table, "area", 0.0),
        _numbers(table, "crowd", 0).bool(),
        _shapes(table) if shapes and kinds.any() else None,
    )


def answers_tensor(table: pa.Table, frames: pa.ChunkedArray, objects: pa.ChunkedArray) -> Answers:
    """Rows of the classifications table as tensors; `frames` and `objects` are the ids whose places they get."""
    return Answers(
        _places(table.column("frame"), frames),
        _places(table.column("object"), objects),
        _numbers(table, "origin", 0),
        torch.from_numpy(_codes(table.column("question"))),
        _numbers(table, "class_id", -1).long(),
        _numbers(table, "score", 1.0),
    )


def _places(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> Tensor:
    """The row of each id, -1 for null."""
    found = pc.fill_null(pc.index_in(ids, value_set=known, skip_nulls=True), -1)
    return torch.from_numpy(found.to_numpy().astype(np.int64))


def _codes(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    """Equal texts get equal numbers."""
    known = pc.unique(texts)
    return np.asarray(pc.index_in(texts, value_set=known).to_numpy(), np.int64)
