"""What a run says about whole videos: one row per sequence, kept as a result and made again whenever columns were added."""

from typing import Final

import numpy as np
from pandas.api.types import is_numeric_dtype

from gpu_quality.analysis.videos import video_table, video_vectors
from gpu_quality.store.layer import array_parts, as_table, table_bytes
from gpu_quality.store.store import Store

VIDEOS: Final = "videos.parquet"
VECTORS: Final = "video_embedding.npy"
_NO_MEASURE: Final = frozenset({"row", "64-bit hash", "category", "SHA-256 of the file"})
"""Units of columns that name something: their mean says nothing."""
_OF_OBJECTS: Final = ("track_continuity", "inconsistency")


def write_videos(store: Store) -> None:
    """Write ``results/videos.parquet`` where the frames belong to sequences; `query` shows it as the view ``videos``.

    Where frames have vectors, ``results/video_embedding.npy`` holds one of each video, in the order of that table.
    """
    if not store.identity["holds"]["sequence"]:
        return
    facts = store.columns()
    known = [
        name
        for name, column in facts.items()
        if column["per"] == "frame" and not column.get("hidden") and column.get("unit") not in _NO_MEASURE
    ]
    frames = store.table("frame", ["frame", "sequence", "position", "seconds", *sorted(known)])
    measures = {name: name for name in known if is_numeric_dtype(frames[name])}
    objects = classifications = None
    if store.identity["objects"]:
        own = [name for name in _OF_OBJECTS if name in facts]
        objects = store.table("object", ["frame", "origin", "track", *own])
        classifications = store.table("classification", ["frame", "origin"])
    table = video_table(frames, objects, classifications, measures, origins=tuple(store.identity["origins"]))
    columns = {name: np.ma.masked_invalid(c) if (c := table[name].to_numpy()).dtype.kind == "f" else c for name in table}
    store.save_result(VIDEOS, table_bytes(as_table(columns)))
    if facts.get("embedding", {}).get("vector"):
        vectors = video_vectors(frames["sequence"], table["sequence"], store.array("embedding").whole())
        store.save_result(VECTORS, b"".join(array_parts(vectors)))
