"""Tables in memory (pandas, Polars, PyArrow) whose rows are frames, taken over through Arrow's C stream interface."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from gpu_quality.annotations import Builder, stable_id
from gpu_quality.data.arrow_images import holds_paths, image_bytes, image_column
from gpu_quality.data.arrow_labels import LabelReader, labels_of
from gpu_quality.data.arrow_listing import add_paths
from gpu_quality.data.sources import ITEM
from gpu_quality.errors import UsageError

_NO_LIMIT: Final = 1 << 62


def is_table(value: object) -> bool:
    """Whether an object hands out its rows as Arrow tables do."""
    return hasattr(value, "__arrow_c_stream__")


@contextmanager
def tables_as_files(labels: Any, predictions: Mapping[str, Any] | None) -> Iterator[tuple[Any, dict[str, Any] | None]]:
    """Labels and predictions with each table in memory replaced by a Parquet file, which is there while the context lasts.

    The same table gives the same bytes, so that a run over it can be resumed.
    """
    with tempfile.TemporaryDirectory(prefix="gpu-quality-") as folder:

        def filed(value: Any, name: str) -> Any:
            if not is_table(value):
                return value
            place = Path(folder) / stable_id(name)
            place.mkdir()
            pq.write_table(arrow_table(value), place / "table.parquet")
            return {"path": str(place / "table.parquet"), "format": "table"}

        sets = None if predictions is None else {name: filed(value, f"set {name}") for name, value in predictions.items()}
        yield filed(labels, "labels"), sets


def arrow_table(table: Any) -> pa.Table:
    """A table of another library as an Arrow table; raises `UsageError` where it cannot be handed over."""
    try:
        return pa.table(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UsageError(f"the {type(table).__name__} cannot be handed over as an Arrow table: {error}") from None


class FrameTable:
    """A table with a column of images as bytes, or as paths of files; it reads like a data set of encoded images."""

    def __init__(self, table: Any, column: str | None = None) -> None:
        self.table = arrow_table(table)
        self.column = image_column(self.table.schema, column)

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    def __getitem__(self, row: int) -> bytes:
        """The encoded image of a row; raises `FrameError` (missing) for a row without one."""
        return image_bytes(self.table.column(self.column)[row].as_py(), _NO_LIMIT, _no_file)

    def add_frames(self, builder: Builder) -> Path | None:
        """Add a frame for every row, with its labels; returns the folder that paths are relative to, if they are paths.

        Images in memory are known by their place, and by the SHA-256 of their bytes in the uri.
        """
        labels = labels_of(self.table.schema, self.column)
        reader = LabelReader(builder, "table", labels)
        cells = self.table.column(self.column)
        root = None
        if holds_paths(self.table.schema, self.column):
            paths = cells.to_pylist()
            folders = [os.path.dirname(os.path.abspath(path)) for path in paths if path]  # noqa: PTH100, PTH120
            root = Path(os.path.commonpath(folders) if folders else os.curdir)
            rows = add_paths(builder, root, str(Path.cwd()), paths, "table", 0)
        else:
            values = [_value(cell.as_py()) for cell in cells]
            uris = [f"{ITEM}{i}#{hashlib.sha256(value).hexdigest()[:16]}" for i, value in enumerate(values)]
            ids, sizes = [f"{i:08d}" for i in range(len(self))], [len(value) for value in values]
            rows = builder.add_frames(ids, uris=uris, size_bytes=sizes, position=list(range(len(self))))
        if labels.columns:
            known = self.table.select(labels.columns).filter(pa.array(rows >= 0))
            reader.add(rows[rows >= 0], known, 0)
        builder.images_listed = True
        return root


def _value(value: Any) -> bytes:
    """What identifies the image of a cell."""
    if isinstance(value, dict):
        value = value["bytes"] if value["bytes"] is not None else value.get("path")
    return value.encode() if isinstance(value, str) else value or b""


def _no_file(path: str) -> bytes:
    raise UsageError(f"the table holds the path {path[:80]!r} beside images", hint="give a column of paths, or of bytes")
