"""The verb `scatter`: two measures against each other, what color stands for, and how far they go together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.analysis.correlation import correlation, correlations
from gpu_quality.analysis.importance_rows import middles
from gpu_quality.analysis.outliers import outliers
from gpu_quality.api.outliers import ROWS
from gpu_quality.api.scatter_groups import MOST_GROUPS, frequent, quarters
from gpu_quality.api.subjects import Subjects, subjects
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import close

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
MOST_WITH_INTERVAL: Final = 20_000
"""Points up to which the correlation has an interval; with more it is narrow and slow."""
_WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "P": ("true positive", "false positive", "ignored"),
    "O": ("matched", "missed", "ignored"),
    "C": ("right", "wrong", "ignored"),
}
TAIL: Final = 30
"""Largest size over the median one (zeros aside) from which on values are shown by powers of ten: nobody would see the rest."""
EVEN: Final = 0.1
"""Share of the values other than 0 that an axis of powers shows evenly at most, where not all are positive."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One of the two measures; rows without a value of both are left out."""

    name: str
    unit: str
    numbers: Floats
    log: bool = False
    """Shown by powers of ten: the largest size is over 30 times the median one."""
    near: float = 0.0
    """Power of ten up to which sizes are shown evenly on such an axis; 0 where all values are positive."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points, and what is known about them."""

    x: Axis
    y: Axis
    rows: str
    """frames, labels or predictions."""
    color: str | None
    groups: tuple[str, ...]
    """What the groups are called; one without a name where nothing was asked."""
    group: NDArray[np.int64]
    """Group of each point."""
    points: "pd.DataFrame"
    """Per point: `subject`, `frame`, `class` (null of frames)."""
    distance: Floats
    """How far out a point is in the one or the other measure by the rule iqr, of logarithms where an axis is: 0 for no outlier,
    else above 1."""
    facts: dict[str, Any]
    """`params`, `n`, `missing`, `spearman`, `spearman_low`, `spearman_high` (null where not computed), `groups`."""
    notes: tuple[str, ...]

    def table(self) -> "pd.DataFrame":
        """One row per point: `subject`, `frame`, `class`, both measures under their names, and `color` where asked."""
        shown = self.points.assign(**{self.x.name: self.x.numbers, self.y.name: self.y.numbers})
        if self.color is None:
            return shown
        return shown.assign(color=np.array(self.groups, dtype=object)[self.group])

    def to_dict(self) -> dict[str, Any]:
        """Figures without the points, as one object that JSON can hold."""
        return {**self.facts, "notes": list(self.notes)}


def scatter(
    store: str | Path | Store,
    x: str,
    y: str,
    *,
    color: str | None = None,
    rows: str | None = None,
    predictions: str | None = None,
    where: str = "",
) -> Scatter:
    """Two columns against each other, with Spearman's correlation and its interval.

    `rows` are frames, labels, predictions or answers: without it frames where both columns are measured on frames, else labels
    (predictions where color is the outcome or there are no labels). `color` is outcome, class, or a column: numbers in
    quarters, the five most frequent values of others. Points up to 20,000 get an interval by frame bootstrap.

    Raises
    ------
    UsageError
        A column is unknown, has no numbers, or is not measured on such rows; and what opening a store raises.
    """
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    chosen = rows or _rows_for(opened, (x, y), color)
    if chosen not in ROWS:
        raise UsageError(f"rows {chosen!r}: there is no such", hint=close(chosen, ROWS) or f"choose {', '.join(ROWS)}")
    found = subjects(opened, ROWS[chosen], predictions=predictions, where=where, judge=color == "outcome")
    both = [_axis(found, name) for name in (x, y)]
    known = np.flatnonzero(np.isfinite(both[0].numbers) & np.isfinite(both[1].numbers))
    axes = tuple(Axis(of.name, of.unit, of.numbers[known], *_by_powers(of.numbers[known])) for of in both)
    group, names = _groups(found, color, known)
    facts: dict[str, Any] = {
        "params": {"x": x, "y": y, "rows": chosen, "color": color, "predictions": predictions, "where": where},
        "at": dict(found.at),
        "n": len(known),
        "missing": len(found.table) - len(known),
        **_spearman(axes[0].numbers, axes[1].numbers, found.frame[known]),
        "groups": _per_group(axes, group, names) if color is not None else [],
    }
    notes = [note for note in found.notes if " of no value " not in note]  # about other columns
    if not len(known):
        notes.append(f"no {chosen} have a value of both {x} and {y}")
    who = _who(found, known)
    return Scatter(axes[0], axes[1], chosen, color, names, group, who, _far_out(axes), facts, tuple(notes))


def _who(found: Subjects, known: NDArray[np.int64]) -> "pd.DataFrame":
    """Ids and classes of some of the rows."""
    names = [name for name in ("object", "frame", "class") if name in found.table]
    points = found.table[names].iloc[known].rename(columns={"object": "subject"}).reset_index(drop=True)
    if found.rows in ("F", "C"):
        points = points.assign(**{"class": None, **points, "subject": points["frame"]})
    return points[["subject", "frame", "class"]]


def _rows_for(store: Store, names: tuple[str, ...], color: str | None) -> str:
    """Which rows the columns are about."""
    known = store.columns()
    if not any(known.get(name, {}).get("per") == "object" for name in names) and color not in ("outcome", "class"):
        return "frames"
    sets = len(store.identity.get("origins", ())) > 1
    labels = bool(store.identity.get("labels"))
    return "predictions" if sets and (color == "outcome" or not labels) else "labels"


def _axis(found: Subjects, name: str) -> Axis:
    values, unit = _column(found, name)
    if values.dtype.kind not in "iufb":
        raise UsageError(f"{name} holds texts, an axis needs numbers", hint="use it as --color")
    return Axis(name, unit, values.astype(np.float64))


def _by_powers(values: Floats) -> tuple[bool, float]:
    """Whether an axis goes by powers of ten, and up to which size it is even all the same."""
    size = np.abs(values[values != 0])
    if not len(size) or size.max() <= TAIL * np.median(size):
        return False, 0.0
    return True, 0.0 if values.min() > 0 else float(10.0 ** np.floor(np.log10(np.quantile(size, EVEN))))


def powers(values: Floats, near: float) -> Floats:
    """Places of values on an axis of powers of ten: logarithms, and with `near` signed ones of how often it fits into them."""
    return np.sign(values) * np.log10(1 + np.abs(values) / near) if near else np.log10(values)


def _column(found: Subjects, name: str) -> tuple[NDArray[Any], str]:
    """Values of any column of the rows or of their frames, and the unit. Raises `UnknownNameError`, `UsageError`."""
    if name in found.measures:
        return found.values(name), found.measures[name].unit
    facts, rows = found.store.columns().get(name), next(key for key, level in ROWS.items() if level == found.rows)
    if facts is None:
        per = "frame" if found.rows in ("F", "C") or name in found.store.input.columns("frames") else "object"
        if name not in found.store.input.columns(f"{per}s"):
            known = dict.fromkeys([*found.measures, *found.store.columns()])
            raise UnknownNameError(f"{rows} have no column {name!r}", hint=close(name, known) or "see `gpu-quality show OUT`")
        facts = {"per": per}
    per, unit = str(facts["per"]), str(facts.get("unit", ""))
    if facts.get("vector") or "hash" in unit or unit.startswith("SHA-"):
        raise UsageError(f"{name} identifies a {per}; it has no place on an axis, and no color")
    if per == "object" and found.rows in ("F", "C"):
        raise UsageError(f"{name} is measured on objects, not on {rows}", hint="choose the rows labels or predictions")
    column = found.store.column(name, "object" if per == "object" else "frame")
    place = found.frame if per == "frame" else found.place
    numeric = column.dtype.kind in "iufb"
    values = column.to_numpy(dtype=np.float64, na_value=np.nan) if numeric else column.to_numpy(dtype=object)
    return values[place], unit


def _groups(found: Subjects, color: str | None, known: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The group of each point and the names of the groups."""
    if color is None:
        return np.zeros(len(known), np.int64), ("",)
    if color == "outcome":
        if found.success is None:
            why = f"color outcome: {found.store.path} was never evaluated"
            raise UsageError(why, hint="run with --labels and --predictions NAME=PATH")
        success = found.success[known]
        if found.rows == "F":
            return quarters(success, "F1")
        code = np.where(success == 1, 0, np.where(success == 0, 1, 2))
        return code, _WORDS[found.rows]
    if color == "class" and found.rows == "F":
        raise UsageError("frames have no class", hint="choose the rows labels or predictions")
    values = found.table["class"].to_numpy(dtype=object) if color == "class" else _column(found, color)[0]
    values = values[known]
    if values.dtype.kind == "f" and len(np.unique(values[~np.isnan(values)])) > MOST_GROUPS:
        return quarters(values, color)
    return frequent(values)


def _spearman(x: Floats, y: Floats, frame: NDArray[np.int64]) -> dict[str, float | None]:
    """Rank correlation with its 95 % interval; null where it is not defined or not computed."""
    if len(x) < 3 or x.min() == x.max() or y.min() == y.max():
        return dict.fromkeys(("spearman", "spearman_low", "spearman_high"))
    if len(x) > MOST_WITH_INTERVAL:
        rho = correlation(*(middles(v, np.argsort(v, kind="stable")) for v in (x, y)))
        return {"spearman": rho, "spearman_low": None, "spearman_high": None}
    import pandas as pd

    row = correlations(pd.DataFrame({"x": x}), y, frames=frame).iloc[0]
    return {name: None if np.isnan(row[name]) else float(row[name]) for name in ("spearman", "spearman_low", "spearman_high")}


def _per_group(axes: Sequence[Axis], group: NDArray[np.int64], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """How many points each group has, and the medians of both measures; groups without points are left out."""
    facts = []
    for place, name in enumerate(names):
        rows = group == place
        if rows.any():
            x, y = (float(np.median(axis.numbers[rows])) for axis in axes)
            facts.append({"group": name, "n": int(rows.sum()), "median_x": x, "median_y": y})
    return facts


def _far_out(axes: Sequence[Axis]) -> Floats:
    """The larger excess of a point in its two measures, as they are shown; 0 for points that are an outlier in none."""
    far = np.zeros(len(axes[0].numbers))
    for axis in axes:
        table = outliers(powers(axis.numbers, axis.near) if axis.log else axis.numbers)
        rows = table["row"].to_numpy()
        far[rows] = np.maximum(far[rows], table["excess"].to_numpy())
    return far
