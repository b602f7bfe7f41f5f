"""Findings column by column: what a check found becomes rows of one table, in one order."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gpu_quality.analysis.health_codes import CODES, SEVERITIES
from gpu_quality.annotations import Dataset
from gpu_quality.text import clean

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

COLUMNS: Final = ("code", "severity", "origin", "file", "record", "frame", "object", "other", "value", "detail")
_PLACES: Final = ("_code", "_origin", "_frame", "_object", "_other")
"""Numbers of code, origin, frame and object, to sort by; -1 = none."""
_NAMES: Final = tuple(CODES)


def texts(table: Any, name: str) -> Any:
    """A column of text as a pandas array; taking row -1 of it gives a missing value."""
    return table.column(name).to_pandas().astype("str").array


def quoted(name: str) -> str:
    """A name out of a file within a sentence: short, and nothing in it that steers."""
    return f"'{clean(name, 80)}'"


class Rows:
    """Makes rows of findings about objects, frames or the whole data set of one set of tables."""

    def __init__(self, tables: Dataset) -> None:
        self.origins = tables.origins
        self.frame = texts(tables.frames, "frame")
        self.object = texts(tables.objects, "object")
        self.file = texts(tables.objects, "file")
        self.record: Ints = tables.objects.column("record").to_numpy()
        self.row: Ints = tables.objects.column("row").to_numpy().astype(np.int64)
        self.origin: Ints = tables.objects.column("origin").to_numpy().astype(np.int64)

    def of_objects(
        self, code: str, rows: Ints, detail: Sequence[str], value: Floats | None = None, other: Ints | None = None
    ) -> pd.DataFrame:
        """One finding for each of these rows of the objects table; `other` holds the rows of their partners."""
        partner = np.full(len(rows), -1) if other is None else other
        given = {
            "file": self.file.take(rows),
            "record": self.record[rows],
            "object": self.object.take(rows),
            "other": self.object.take(partner, allow_fill=True),
            "_origin": self.origin[rows],
            "_object": rows,
            "_other": partner,
        }
        return self._part(code, detail, value, self.row[rows], given)

    def of_frames(
        self, code: str, rows: Ints, detail: Sequence[str], value: Floats | None = None, origin: int = 0
    ) -> pd.DataFrame:
        """One finding for each of these rows of the frames table; `origin` is -1 where no annotation is to blame."""
        return self._part(code, detail, value, rows, {"_origin": origin})

    def of_data(self, code: str, detail: Sequence[str], value: Sequence[float], origin: int = 0) -> pd.DataFrame:
        """Findings about all of an origin."""
        return self._part(code, detail, np.array(value, np.float64), np.full(len(detail), -1), {"_origin": origin})

    def _part(self, code: str, detail: Sequence[str], value: Floats | None, frame: Ints, given: dict[str, Any]) -> pd.DataFrame:
        n = len(detail)
        columns: dict[str, Any] = {
            "file": pd.array([None] * n, "str"),
            "record": -1,
            "frame": self.frame.take(frame, allow_fill=True),
            "object": pd.array([None] * n, "str"),
            "other": pd.array([None] * n, "str"),
            "value": np.nan if value is None else value,
            "detail": pd.array(detail, "str"),
            "_code": _NAMES.index(code),
            "_frame": frame,
            "_object": -1,
            "_other": -1,
        }
        return pd.DataFrame(columns | given, index=range(n))


def collected(parts: Iterable[pd.DataFrame], origins: Sequence[str]) -> pd.DataFrame:
    """All findings by severity, code, frame and object; those that name no frame or object come last among their like."""
    parts = list(parts)
    found = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    code = found["_code"].to_numpy(np.int64)
    grave = np.array([SEVERITIES.index(facts.severity) for facts in CODES.values()], np.int64)[code]
    keys = [_last_if_none(found[name].to_numpy(np.int64)) for name in ("_other", "_object", "_frame")]
    order = np.lexsort((found["_origin"].to_numpy(), *keys, code, grave))
    found = found.take(order).reset_index(drop=True)
    found["code"] = pd.Categorical.from_codes(code[order], list(CODES))
    found["severity"] = pd.Categorical.from_codes(grave[order], list(SEVERITIES), ordered=True)
    found["origin"] = pd.Categorical.from_codes(found["_origin"], list(origins))
    found["record"] = found["record"].astype("Int64").mask(found["record"] < 0)
    return found[list(COLUMNS)]


def typed(found: pd.DataFrame, origins: Sequence[str], notes: tuple[str, ...]) -> pd.DataFrame:
    """Findings read back from a file as they were made."""
    text = ("file", "frame", "object", "other", "detail")
    found = found.astype({**dict.fromkeys(text, "str"), "record": "Int64", "value": "float64"})
    found["code"] = pd.Categorical(found["code"], list(CODES))
    found["severity"] = pd.Categorical(found["severity"], list(SEVERITIES), ordered=True)
    found["origin"] = pd.Categorical(found["origin"], list(origins))
    found.attrs["notes"] = notes
    return found


def _last_if_none(rows: Ints) -> Ints:
    return np.where(rows < 0, np.iinfo(np.int64).max, rows)
