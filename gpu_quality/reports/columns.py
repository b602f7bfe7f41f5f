"""What the columns of a store are, as far as looking at them needs it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gpu_quality import registry
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.text import close

Bad = Literal["low", "high", "neither"]
Kind = Literal["number", "flag", "group", "fingerprint"]
TOPICS: Final = {
    "flags": "Issues",
    "issues": "Issue scores",
    "outcomes": "What the model made of it",
    "exposure": "Light and exposure",
    "color": "Color",
    "values": "Color values",
    "sharpness": "Sharpness and noise",
    "facts": "File and size",
    "duplicates": "Repeated frames",
    "hashes": "Fingerprints",
    "objects": "Objects",
    "shapes": "Shapes",
    "tracks": "Tracks",
    "similarity": "Frames among frames",
    "agreement": "Labels and what looks like them",
    "appearance": "Objects among objects",
    "words": "Labels and words",
    "maps": "Map",
}
"""Module of a built-in metric → heading, in the order of headings; other modules get a heading of their own behind these."""
OWN: Final = "Your own metrics"
_BUILT_IN: Final = ("gpu_quality.metrics", "gpu_quality.evaluation")
_IDS: Final = {
    "frame": ("frame", "uri", "size_bytes", "mtime_ns"),
    "object": ("object", "frame", "row", "origin", "class_id", "box"),
}


class Readable(Protocol):
    """The part of a store that is looked at."""

    def columns(self) -> dict[str, dict[str, Any]]:
        """Column name → its facts."""
        ...

    def table(self, per: Any = "frame", names: Any = None) -> pd.DataFrame:
        """Columns in input order."""
        ...


@dataclass(frozen=True, slots=True)
class Column:
    """One stored column and what its number means."""

    name: str
    metric: str
    per: str
    kind: Kind
    unit: str
    bad: Bad
    bounds: tuple[float | None, float | None] | None
    summary: str
    options: Mapping[str, Any]
    topic: str


def _kind(unit: str) -> Kind:
    """Units say what a column is for: most are measured numbers, some point at rows or identify content."""
    if unit == "flag":
        return "flag"
    if unit == "row":
        return "group"
    return "fingerprint" if "hash" in unit or unit.startswith("SHA-") else "number"


def topic_of(module: str) -> str:
    """Heading of the metrics that a module declares."""
    package, _, name = module.rpartition(".")
    return TOPICS.get(name, name.capitalize()) if package in _BUILT_IN else OWN


def topic_order(topics: Iterable[str]) -> list[str]:
    """Headings in reading order: those of `TOPICS`, then others by name, the person's own last."""
    known = list(TOPICS.values())
    return sorted(topics, key=lambda topic: (known.index(topic) if topic in known else len(known) + (topic == OWN), topic))


def _module(facts: Mapping[str, Any]) -> str:
    """The module that declared the metric of a column; empty where nobody here knows it."""
    if "module" in facts:
        return str(facts["module"])
    node = registry.metrics().get(str(facts.get("metric")))
    return node.module if node else ""


def columns_of(store: Readable, per: str) -> dict[str, Column]:
    """Visible columns of a table by name: in the order of `TOPICS`, then by name."""
    shown = {name: facts for name, facts in store.columns().items() if not facts.get("hidden")}
    found = {name: facts for name, facts in shown.items() if facts.get("unit") != "text"}
    if any("module" not in facts for facts in found.values()):
        registry.load_built_in()
    columns = [
        Column(
            name=name,
            metric=str(facts.get("metric", name)),
            per=per,
            kind=_kind(str(facts.get("unit", ""))),
            unit=str(facts.get("unit", "")),
            bad=facts.get("bad", "neither"),
            bounds=facts.get("bounds"),
            summary=str(facts.get("summary", "")),
            options=facts.get("options", {}),
            topic=topic_of(_module(facts)),
        )
        for name, facts in found.items()
        if facts.get("per", "frame") == per
    ]
    place = topic_order({column.topic for column in columns})
    return {column.name: column for column in sorted(columns, key=lambda c: (place.index(c.topic), c.name))}


def name_of(names: Sequence[str] | None, number: int) -> str:
    """The name of a class or an origin; its number where the store has no name for it."""
    return str(names[number]) if names is not None and 0 <= number < len(names) else str(number)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The frames or the objects of a store with their visible metric columns, in input order."""

    per: str
    columns: Mapping[str, Column]
    table: pd.DataFrame

    @classmethod
    def read(cls, store: Readable, per: str) -> "Sheet":
        """One table of a store: ids, what finds the picture, and every visible metric column."""
        ids = list(_IDS[per])
        if not len(table := store.table(per, [per])):
            return cls(per, {}, table)
        columns = {name: column for name, column in columns_of(store, per).items() if column.unit[:4] != "SHA-"}
        return cls(per, columns, store.table(per, list(dict.fromkeys([*ids, *columns]))))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.table)

    def of_kind(self, kind: Kind) -> list[Column]:
        """The columns of one kind, in order."""
        return [column for column in self.columns.values() if column.kind == kind]

    def values(self, name: str) -> NDArray[np.float64]:
        """A column as float64, NaN where it has no value. Raises `UnknownNameError`, `UsageError` for what is no measure."""
        column = self.columns.get(name)
        if column is None:
            raise UnknownNameError(
                f"there is no metric column per {self.per} called {name[:200]!r}",
                hint=close(name, self.columns) or f"there are {', '.join(self.columns) or 'none'}"[:600],
            )
        if column.kind in ("group", "fingerprint"):
            raise UsageError(f"{name} identifies frames ({column.unit}); it has no order to sort by")
        return np.asarray(self.table[name].to_numpy(dtype=np.float64, na_value=np.nan))

    def ids(self) -> list[str]:
        """Ids of the rows."""
        return [str(value) for value in self.table[self.per]]
