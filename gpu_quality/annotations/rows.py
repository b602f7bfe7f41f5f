"""Objects as Arrow columns: ids of their own, outlines and masks as nested columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_quality.annotations.columns import Masks, ObjectColumns, kinds
from gpu_quality.annotations.tables import OBJECTS
from gpu_quality.geometry.polygons import Outlines

STORED = pa.schema([field for field in OBJECTS if field.name not in ("frame", "polygon")])
"""Columns of objects before they are sorted: `row` is the Builder's row of the frame, which gives `frame` in the end. Outlines,
by far the largest column, wait in NumPy."""


def arrow_rows(number: int, origin: str, columns: ObjectColumns) -> pa.Table:
    """Checked objects of one origin as Arrow rows, in input order."""
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
    arrays = [given.get(field.name, pa.nulls(n, field.type)) for field in STORED]
    arrays = [a if isinstance(a, pa.Array) else pa.array(a, f.type) for a, f in zip(arrays, STORED, strict=True)]
    return pa.table(arrays, STORED)


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
