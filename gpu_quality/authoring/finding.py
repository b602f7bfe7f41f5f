"""Rows of frames and objects by the names people give them."""

from collections.abc import Sequence
from functools import cached_property

from gpu_quality.store.store import Store
from gpu_quality.text import close

_TWICE = -1
_SEARCHED = 20_000
"""Ids among which a misspelt one is looked for; more would take longer than reading the file."""


class Ids:
    """Finds frames by id or by the last part of it, objects by id or by their id in the labels file."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _frames(self) -> tuple[dict[str, int], dict[str, int]]:
        ids = self._store.frames(["frame"]).column("frame").to_pylist()
        return _index(ids, [name.rpartition("/")[2] for name in ids])

    @cached_property
    def _objects(self) -> tuple[dict[str, int], dict[str, int]]:
        columns = self._store.input.columns("objects")
        if "source_id" not in columns:
            return {}, {}
        table = self._store.input.table("objects", ["object", "source_id"])
        return _index(table.column("object").to_pylist(), table.column("source_id").to_pylist())

    def frame(self, name: str) -> int:
        """Row of a frame. Raises `ValueError` for an unknown name and for the last part of several."""
        return _find(name, *self._frames, "frame")

    def object(self, name: str) -> int:
        """Row of an object. Raises `ValueError` for an unknown name and for one that several origins have."""
        return _find(name, *self._objects, "object")


def _index(ids: Sequence[str], others: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    second: dict[str, int] = {}
    for row, name in enumerate(others):
        second[name] = _TWICE if name in second else row
    return {name: row for row, name in enumerate(ids)}, second


def _find(name: str, ids: dict[str, int], others: dict[str, int], what: str) -> int:
    row = ids.get(name, others.get(name))
    if row is None:
        hint = close(name, ids) if len(ids) <= _SEARCHED else ""
        raise ValueError(f"no {what} is called {name!r:.200}" + (f"; {hint}" if hint else ""))
    if row == _TWICE:
        raise ValueError(f"several {what}s are called {name!r:.200}; use the whole id")
    return row
