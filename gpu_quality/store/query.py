"""The door to DuckDB: one SELECT over the committed files of a store, behind locks."""

# ruff: noqa: S608 - views cannot take parameters; every name and path in them is quoted by `_text` and `_column`

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_quality.errors import CorruptError, UsageError
from gpu_quality.store.layer import FIXED, to_pandas
from gpu_quality.store.layout import INPUT, PER, RESULTS, ROW
from gpu_quality.store.reading import layer_columns, table_files
from gpu_quality.store.results import read_sums

if TYPE_CHECKING:
    import pandas as pd

    from gpu_quality.store.store import Store

_SQL_TYPE = {"string": "VARCHAR", "int64": "BIGINT"}


def query(store: "Store", sql: str, parameters: Sequence[object] = ()) -> "pd.DataFrame":
    """Answer of one SELECT over frames, objects, classifications, errors, nulls, results, and the tables among the results.

    Only files of the store can be read and nothing can be written, loaded or configured. Raises `UsageError` with DuckDB's
    first line for a wrong or refused statement, and `CorruptError` for a damaged file.
    """
    import duckdb

    store = type(store)(store.path.resolve(), store.run)
    connection = _locked(store.path)
    known: list[str] = []
    try:
        known = _make_views(connection, store)
        _refuse_all_but_select(connection, sql)
        answer = connection.sql(sql, params=list(parameters) or None)
        table = answer.to_arrow_table()
        return to_pandas(table.rename_columns(_told_apart(table.column_names)))
    except duckdb.PermissionException as error:
        raise UsageError(f"refused: {_first_line(error)}", hint="a query reads the store's views and nothing else") from error
    except (duckdb.IOException, duckdb.InternalException, duckdb.FatalException) as error:
        raise _damaged(store.path, error) from error
    except duckdb.Error as error:
        if isinstance(error, duckdb.InvalidInputException) and str(store.path) in str(error):
            raise _damaged(store.path, error) from error
        raise UsageError(_first_line(error), hint=_close(str(error), known, store.path)) from error
    finally:
        connection.close()


def _told_apart(names: Sequence[str]) -> list[str]:
    """Column names of an answer, repeated ones numbered: ``select a, a`` gives a and a_1."""
    found: list[str] = []
    for name in names:
        number, free = 0, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _damaged(path: Path, error: Exception) -> CorruptError:
    return CorruptError(f"a file of {path} cannot be read: {_first_line(error)}", hint="run `verify`, then `repair`")


def _locked(path: Path) -> Any:
    """A connection in memory that may read files of the store; extensions, other files and settings are out of reach."""
    import duckdb

    connection = duckdb.connect(":memory:")
    connection.execute(f"SET allowed_directories = [{_text(str(path) + '/')}]")
    for setting in (
        "temp_directory = ''",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "python_enable_replacements = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def _refuse_all_but_select(connection: Any, sql: str) -> None:
    """The store's own folder is allowed to the views, so COPY TO, ATTACH and EXPORT must be stopped by their kind."""
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise UsageError(f"refused: a query is one SELECT statement, not {kinds}", hint="results are exported with `export`")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _column(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _parquet(paths: Iterable[Path | str], option: str = "") -> str:
    return f"read_parquet([{', '.join(_text(str(path)) for path in paths)}]{option})"


def _make_views(connection: Any, store: "Store") -> list[str]:
    """Create all views; returns the names of their columns."""
    views = {kind: _joined(store, kind) for kind in PER.values()}
    views |= {name: _fixed(store, name) for name in FIXED}
    views["results"] = _results(store.path)
    views |= {name: view for name, view in _result_tables(store.path).items() if name not in views}
    for name, select in views.items():
        connection.execute(f"CREATE VIEW {_column(name)} AS {select}")
    found = connection.execute("SELECT DISTINCT column_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    return [name for (name,) in found]


def _joined(store: "Store", table: str) -> str:
    """Input columns (with `row`, their place in the input) beside the visible columns of all layers."""
    key, own = ROW[table], store.input.columns(table)
    added: list[str] = []
    joins: list[str] = []
    picked: list[str] = []
    for number, layer in enumerate(store.layers()):
        names = [name for name in layer_columns(store, layer, table) if name not in added]
        files = list(table_files(store, layer.name, table))
        added += names
        selected = ", ".join(_column(name) for name in names)
        if names and files:
            part = f"SELECT {key} AS _row_{number}, {selected} FROM {_parquet(files)}"
        elif names:
            part = f"SELECT NULL::INTEGER AS _row_{number}, {', '.join('NULL::DOUBLE AS ' + _column(name) for name in names)}"
        else:
            continue
        joins.append(f" LEFT JOIN ({part}) AS _layer_{number} ON _input.{key} = _row_{number}")
        picked += [f"_layer_{number}.{_column(name)}" for name in names]
    kept = [f"_input.{_column(name)}" for name in own if name not in added and name != key]
    columns = ", ".join([f"_input.{key}", *kept, *picked])
    return f"SELECT {columns} FROM ({_input(store, table, key)}) AS _input{''.join(joins)}"


def _input(store: "Store", table: str, key: str) -> str:
    if f"{table}.parquet" not in store.run["input"]:
        columns = ", ".join(f"NULL::VARCHAR AS {_column(name)}" for name in store.input.columns(table))
        return f"SELECT NULL::INTEGER AS {key}, {columns} WHERE false"
    source = _parquet([store.path / INPUT / f"{table}.parquet"], ", file_row_number = true")
    return f"SELECT file_row_number AS {key}, * EXCLUDE (file_row_number) FROM {source}"


def _fixed(store: "Store", name: str) -> str:
    """The errors or nulls of all shards; an empty table of the same columns where there are none."""
    files = [f"{store.path / INPUT}/errors.parquet"] if name == "errors" and store.input.count("errors") else []
    for layer in store.layers():
        files += table_files(store, layer.name, name)
    if files:
        return f"SELECT {', '.join(FIXED[name])} FROM {_parquet(files)}"
    return "SELECT " + ", ".join(f"NULL::{_SQL_TYPE[kind]} AS {key}" for key, kind in FIXED[name].items()) + " WHERE false"


def _results(store: Path) -> str:
    """Name and text of every JSON result."""
    files = [store / RESULTS / name for name in sorted(read_sums(store)) if name.endswith(".json")]
    paths = [_text(str(path)) for path in files if path.is_file()]
    if not paths:
        return "SELECT NULL::VARCHAR AS name, NULL::VARCHAR AS content WHERE false"
    return f"SELECT parse_filename(filename) AS name, content FROM read_text([{', '.join(paths)}])"


def _result_tables(store: Path) -> dict[str, str]:
    """A view for every result that is a table (health, balance, videos …), under the name of its file."""
    files = {Path(name).stem: store / RESULTS / name for name in sorted(read_sums(store)) if name.endswith(".parquet")}
    return {name: f"SELECT * FROM {_parquet([path])}" for name, path in files.items() if path.is_file()}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:400]


def _close(message: str, known: Sequence[str], store: Path) -> str:
    """Columns that look like the one DuckDB did not find, else the views there are."""
    wanted = re.search(r'[Cc]olumn "?([^"\s]+)"?', message)
    close = difflib.get_close_matches(wanted.group(1), known, 5, 0.6) if wanted else []
    views = ["frames", "objects", "classifications", "errors", "nulls", "results", *_result_tables(store)]
    return f"did you mean {', '.join(close)}?" if close else f"views: {', '.join(views)}"
