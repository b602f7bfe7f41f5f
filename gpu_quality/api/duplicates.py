"""The verb `duplicates`: frames that show the same, in one run or across two, and which to keep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from gpu_quality.analysis.duplicates import KINDS, Found, Kind, find
from gpu_quality.analysis.duplicates_groups import LINKAGE
from gpu_quality.analysis.duplicates_links import Rules
from gpu_quality.api.duplicates_input import Input, read
from gpu_quality.api.duplicates_result import AGAINST, OWN, Duplicates, made_from, save
from gpu_quality.errors import UsageError
from gpu_quality.index.exact import Exact
from gpu_quality.store.store import Store
from gpu_quality.text import close


def duplicates(
    store: str | Path | Store,
    *,
    against: str | Path | Store | None = None,
    kind: str | None = None,
    at_least: float | None = None,
) -> Duplicates:
    """Frames of a run that show the same; or, with `against`, frames that a second run has too.

    `kind` asks for one sign only: exact (equal pixels and shape), hash (phash and dhash under all flips and turns), embedding;
    without it all signs that are stored are put together. `at_least` replaces the thresholds by one similarity, 0..1.
    The answer is kept in ``results/duplicates.json`` and ``.parquet`` (``duplicates_against.*`` for two runs). Raises
    `UsageError` for values nobody knows and where nothing stored can be compared, and what opening a store raises.
    """
    kinds = _kinds(kind, at_least)
    stores = [_open(given) for given in (store, against) if given is not None]
    if len({one.path.resolve() for one in stores}) < len(stores):
        raise UsageError(f"--against {stores[0].path}: that is the same store", hint="name another one, or leave it out")
    given = read(stores, kinds)
    rules = Rules.of(hash="hash" in given.kinds, embedding="embedding" in given.kinds, at_least=at_least)
    found = find(given.evidence, Exact(), kinds=given.kinds, rules=rules, side=given.side)
    notes = list(given.notes)
    if not found.complete:
        notes.append("there are so many pairs that frames were compared with leading frames only; a higher --at-least helps")
    groups = _groups(given, found)
    facts = {**_facts(given, found, rules, groups), "made_from": made_from(stores[0])}
    answer = Duplicates(groups, _leaks(given, found, rules), facts, tuple(notes))
    return save(stores[0], answer, OWN if against is None else AGAINST)


def _kinds(kind: str | None, at_least: float | None) -> tuple[Kind, ...]:
    """The kinds that are wanted. Raises `UsageError`."""
    if at_least is not None and not 0 < at_least <= 1:
        raise UsageError(
            f"--at-least {at_least}: a similarity is above 0 and at most 1", hint="1 finds copies, .9 near duplicates"
        )
    wanted = tuple(k for k in KINDS if kind in (None, k))
    if not wanted:
        known = ", ".join(KINDS)
        raise UsageError(f"--kind {kind}: there is no such kind", hint=close(str(kind), KINDS) or f"choose one of {known}")
    return wanted


def _open(given: str | Path | Store) -> Store:
    return given if isinstance(given, Store) else Store.open(Path(given))


def _groups(given: Input, found: Found) -> list[dict[str, Any]]:
    """Groups as plain values; of two runs only those with frames of both."""
    rows = (found.group >= 0).nonzero().flatten()
    rows = rows[found.group[rows].sort(stable=True).indices]
    count = torch.bincount(found.group[rows], minlength=len(found.keep)) if len(rows) else torch.zeros(0, dtype=torch.int64)
    groups = []
    for number, members in enumerate(torch.split(rows, count.tolist()) if len(rows) else ()):
        if given.runs and len(torch.unique(given.run[members])) < 2:
            continue
        keep, leader = int(found.keep[number]), int(found.leader[members[0]])
        ordered = [keep, *(row for row in members.tolist() if row != keep)]
        below = int(found.drift.below[number])
        groups.append(
            {
                "members": [_member(given, found, row) for row in ordered],
                "keep": given.frame[keep],
                "keep_run": given.run_of(keep),
                "reason": found.reason[number],
                "leader": given.frame[leader],
                "leader_run": given.run_of(leader),
                "drifts": None if below < 0 else below > 0,
                "pairs_below": None if below < 0 else below,
                "least_hash": _plain(found.drift.hash[number]),
                "least_embedding": _plain(found.drift.cosine[number]),
            }
        )
    return groups


def _member(given: Input, found: Found, row: int) -> dict[str, Any]:
    """One frame of a group and what speaks for it."""
    return {
        "frame": given.frame[row],
        "run": given.run_of(row),
        "split": given.split[row] or None,
        "kind": KINDS[int(found.kind[row])],
        "similarity": _plain(found.similarity[row]),
        "hash": _plain(found.hash[row]),
        "embedding": _plain(found.cosine[row]),
    }


def _plain(value: Tensor) -> float | None:
    """A similarity with six digits; None where there is none."""
    number = float(value)
    return None if np.isnan(number) else round(number, 6)


def _leaks(given: Input, found: Found, rules: Rules) -> dict[str, Any]:
    """Pairs across splits or runs, and how many there are between any two."""
    if given.side is None:
        return {"between": None, "counts": [], "pairs": []}
    name = "run" if given.runs else "split"
    side, pairs = given.side, []
    for (a, b), by_hash, cosine, same in zip(*(column.tolist() for column in found.leaks), strict=True):
        exact = same and "exact" in given.kinds
        hashed = not exact and "hash" in given.kinds and (same or _by_hash(by_hash, cosine, rules))
        value = 1.0 if same else by_hash if hashed else cosine
        pairs.append(
            {
                "frame": given.frame[a],
                name: given.places[int(side[a])],
                "other": given.frame[b],
                f"other_{name}": given.places[int(side[b])],
                "kind": "exact" if exact else "hash" if hashed else "embedding",
                "similarity": round(value, 6),
            }
        )
    return {"between": f"{name}s", "counts": _counts(found.leaks.rows, side, given.places, name), "pairs": pairs}


def _by_hash(by_hash: float, cosine: float, rules: Rules) -> bool:
    """Whether the hashes are what makes the pair."""
    return bool(np.isnan(cosine)) or (rules.hash is not None and by_hash >= rules.hash)


def _counts(rows: Int64[Tensor, "p 2"], side: Int64[Tensor, " n"], places: Sequence[str], name: str) -> list[dict[str, Any]]:
    """Frames of each of two places that have a duplicate in the other, for every two places that share one."""
    counts = []
    ends = side[rows]
    for low, high in torch.unique(ends, dim=0).tolist():
        both = rows[(ends == torch.tensor([low, high])).all(1)]
        frames = [len(torch.unique(both[:, end])) for end in (0, 1)]
        counts.append({f"{name}s": [places[low], places[high]], "frames": frames, "pairs": len(both)})
    return counts


def _facts(given: Input, found: Found, rules: Rules, groups: list[dict[str, Any]]) -> dict[str, Any]:
    members = sum(len(group["members"]) for group in groups)
    thresholds: Mapping[str, Any] = {
        "hash": rules.hash,
        "embedding": rules.embedding,
        "together": [{"embedding": cosine, "hash": by_hash} for cosine, by_hash in rules.together],
        "refused_below_embedding": rules.refused if rules.hash is not None and rules.embedding is not None else None,
    }
    return {
        "kinds": list(given.kinds),
        "thresholds": dict(thresholds),
        "linkage": LINKAGE,
        "counts": {"frames": len(given.frame), "groups": len(groups), "members": members, "surplus": members - len(groups)},
        "compared": found.compared,
        "left_out": {kind: len(given.frame) - count for kind, count in found.compared.items()},
        "missing": dict(given.missing),
        "against": given.runs[1] if given.runs else None,
    }
