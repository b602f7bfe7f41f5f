"""Slices: named parts of the data, each a condition on columns of objects and of their frames together, kept in the store."""

import json
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.api import results
from gpu_quality.errors import CorruptError, UnknownNameError, UsageError
from gpu_quality.store.layout import ROW
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.reading import layer_columns
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close

__all__ = [
    "ALL", "condition_of", "frame_rows", "level_of", "object_rows", "quoted", "remove_slice", "save_slice", "saved_slices",
    "shown_of_frames", "sql_text",
]  # fmt: skip

ALL: Final = "(all)"
"""What the row of all data is called beside slices."""
RESULT: Final = "slices"
LONGEST: Final = 10_000
"""Characters of a condition."""
_LONGEST_NAME: Final = 80
_EXAMPLE: Final = "write a condition on columns: object_area < 1024 and brightness < 0.3 and class = 'person'"
_TOKEN: Final = re.compile(
    r"(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--|/\*|[();$'\"]", re.DOTALL
)  # fmt: skip
"""Quoted text as a whole, and the signs outside of it that could end a condition before its last character."""
_RESERVED: Final = re.compile(
    "all|analy[sz]e|and|any|array|as|asc|asymmetric|at|both|case|cast|check|collate|column|constraint|create|default|deferrable"
    "|desc|describe|distinct|do|else|end|except|false|fetch|for|foreign|from|group|having|in|initially|intersect|into|lambda"
    "|lateral|leading|limit|not|null|offset|on|only|or|order|pivot|pivot_longer|pivot_wider|placing|primary|qualify|references"
    "|returning|select|show|some|summarize|symmetric|table|then|to|trailing|true|union|unique|unpivot|using|variadic|when|where"
    "|window|with"
)
"""Words that name a column only between quotes."""
_OPEN: Final = "a quote that is not closed"
_ENDS: Final = {"--": "a comment", "/*": "a comment", ";": "a semicolon", "$": "a dollar sign", "'": _OPEN, '"': _OPEN}


def object_rows(store: Store, condition: str) -> NDArray[np.bool_]:
    """Which rows of the objects table, labels and predictions alike, a condition or the slice of that name holds [o].

    The condition is a DuckDB predicate. It sees every column of the objects, `class` (the class's name), and every column of
    the frames; where both have one of the same name it is the object's, and the frame's is called ``frame_<name>``. What is
    null is outside. Raises `UsageError` for what is no such condition.
    """
    told, text = _named(store, condition)
    inside = np.zeros(store.input.count("objects"), bool)
    source = _objects_with_frames(store)
    inside[_rows(store, told, text, "object_row", source)] = True
    return inside


def frame_rows(store: Store, condition: str) -> NDArray[np.bool_]:
    """Which frames a condition on their columns holds [n]; one that names columns of objects: frames with such an object.

    Names mean what they mean in `object_rows`; null is outside. Raises `UsageError` for what is no such condition.
    """
    told, text = _named(store, condition)
    inside = np.zeros(store.input.count("frames"), bool)
    try:
        inside[_rows(store, told, text, "row", _frames_alone(store))] = True
    except UsageError as of_frames:
        if not store.input.count("objects"):
            raise of_frames from None
        inside[_rows(store, told, text, "row", _objects_with_frames(store))] = True
    return inside


def level_of(store: Store, condition: str) -> str:
    """What a condition is about: ``frame`` where columns of frames are all it needs, else ``object``. Raises `UsageError`."""
    told, text = _named(store, condition)
    try:
        _rows(store, told, text, "row", f"{_frames_alone(store)} limit 0")
    except UsageError:
        object_rows(store, condition)
        return "object"
    return "frame"


def condition_of(store: Store, name: str) -> str:
    """The condition of a saved slice; what is no name of one is a condition itself."""
    return saved_slices(store).get(name, name)


def saved_slices(store: Store) -> dict[str, str]:
    """The condition of every saved slice, by name, in the order in which they were saved. Raises `CorruptError`."""
    try:
        found = results.kept(store, RESULT)
        if found is None:
            return {}
        return {str(name): str(condition) for name, condition in dict(found["slices"]).items()}
    except (CorruptError, KeyError, TypeError, ValueError):
        file = f"results/{RESULT}.json"
        raise CorruptError(
            f"{file} is not what was written", hint=f"remove {store.path / file} and save the slices again"
        ) from None


def save_slice(store: Store, name: str, condition: str) -> dict[str, int]:
    """Keep a condition under a name, in the place of an older one of that name; returns how much it holds.

    Counts are `frames` and `objects`. Raises `UsageError` for a name or condition that cannot be used, `LockedError`.
    """
    name, condition = _checked_name(name), condition.strip()
    saved = saved_slices(store)
    _refuse_condition(store, name)
    if condition in saved:
        raise UsageError(f"slice {name!r}: {condition!r} is the name of a saved slice", hint=_EXAMPLE)
    counts = {"frames": int(frame_rows(store, condition).sum()), "objects": 0}
    if store.input.count("objects"):
        counts["objects"] = int(object_rows(store, condition).sum())
    with writer_lock(store.path):
        _write(store, {**saved_slices(store), name: condition})
    return counts


def remove_slice(store: Store, name: str) -> None:
    """Forget a saved slice. Raises `UnknownNameError`, `LockedError`."""
    with writer_lock(store.path):
        saved = saved_slices(store)
        if name not in saved:
            known = f"there are {', '.join(saved)}" if saved else "no slice is saved"
            raise UnknownNameError(f"there is no slice {clean(name)!r}", hint=close(name, saved) or known)
        _write(store, {key: condition for key, condition in saved.items() if key != name})


def _write(store: Store, slices: dict[str, str]) -> None:
    store.save_result(f"{RESULT}.json", json.dumps({"slices": slices}, indent=1, ensure_ascii=False).encode())


def _named(store: Store, condition: str) -> tuple[str, str]:
    """What to call a condition in messages, and its text, checked."""
    text = condition_of(store, condition)
    told = f"slice {clean(condition, 120)!r}"
    problem = _problem(text)
    if problem:
        hint = close(condition, saved_slices(store)) if text is condition else ""
        raise UsageError(f"{told} is no condition: {problem}", hint=hint or _EXAMPLE)
    return told, text


def _problem(text: str) -> str:
    """Why a text cannot stand between the parentheses of a WHERE: it could end them itself. Empty where it can."""
    if not text.strip():
        return "it is empty"
    if len(text) > LONGEST:
        return f"it has {len(text):,} characters, {LONGEST:,} are allowed"
    if not text.isprintable() and any(not (c.isprintable() or c.isspace()) for c in text):
        return "it holds a character that cannot be seen"
    depth = 0
    for sign in (found.group() for found in _TOKEN.finditer(text)):
        depth += (sign == "(") - (sign == ")")
        if sign in _ENDS:
            return f"it holds {_ENDS[sign]}"
        if depth < 0:
            return "a parenthesis is closed that was never opened"
    return "a parenthesis is not closed" if depth else ""


def _rows(store: Store, told: str, condition: str, key: str, source: str) -> NDArray[np.int64]:
    """Row numbers that a condition holds. Raises `UsageError`."""
    try:
        # The condition has been checked to end where it ends; the connection is behind locks.
        found = store.query(f"select {key} from ({source}) as data where (\n{condition}\n)")  # noqa: S608
    except UsageError as error:
        hint = error.hint if error.hint.startswith("did you mean") else _EXAMPLE
        raise UsageError(f"{told}: {error}", hint=hint) from None
    return np.asarray(found[key].to_numpy(), np.int64)


def _frames_alone(store: Store) -> str:
    """A SELECT of every frame's columns under the names that they have beside objects."""
    picked = [f"f.{quoted(name)} as {quoted(shown)}" for name, shown in shown_of_frames(store).items()]
    return f"select f.row, f.frame, {', '.join(picked)} from frames as f"  # noqa: S608


def _objects_with_frames(store: Store) -> str:
    """A SELECT of every object's own columns, its class by name, and the columns of its frame."""
    own = _columns(store, "objects")
    picked = [f"o.{quoted(name)}" for name in own if name != "class"]
    classes = [str(name) for name in store.identity.get("classes") or ()]
    if "class_id" in own and classes:
        known = ", ".join(sql_text(name) for name in classes)
        picked.append(f"([{known}])[o.class_id + 1] as class")
    picked += [f"f.{quoted(name)} as {quoted(shown)}" for name, shown in shown_of_frames(store).items()]
    return f"select {', '.join(picked)} from objects as o join frames as f on o.row = f.row"  # noqa: S608


def shown_of_frames(store: Store) -> dict[str, str]:
    """Columns of frames, and what conditions call them: a name that objects have too means the objects' column."""
    names = [name for name in _columns(store, "frames") if name not in ("row", "frame")]
    own = {*_columns(store, "objects"), "class"} if store.input.count("objects") else set()
    shown = {name: f"frame_{name}" if name in own else name for name in names}
    return {name: new for name, new in shown.items() if new == name or new not in {*own, *names}}


def _columns(store: Store, table: str) -> list[str]:
    """Names of the columns of a view, as `query` shows them."""
    names: dict[str, Any] = dict.fromkeys([ROW[table], *store.input.columns(table)])
    for layer in store.layers():
        names |= dict.fromkeys(layer_columns(store, layer, table))
    return list(names)


def _checked_name(name: str) -> str:
    """A name that can be typed and shown. Raises `UsageError`."""
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable() or name == ALL:
        raise UsageError(
            f"a slice cannot be called {clean(name)!r}",
            hint=f"a name has 1 to {_LONGEST_NAME} characters that can be seen; {ALL} are all data",
        )
    return name


def _refuse_condition(store: Store, name: str) -> None:
    """Refuse a name that means something already, such as that of a flag: --where would mean another thing from then on."""
    if name in saved_slices(store):
        return
    try:
        level_of(store, name)
    except UsageError:
        return
    raise UsageError(f"a slice cannot be called {clean(name)!r}: that is a condition itself", hint="choose another name")


def quoted(name: str) -> str:
    """A column's name as SQL has it: as it is where that is enough, else between quotes."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and not _RESERVED.fullmatch(name)
    return name if plain else '"' + name.replace('"', '""') + '"'


def sql_text(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"
