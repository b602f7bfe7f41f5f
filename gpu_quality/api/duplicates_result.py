"""The answer of `duplicates`: what it holds, the sentence that tells how it came about, and how a store keeps it."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from gpu_quality.api.results import keep, kept
from gpu_quality.errors import CorruptError
from gpu_quality.store.layout import RESULTS
from gpu_quality.store.store import Store
from gpu_quality.text import number

if TYPE_CHECKING:
    import pandas as pd

OWN, AGAINST = "duplicates", "duplicates_against"
"""Result files of one run, and of two."""
COMPARED: Final = ("content_hash", "phash", "dhash", "phash_d4", "dhash_d4", "thumbnail_range", "embedding")
"""Columns that decide which frames are duplicates."""
_MEMBERS: Final = ("group", "frame", "run", "split", "kind", "similarity", "hash", "embedding", "keep", "leader", "reason")
_SIGNS: Final = {"exact": "equal pixels", "hash": "hashes under all flips and turns", "embedding": "vectors"}


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Groups of frames that show the same, the largest first, and duplicates across splits or runs."""

    groups: list[dict[str, Any]]
    """Per group: `members` (frame, run, split, kind, similarity, hash, embedding), `keep`, `reason`, `leader`, `drifts`,
    `pairs_below` (pairs of members that meet no threshold), `least_hash`, `least_embedding`."""
    leaks: dict[str, Any]
    """`between` ("splits", "runs" or None), `counts` per pair of places, and `pairs`."""
    facts: dict[str, Any] = field(default_factory=dict)
    """`kinds`, `thresholds`, `linkage`, `counts`, `compared`, `left_out`, `missing`, `against`, `made_from`."""
    notes: tuple[str, ...] = ()
    """Sentences about what could not be compared."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as one object that JSON can hold."""
        return {"groups": self.groups, "leaks": self.leaks, **self.facts, "notes": list(self.notes)}

    def table(self) -> "pd.DataFrame":
        """One row per member, group after group, the frame to keep first; `group` counts from 1."""
        import pandas as pd

        rows = []
        for place, group in enumerate(self.groups, 1):
            for member in group["members"]:
                is_kept, leads = ((member["frame"], member["run"]) == (group[k], group[f"{k}_run"]) for k in ("keep", "leader"))
                more = {"group": place, "keep": is_kept, "leader": leads, "reason": group["reason"] if is_kept else None}
                rows.append({**member, **more})
        table = pd.DataFrame(rows, columns=list(_MEMBERS))
        types = {"group": "int64", "similarity": "float64", "hash": "float64", "embedding": "float64", "keep": "bool"}
        return table.astype({**types, "leader": "bool"})

    def how(self) -> str:
        """By which signs and thresholds frames were compared, and how groups were made of pairs, in one or two sentences."""
        limits, parts = self.facts["thresholds"], []
        for kind in self.facts["kinds"]:
            least, left = limits.get(kind), self.facts["left_out"][kind]
            rule = f" (>= {number(least)})" if least is not None else ""
            parts.append(f"{_SIGNS[kind]}{rule}{f', {left:,} without' if left else ''}")
        pairs = limits["together"]
        both = " or ".join(f"vectors >= {number(t['embedding'])} with hashes >= {number(t['hash'])}" for t in pairs)
        more = f"; or both together: {both}" if both else ""
        return f"compared by {'; '.join(parts)}{more}. The linkage is a {self.facts['linkage']}."


def made_from(store: Store) -> dict[str, Any]:
    """The stored columns that decide about duplicates, each with the layer that holds it and its finished shards."""
    known = store.columns()
    found = {name: str(known[name]["layer"]) for name in COMPARED if name in known}
    return {name: {"layer": held, "shards": len(store.done(held))} for name, held in found.items()}


def save(store: Store, answer: Duplicates, name: str) -> Duplicates:
    """Write the answer beside the layers, unless somebody else is writing there or nobody may."""
    refused = keep(store, name, answer.to_dict(), {"": answer.table()})
    return replace(answer, notes=(*answer.notes, refused)) if refused else answer


def saved(store: Store, name: str = OWN) -> Duplicates | None:
    """The answer that a store keeps; None where nobody asked yet. Raises `CorruptError` where it is not what was written."""
    found = kept(store, name)
    if found is None:
        return None
    try:
        facts = {key: value for key, value in found.items() if key not in ("groups", "leaks", "notes")}
        return Duplicates(list(found["groups"]), dict(found["leaks"]), facts, tuple(map(str, found["notes"])))
    except (KeyError, TypeError, ValueError):
        raise CorruptError(
            f"{RESULTS}/{name}.json is not what was written", hint=f"gpu-quality duplicates {store.path} makes it anew"
        ) from None
