"""The frozen question: the input tables and ``run.json``, written once and compared ever after."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_quality.errors import CorruptError, IncompatibleError, NotAStoreError, UsageError
from gpu_quality.store.commit import commit_bytes, commit_folder, remove_folder
from gpu_quality.store.layer import Columns, as_table, fixed_table, table_bytes
from gpu_quality.store.layout import FORMAT_VERSION, INPUT, INPUT_TABLES, RUN, digest, plain, refuse_foreign, seal, unseal

if TYPE_CHECKING:
    import pyarrow as pa


def freeze(path: Path, identity: Mapping[str, object], tables: "Mapping[str, pa.Table | Columns]") -> None:
    """Write the input tables and then ``run.json``, or do nothing where the same question is stored already.

    Raises `IncompatibleError` naming what differs if another question is stored, and `NotAStoreError` for a foreign folder.
    """
    refuse_foreign(path)
    if not isinstance(identity.get("shard_size"), int) or int(str(identity["shard_size"])) < 1:
        raise UsageError(f"identity['shard_size'] is {identity.get('shard_size')!r}, not a positive number of frames")
    frozen = _input_tables(tables)
    files = {f"{name}.parquet": table_bytes(table) for name, table in frozen.items()}
    facts = {
        f"{name}.parquet": {"rows": table.num_rows, "size": len(data), "sha256": digest(data)}
        for (name, table), data in zip(frozen.items(), files.values(), strict=True)
    }
    asked = plain({"identity": identity, "input": facts})
    if (path / RUN).exists():
        refuse_other(path, {key: read_run(path)[key] for key in asked}, asked)
        return
    remove_folder(path / INPUT)
    commit_folder(path / INPUT, files)
    commit_bytes(path / RUN, seal({"format_version": FORMAT_VERSION, **asked}, RUN))


def _input_tables(tables: "Mapping[str, pa.Table | Columns]") -> "dict[str, pa.Table]":
    if "frames" not in tables or set(tables) - set(INPUT_TABLES):
        raise UsageError(f"a store is made of the tables {', '.join(INPUT_TABLES)} (frames at least), not of {sorted(tables)}")
    found = {name: as_table(tables[name]) for name in INPUT_TABLES if name in tables}
    if "errors" in found:
        found["errors"] = fixed_table("errors", found["errors"])
    if "frame" not in found["frames"].column_names:
        raise UsageError("the frames table has no column 'frame'")
    if "objects" in found:
        _check_rows(found["objects"], found["frames"].num_rows)
    return found


def _check_rows(objects: "pa.Table", frames: int) -> None:
    """Objects must name their frame's row and be sorted by it: shards read ranges of them."""
    import numpy as np

    if "row" not in objects.column_names:
        raise UsageError("the objects table has no column 'row', the row of each object's frame")
    row = objects.column("row").to_numpy()
    if len(row) and (not np.all(row[1:] >= row[:-1]) or row[0] < 0 or row[-1] >= frames):
        raise UsageError(f"the objects table is not sorted by 'row', or rows lie outside 0..{frames - 1}")


def read_run(path: Path) -> dict[str, Any]:
    """Content of ``run.json``.

    Raises `NotAStoreError` naming what is missing, `IncompatibleError` for a newer format, `CorruptError` for a damaged file.
    """
    try:
        data = (path / RUN).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        begun = path.is_dir() and (path / INPUT).is_dir()
        what = f"has no {RUN}" if path.is_dir() else "is not a folder" if path.exists() else "does not exist"
        hint = "the run that began it was interrupted early: run it again" if begun else "name the folder given to --out"
        raise NotAStoreError(f"{path} is not a store: it {what}", hint=hint) from error
    except OSError as error:
        raise NotAStoreError(f"{path} cannot be read: {error.strerror}") from error
    try:
        version = json.loads(data)["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        version = FORMAT_VERSION
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise IncompatibleError(
            f"{path} has format version {version}, this gpu_quality knows {FORMAT_VERSION}", hint="upgrade gpu_quality"
        )
    content = unseal(data, path / RUN)
    if content["format_version"] != FORMAT_VERSION:
        raise CorruptError(f"{path / RUN} has the impossible format version {content['format_version']!r}")
    return content


def differences(stored: object, asked: object, at: str = "") -> Iterator[str]:
    """Where two questions differ, one line a key: ``decode.max_pixels: stored 1, asked 2``."""
    if isinstance(stored, Mapping) and isinstance(asked, Mapping):
        for key in sorted({*stored, *asked}):
            yield from differences(stored.get(key), asked.get(key), f"{at}.{key}" if at else str(key))
    elif stored != asked:
        yield f"{at}: stored {_short(stored)}, asked {_short(asked)}"


def _short(value: object) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 80 else text[:77] + "..."


def refuse_other(path: Path, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise `IncompatibleError` naming every key in which the stored question and the asked one differ."""
    found = [line.removeprefix("identity.") for line in differences(stored, asked)]
    if found:
        shown = "; ".join(found[:8]) + (f"; and {len(found) - 8} more" if len(found) > 8 else "")
        raise IncompatibleError(
            f"{path} answers another question: {shown}", hint="write to another --out, or ask the stored question again"
        )
