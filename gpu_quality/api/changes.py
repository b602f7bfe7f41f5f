"""What changed since a store froze its input, and which shards another attempt may cure."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from gpu_quality.annotations import Builder
from gpu_quality.config import Source
from gpu_quality.data.formats.folder import list_images
from gpu_quality.errors import RETRYABLE
from gpu_quality.store.store import Store


def failed_frames(store: Store) -> pd.DataFrame:
    """Rows of the error table that cost a whole frame; rows about one metric, object or annotation leave a frame scored."""
    errors = store.errors()
    whole = errors["frame"].notna() & errors["object"].isna() & errors["metric"].isna() & (errors["stage"] != "annotate")
    return errors[whole & errors["shard"].notna()]


def check_inputs(store: Store, source: Source, dataset: Any, say: Callable[[str], None]) -> Path | None:
    """Compare the files with those the store froze, say what differs, and return the folder paths are relative to.

    Files already scored keep their numbers; one that changed before it was scored ends in the error table.
    """
    builder = Builder()
    root = None
    if dataset is not None:
        return None
    if source.images is not None:
        root = list_images(source.images, builder)
    else:
        return None
    columns = ["frame", "size_bytes", "mtime_ns"]
    frozen = store.frames(columns).to_pandas().set_index("frame")
    frozen = frozen[frozen["size_bytes"] >= 0]  # the others were missing from the start
    found = builder.build().frames.select(columns).to_pandas().set_index("frame")
    added = found.index.difference(frozen.index)
    gone = frozen.index.difference(found.index)
    both = frozen.index.intersection(found.index)
    changed = both[(frozen.loc[both] != found.loc[both]).any(axis=1)]
    for names, what in ((added, "new"), (gone, "gone"), (changed, "changed")):
        if len(names):
            say(f"{len(names):,} files are {what} since {store.path} was begun, first {names[0]!r}; use another --out")
    return root


def drop_failed_shards(store: Store, say: Callable[[str], None]) -> None:
    """Remove the shards that hold a failure another attempt may cure, and what was computed from them."""
    failed = failed_frames(store)
    shards = set(failed.loc[failed["reason"].isin(list(RETRYABLE)), "shard"]) - {"all"}
    if not shards:
        say("no error of this store is worth another attempt")
        return
    say(f"trying {len(shards)} shards again")
    for layer in store.layers():
        if layer.meta["kind"] == "table":
            store.retire(layer.name)
        else:
            store.drop_shards(layer.name, shards)
