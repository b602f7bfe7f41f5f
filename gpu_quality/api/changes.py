"""What changed since a store froze its input, and which shards another attempt may cure."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pandas as pd

from gpu_quality.annotations import Builder
from gpu_quality.api import inputs
from gpu_quality.config import Source
from gpu_quality.data.arrow_frames import FrameTable
from gpu_quality.data.formats.folder import list_images
from gpu_quality.errors import RETRYABLE, IncompatibleError
from gpu_quality.store.layers import shard_facts
from gpu_quality.store.layout import WHOLE
from gpu_quality.store.store import Store


def failed_frames(store: Store) -> pd.DataFrame:
    """Rows of the error table that cost a whole frame; rows about one metric, object or annotation leave a frame scored."""
    errors = store.errors()
    whole = errors["frame"].notna() & errors["object"].isna() & errors["metric"].isna() & (errors["stage"] != "annotate")
    return errors[whole & errors["shard"].notna()]


def failed_before(store: Store, layer: str) -> tuple[int, dict[str, int]]:
    """How many frames the committed shards of a layer lost, and on how many frames each of its metrics failed."""
    held = next(found for found in store.layers() if found.name == layer)
    frames = sum(shard_facts(store.path, layer, shard)["counts"]["errors"] for shard in store.done(layer))
    errors = store.errors()
    own = errors[errors["metric"].isin(list(held.meta["wanted"]))]
    return frames, {str(name): int(count) for name, count in own.groupby("metric")["frame"].nunique().items()}


def check_inputs(store: Store, source: Source, dataset: Any, say: Callable[[str], None]) -> Path | None:
    """Compare the files with those the store froze, say what differs, and return the folder paths are relative to.

    Files already scored keep their numbers; one that changed before it was scored ends in the error table.
    """
    if not store.identity["pixels"] or (dataset is not None and not isinstance(dataset, FrameTable)):
        return None
    builder = Builder()
    if dataset is not None:
        builder.root = dataset.add_frames(builder)
    elif source.images is not None:
        builder.root = list_images(source.images, builder, every=source.every, image_column=source.image_column)
    else:  # the labels say where the images are
        inputs.read_annotations(source, builder, say)
    columns = ["frame", "uri", "size_bytes", "mtime_ns"]
    frozen = store.frames(columns).to_pandas().set_index("frame")
    frozen = frozen[frozen["size_bytes"] >= 0]  # the others were missing from the start
    found = builder.build().frames.select(columns).to_pandas().set_index("frame")
    added = found.index.difference(frozen.index)
    gone = frozen.index.difference(found.index)
    both = frozen.index.intersection(found.index)
    changed = both[(frozen.loc[both] != found.loc[both]).any(axis=1)]
    if len(added) and len(gone) and not len(both):
        raise IncompatibleError(
            f"{store.path} was made from other images: none of its files, first {gone[0]!r}, is in {source.images}",
            hint="write to another --out, or name the earlier images",
        )
    if isinstance(dataset, FrameTable) and builder.root is None and (len(added) or len(gone) or len(changed)):
        raise IncompatibleError(
            f"{store.path} was made from another table: {len(added) + len(gone) + len(changed):,} rows hold other images",
            hint="write to another --out, or pass the earlier table",
        )
    for names, what in ((added, "new"), (gone, "gone"), (changed, "changed")):
        if len(names):
            say(f"{len(names):,} files are {what} since {store.path} was begun, first {names[0]!r}; use another --out")
    return builder.root


def drop_failed_shards(store: Store, columns: Collection[str], say: Callable[[str], None]) -> None:
    """Remove the shards that hold a failure another attempt may cure, of frames or of cells, and what was computed from them.

    Of the stream layers only those are touched that this run computes again whole: a shard nobody redoes would be lost.
    """
    errors = store.errors()
    shards = set(errors.loc[errors["reason"].isin(list(RETRYABLE)) & (errors["stage"] != "annotate"), "shard"].dropna())
    own = [found for found in store.layers() if "door" not in found.meta]
    layers = [found for found in own if found.kind == "table" or set(found.meta["wanted"]) <= set(columns)]
    if not shards or not layers:
        say("no error of these metrics is worth another attempt")
        return
    say(f"trying {len(shards)} shards again")
    for layer in layers:
        if layer.kind == "table":
            store.retire(layer.name)
        else:
            store.drop_shards(layer.name, (shards - {WHOLE}) & store.done(layer.name))
