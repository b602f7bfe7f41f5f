"""Objects as Arrow columns: ids of their own, outlines and masks as nested columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_quality.annotations.columns import AnswerColumns, Masks, ObjectColumns, Ragged, kinds
from gpu_quality.annotations.tables import CLASSIFICATIONS, OBJECTS
from gpu_quality.geometry.polygons import Outlines

STORED = pa.schema([field for field in OBJECTS if field.name not in ("frame", "polygon")])
"""Columns of objects before they are sorted: `row` is the Builder's row of the frame, which gives `frame` in the end. Outlines,
by far the largest column, wait in NumPy."""
ANSWERED = pa.schema([*[field for field in CLASSIFICATIONS if field.name != "frame"], pa.field("row", pa.int32())])
"""Columns of answers before they are sorted."""


def arrow_rows(number: int, origin: str, file: str, columns: ObjectColumns) -> pa.Table:
    """Checked objects of one origin as Arrow rows, in input order; `file` is their file where `columns` names none."""
    n = len(columns)
    source = pa.array(columns.source_id if columns.source_id is not None else columns.record).cast(pa.string())
    given: dict[str, Any] = {
        "object": pc.binary_join_element_wise(origin, source, "/"),
        "origin": np.full(n, number, np.int8),
        "class_id": columns.class_id.astype(np.int32),
        "box": pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(columns.box).reshape(-1)), 4),
        "area": columns.area,
        "crowd": columns.crowd if columns.crowd is not None else np.zeros(n, bool),
        "difficult": columns.difficult if columns.difficult is not None else np.zeros(n, bool),
        "kind": kinds(columns),
        "source_id": source,
        "file": pa.repeat(file, n) if columns.file is None else pa.array(columns.file, pa.string()),
        "record": columns.record,
        "row": columns.frame.astype(np.int32),
    }
    if columns.score is not None:
        given["score"] = pa.array(columns.score, mask=columns.unscored)
    if columns.track is not None:
        given["track"] = pa.array(columns.track, mask=columns.track < 0)
    if columns.angle is not None:
        given["angle"] = pa.array(columns.angle, mask=np.isnan(columns.angle))
    if columns.masks is not None:
        given["rle"] = _rle(columns.masks)
    if columns.keypoints is not None:
        given["keypoints"] = _lists(columns.keypoints)
    if columns.probabilities is not None:
        given["probabilities"] = _lists(columns.probabilities).cast(OBJECTS.field("probabilities").type)
    if columns.annotator is not None:
        given["annotator"] = pa.array(columns.annotator, pa.string())
    if columns.annotation_seconds is not None:
        given["annotation_seconds"] = pa.array(columns.annotation_seconds, mask=np.isnan(columns.annotation_seconds))
    return _table(given, n, STORED)


def answer_rows(number: int, origin: str, columns: AnswerColumns) -> pa.Table:
    """Checked answers of one origin as Arrow rows, in input order."""
    n = len(columns)
    given: dict[str, Any] = {
        "origin": np.full(n, number, np.int8),
        "question": pa.array(columns.question, pa.string()),
        "class_id": columns.class_id.astype(np.int32),
        "row": columns.frame.astype(np.int32),
    }
    if columns.source is not None:
        given["object"] = pa.array([None if s is None else f"{origin}/{s}" for s in columns.source], pa.string())
    if columns.score is not None:
        given["score"] = pa.array(columns.score, mask=columns.unscored)
    if columns.probabilities is not None:
        given["probabilities"] = _lists(columns.probabilities).cast(CLASSIFICATIONS.field("probabilities").type)
    if columns.annotator is not None:
        given["annotator"] = pa.array(columns.annotator, pa.string())
    return _table(given, n, ANSWERED)


def _table(given: dict[str, Any], n: int, schema: pa.Schema) -> pa.Table:
    """The given columns in the order of the schema, null where nothing is given."""
    arrays = [given.get(field.name, pa.nulls(n, field.type)) for field in schema]
    return pa.table(
        [a if isinstance(a, pa.Array) else pa.array(a, f.type) for a, f in zip(arrays, schema, strict=True)], schema
    )


def _lists(rows: Ragged) -> pa.Array:
    """Rows of numbers as lists; null for an empty one."""
    return pa.ListArray.from_arrays(pa.array(rows.offset, pa.int32()), pa.array(rows.values), mask=pa.array(rows.count == 0))


def polygon_column(outlines: Outlines) -> pa.Array:
    """Outlines as lists of rings of numbers; null for an object without rings."""
    rings = pa.ListArray.from_arrays(pa.array(outlines.numbers, pa.int32()), pa.array(outlines.values))
    none = pa.array(np.diff(outlines.rings) == 0)
    return pa.ListArray.from_arrays(pa.array(outlines.rings, pa.int32()), rings, mask=none)


def _rle(masks: Masks) -> pa.Array:
    none = pa.array([counts is None for counts in masks.counts])
    parts = [pa.array(masks.height, pa.int32()), pa.array(masks.width, pa.int32()), pa.array(masks.counts, pa.binary())]
    return pa.StructArray.from_arrays(parts, fields=list(OBJECTS.field("rle").type), mask=none)


def unique_ids(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """The ids, with ``#2``, ``#3`` … behind those that were taken already."""
    if pc.count_distinct(ids).as_py() == len(ids):
        return ids
    texts: Sequence[str] = ids.to_pylist()
    taken, counts, out = set(texts), dict.fromkeys(texts, 0), []
    for text in texts:
        counts[text] += 1
        own = text
        while own in taken and counts[text] > 1:
            own = f"{text}#{counts[text]}"
            counts[text] += own in taken
        taken.add(own)
        out.append(own)
    return pa.chunked_array([pa.array(out, pa.string())])
