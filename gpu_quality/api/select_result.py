"""The answer of `select`: the frames with the reason for each, and the sentences that tell how they were chosen."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from gpu_quality.api.results import keep, kept, kept_table
from gpu_quality.errors import CorruptError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, counted, number

if TYPE_CHECKING:
    import pandas as pd

RESULT: Final = "selection"
_HOW: Final = {
    "none": "the best were taken",
    "kcenter": "each is the one farthest, by its vector, from all that were taken before (k-center greedy)",
    "kmeans": "their vectors were put into {clusters} clusters by k-means, and of each the {best} was taken",
}


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


def save(store: Store, answer: Selection) -> Selection:
    """Keep the answer beside the layers, unless somebody else is writing there or nobody may."""
    facts = {**answer.facts, "notes": list(answer.notes)}
    plain = answer.table.astype({"cluster": "float64", "group": "float64"})  # nullable whole numbers would be kept as text
    refused = keep(store, RESULT, facts, {"": plain})
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
