"""The answer of `select`: the frames with the reason for each, and the sentences that tell how they were chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gpu_quality.api.results import keep, kept, kept_table
from gpu_quality.api.select_choice import Chosen
from gpu_quality.errors import CorruptError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, counted, number, share

if TYPE_CHECKING:
    import pandas as pd

RESULT: Final = "selection"
_HOW: Final = {
    "none": "the best were taken",
    "kcenter": "each is the one farthest, by its vector, from all that were taken before (k-center greedy)",
    "kmeans": "their vectors were put into {clusters} clusters by k-means, and of each the {best} was taken",
}

_OWN: Final = frozenset(
    ("rank", "frame", "uri", "place", "score", "distance", "cluster", "class", "group", "left_out", "reason")
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Frames to label next, the first choice first."""

    store: Store
    table: "pd.DataFrame"
    """One row per chosen frame: `rank` (from 1), `frame`, `uri`, `place` (row of the frame in the input), `score` (0..1), each
    column of `by` and ``top_<column>`` (share of the candidates at least as interesting, 0..1), `distance` (cosine, to the
    nearest frame taken or excluded before; null for the first), `cluster`, `class` (whose quota or turn it fills), `group` (of
    duplicates), `left_out` (duplicates of it that are not chosen), `reason`."""
    facts: dict[str, Any] = field(default_factory=dict)
    """`by`, `diverse`, `duplicates`, `counts`, `classes`, `radius`, `params`, `made_from`."""
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> list[str]:
        """Ids of the chosen frames, in order."""
        return [str(name) for name in self.table["frame"]]

    def to_dict(self) -> dict[str, Any]:
        """Everything as one object that JSON can hold."""
        plain = self.table.replace([float("inf"), float("-inf")], float("nan"))
        rows = plain.astype(object).where(plain.notna(), None).to_dict("records")
        return {**self.facts, "how": self.how(), "notes": list(self.notes), "frames": rows}

    def how(self) -> list[str]:
        """What was done, in sentences."""
        counts, facts = self.facts["counts"], self.facts
        less = [
            (counts["excluded"], "excluded"), (counts["outside"], "not meant by --where"), (counts["unreadable"], "unreadable"),
            (counts["without_vector"], "without a vector"), (counts["copies_of_excluded"], "copies of excluded ones"),
            (counts["copies"], "duplicates of others"),
        ]  # fmt: skip
        left = ", ".join(f"{count:,} {what}" for count, what in less if count)
        head = f"{counted(counts['chosen'], 'frame')} of {counts['candidates']:,} that could be chosen"
        lines = [f"{head} ({counts['frames']:,} in the run{'; ' + left if left else ''})"]
        if facts["by"]:
            parts = [_term(term, several=len({term["weight"] for term in facts["by"]}) > 1) for term in facts["by"]]
            lines.append(f"score: {'mean rank' if len(parts) > 1 else 'rank'} by {'; '.join(parts)}")
        way = _HOW[facts["diverse"]].format(clusters=facts["clusters"], best="best" if facts["by"] else "most central")
        if facts["diverse"] != "none" and counts["pool"] < counts["candidates"]:
            way = f"among the {counts['pool']:,} best: {way}"
        if facts["radius"] is not None:
            known = " or excluded" if counts["excluded"] else ""
            way += f"; what is left is at most {number(round(facts['radius'], 4))} from a frame chosen{known}"
        lines.append(way)
        asked = [row for row in facts["classes"] if row["quota"]]
        if asked:
            parts = [f"{clean(row['class'], 60)} {row['chosen']:,} ({row['quota']:,} wanted)" for row in asked]
            lines.append(f"quotas: {', '.join(parts)}")
        if facts["params"]["balance"]:
            lines.append("balanced: each is of the class that fewest frames show, excluded and chosen ones together")
        return lines


def _term(term: dict[str, Any], *, several: bool) -> str:
    weight = f", weight {number(term['weight'])}" if several else ""
    missing = f", {counted(term['missing'], 'frame')} without a value last" if term["missing"] else ""
    what = f": {term['summary'].rstrip('.')}" if term["summary"] else ""
    return f"{clean(term['column'])}, {term['end']} first ({term['why']}{weight}{missing}){clean(what)}"


def save(store: Store, answer: Selection, before: list[str]) -> Selection:
    """Keep the answer beside the layers, unless somebody else is writing there or nobody may.

    `before` are frames that earlier selections chose and this one left out for that reason: the next one does too.
    """
    import pandas as pd

    facts = {**answer.facts, "notes": list(answer.notes)}
    plain = answer.table.astype({"cluster": "float64", "group": "float64"})  # nullable whole numbers would be kept as text
    refused = keep(store, RESULT, facts, {"": plain, "before": pd.DataFrame({"frame": pd.Series(before, dtype="str")})})
    return replace(answer, notes=(*answer.notes, refused)) if refused else answer


def saved(store: Store) -> Selection | None:
    """The last selection; None where nobody asked yet. Raises `CorruptError` where it is not what was written."""
    facts, table = kept(store, RESULT), kept_table(store, RESULT)
    if facts is None:
        return None
    if table is None or not {"counts", "by", "params", "notes"} <= facts.keys():
        raise CorruptError(
            f"results/{RESULT}.json is not what was written", hint=f"gpu-quality select {store.path} makes it anew"
        )
    notes = tuple(map(str, facts.pop("notes")))
    return Selection(store, table, facts, notes)


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
    labeled = int(found.frames.labeled[[found.eligible[found.looked[pick.row]] for pick in found.picks]].sum())
    if labeled:
        chosen = counted(counts["chosen"], "chosen frame")
        notes.append(f"{labeled:,} of {chosen} labeled already; --exclude labelled leaves such out")
    for place, term in enumerate(found.terms):
        less = 0 if found.scores is None else found.scores.missing[place]
        if less == len(found.eligible):
            notes.append(f"{term.column} has no value for any frame that could be chosen: it decides nothing")
        elif not less and len(found.eligible) > 1 and np.ptp(found.measured[place]) == 0:
            notes.append(f"{term.column} is the same for every frame that could be chosen: it decides nothing")
    if len(found.terms) and all(np.isnan(values).all() for values in found.measured):
        notes.append("no frame has any of the values asked for: the order is that of the input")
    return notes
