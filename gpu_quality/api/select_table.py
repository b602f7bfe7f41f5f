"""A choice of frames as a table with a reason for each, as facts, and as sentences about what is short."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gpu_quality.api.select_choice import Chosen
from gpu_quality.text import clean, counted, number, share

if TYPE_CHECKING:
    import pandas as pd

_OWN: Final = frozenset(
    ("rank", "frame", "uri", "place", "score", "distance", "cluster", "class", "group", "left_out", "reason")
)


def table_of(found: Chosen, names: Sequence[str]) -> "pd.DataFrame":
    """One row per chosen frame, as `Selection.table` says; `names` are those of the classes."""
    import pandas as pd

    at = found.looked[[pick.row for pick in found.picks]]
    row = found.eligible[at]
    columns: dict[str, Any] = {
        "rank": np.arange(1, len(row) + 1), "frame": [found.frames.frame[i] for i in row],
        "uri": [found.frames.uri[i] for i in row], "place": row,
        "score": found.scores.score[at] if found.scores is not None else np.full(len(row), np.nan),
    }  # fmt: skip
    for number_, term in enumerate(found.terms):
        columns[_free(term.column)] = found.measured[number_][at]
        columns[f"top_{term.column}"] = found.scores.top[number_][at] if found.scores is not None else np.nan
    distance = np.array([pick.distance for pick in found.picks])
    columns["distance"] = np.where(np.isfinite(distance), distance, np.nan)
    cluster = None if found.clusters is None else found.clusters[[pick.row for pick in found.picks]] + 1
    group = found.copies.group[row]
    columns["cluster"] = _whole(cluster, len(row))
    columns["class"] = pd.Series([names[pick.wanted] if pick.wanted >= 0 else None for pick in found.picks], dtype="str")
    columns["group"] = _whole(np.where(group >= 0, group, -1), len(row))
    columns["left_out"] = found.others[at]
    table = pd.DataFrame(columns)
    table["reason"] = pd.Series(_reasons(found, table, cluster), dtype="str")
    return table


def _free(column: str) -> str:
    """What a column of the store is called among ours."""
    return f"{column}_value" if column in _OWN or column.startswith("top_") else column


def _whole(values: "np.ndarray[Any, Any] | None", count: int) -> "pd.Series[Any]":
    """Whole numbers, null below 0."""
    import pandas as pd

    found = pd.Series(np.full(count, -1) if values is None else values, dtype="Int64")
    return found.where(found >= 0)


def _reasons(found: Chosen, table: "pd.DataFrame", cluster: "np.ndarray[Any, Any] | None") -> list[str]:
    """Why each frame was chosen, in words."""
    told = []
    seen: set[int] = set()
    for i, pick in enumerate(found.picks):
        parts = [_ranked(term.column, float(table[f"top_{term.column}"][i])) for term in found.terms]
        if cluster is not None:
            parts.append(f"{'one more' if int(cluster[i]) in seen else 'first'} of cluster {int(cluster[i])}")
            seen.add(int(cluster[i]))
        parts += _far(pick.distance, first=i == 0, known=bool(found.counts["excluded"]))
        if pick.wanted >= 0:
            name, quota = clean(table["class"][i], 60), found.asked.quotas.get(pick.wanted, 0)
            parts.append(f"for the quota of {name}" if quota and not found.asked.balance else f"shows {name}")
        if table["left_out"][i]:
            parts.append(f"{table['left_out'][i]:,} of {table['left_out'][i] + 1:,} duplicates left out")
        told.append(", ".join(parts))
    return told


def _ranked(column: str, top: float) -> str:
    if np.isnan(top):
        return f"{column} has no value"
    percent = f"{100 * top:.2g} %" if top < 0.1 else share(round(1e6 * top), 1_000_000)
    return f"{column} in the top {percent}"


def _far(distance: float, *, first: bool, known: bool) -> list[str]:
    if np.isinf(distance):
        return ["where the choice begins"] if first else []
    if np.isnan(distance):
        return []
    what = "chosen or excluded" if known else "chosen"
    if distance <= 0:
        return [f"by its vector a copy of one {what}"]
    return [f"far ({number(round(distance, 4))}) from everything {what}"]


def facts_of(found: Chosen, names: Sequence[str]) -> dict[str, Any]:
    """Everything about a choice but its frames, as plain values."""
    scores = found.scores
    missing = scores.missing if scores is not None else ()
    return {
        "by": [{**term.told(), "missing": less} for term, less in zip(found.terms, missing, strict=True)],
        "diverse": found.asked.way,
        "clusters": None if found.clusters is None else len(np.unique(found.clusters)),
        "radius": round(found.radius, 6) if np.isfinite(found.radius) else None,
        "counts": dict(found.counts),
        "classes": [
            {"class": names[name], "quota": found.asked.quotas.get(name), **counts} for name, counts in found.classes.items()
        ],
    }


def notes_of(found: Chosen, names: Sequence[str]) -> list[str]:
    """Sentences about what fell short of what was asked."""
    counts, notes = found.counts, []
    if counts["chosen"] < found.asked.count:
        notes.append(f"{found.asked.count:,} frames are wanted and {counts['chosen']:,} are there: all of them are taken")
    for name, wanted in found.asked.quotas.items():
        own = found.classes[name]
        if own["chosen"] < wanted:
            short = "no more of the frames that could be chosen show it"
            why = "--count is used up" if own["candidates"] > own["chosen"] else short
            notes.append(f"quota of {clean(names[name], 60)}: {own['chosen']:,} of {wanted:,} ({why})")
    if counts["without_vector"]:
        notes.append(f"{counted(counts['without_vector'], 'frame')} without a vector: --diverse none could choose them")
    for place, term in enumerate(found.terms):
        less = 0 if found.scores is None else found.scores.missing[place]
        if less == len(found.eligible):
            notes.append(f"{term.column} has no value for any frame that could be chosen: it decides nothing")
    if len(found.terms) and all(np.isnan(values).all() for values in found.measured):
        notes.append("no frame has any of the values asked for: the order is that of the input")
    return notes
