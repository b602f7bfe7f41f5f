"""What `drift` finds without looking at one measure alone: two sets as clouds of vectors, and the frames farthest outside."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.analysis.drift import LIMIT
from gpu_quality.analysis.drift_frames import nearest, others, ranked, unusual
from gpu_quality.analysis.drift_units import Units, exchanged, units
from gpu_quality.analysis.drift_vectors import FEWEST, Domain, discrepancy, domain
from gpu_quality.api.drift_input import Side, Tables
from gpu_quality.api.drift_vectors import vectors
from gpu_quality.text import clean, counted, number

if TYPE_CHECKING:
    from collections.abc import Sized

    import pandas as pd

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
SAMPLED: Final = 2000
"""Frames of a side that are compared with each other: memory and time grow with the square, to a few seconds here."""
PERMUTATIONS: Final = 999


@dataclass(frozen=True, slots=True)
class Cloud:
    """Frames of both sides as vectors, of the encoder or of ranks of measures."""

    frames: tuple[Ints, Ints]
    """Rows of the stores."""
    points: tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]
    facts: dict[str, Any]
    scores: tuple[Floats, Floats] = field(default_factory=lambda: (np.zeros(0), np.zeros(0)))
    """Of every frame: the larger, the likelier of the second set."""


def of_vectors(pair: tuple[Side, Side], seed: int, notes: list[str]) -> Cloud | None:
    """Both sides compared by the vectors of the encoder; None, and a note, where there is nothing to compare."""
    found = vectors(pair, seed, notes)
    if found is None:
        return None
    (first, second), (a, b), card = found
    facts = {"encoder": card, "n_reference": len(first), "n_current": len(second)}
    return _cloud(pair, (first, second), (a, b), _picked((a, b), seed), seed, facts, kernel=True)


def of_measures(pair: tuple[Side, Side], tables: Tables, seed: int) -> Cloud:
    """Both sides compared by the ranks of their measures together."""
    import pandas as pd

    shared = [name for name in tables.reference if name in tables.current]
    whole = tables.reference[shared], tables.current[shared]
    picked = _picked(whole, seed)
    sample = pd.concat([part.iloc[own] for part, own in zip(whole, picked, strict=True)], ignore_index=True)
    points = ranked(sample, whole[0]), ranked(sample, whole[1])
    facts = {"measures": len(shared), "n_reference": len(whole[0]), "n_current": len(whole[1])}
    return _cloud(pair, (pair[0].frames, pair[1].frames), points, picked, seed, facts, kernel=False)


def _cloud(
    pair: tuple[Side, Side], frames: tuple[Ints, Ints], points: tuple[Tensor, Tensor], picked: tuple[Ints, Ints], seed: int,
    facts: dict[str, Any], *, kernel: bool,
) -> Cloud:  # fmt: skip
    """Points compared by those that are picked, and scores of all of them."""
    first, second = (part[torch.from_numpy(own)].float() for part, own in zip(points, picked, strict=True))
    groups = tuple(side.group[rows[own]] for side, rows, own in zip(pair, frames, picked, strict=True))
    of = units(groups[0], groups[1], permutations=1, seed=seed)
    told, found = _compared(torch.cat([first, second]), of, seed, kernel=kernel)
    if found is None:
        return Cloud(frames, points, {**facts, **told})
    side = torch.from_numpy(of.current[of.of].astype(np.float32))
    seen, cut = torch.cat([first, second]), len(first)
    parts = zip(points, picked, (found.scores[:cut], found.scores[cut:]), strict=True)
    scores = [_scores(part, own, held, seen, side) for part, own, held in parts]
    return Cloud(frames, points, {**facts, **told}, (scores[0], scores[1]))


def _picked(parts: "tuple[Sized, Sized]", seed: int) -> tuple[Ints, Ints]:
    """Rows of both sides that are compared."""
    return _sample(len(parts[0]), seed), _sample(len(parts[1]), seed + 1)


def _sample(count: int, seed: int) -> Ints:
    """Rows that are compared, rising."""
    if count <= SAMPLED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, SAMPLED, replace=False))


def _compared(points: Tensor, of: Units, seed: int, *, kernel: bool) -> tuple[dict[str, Any], Domain | None]:
    """Figures of two clouds; none, and why, where they are too small."""
    counts = [int((of.current == which).sum()) for which in (False, True)]
    facts: dict[str, Any] = {"compared_reference": of.rows, "compared_current": len(points) - of.rows}
    facts |= {"groups_reference": counts[0], "groups_current": counts[1], "permutations": PERMUTATIONS, "message": ""}
    facts |= dict.fromkeys(("auc", "auc_low", "auc_high", "auc_p"))
    facts |= dict.fromkeys(("mmd2", "mmd2_p", "kernel_width") if kernel else ())
    if not points.shape[1]:
        return {**facts, "message": "no measure varies"}, None
    if min(counts) < FEWEST:
        few = f"{counted(counts[0], 'independent frame')} against {counts[1]:,}; {FEWEST} on each side are needed"
        return {**facts, "message": few}, None
    drawn = exchanged(of.current, PERMUTATIONS, seed)
    found = domain(points, of, drawn, seed=seed)
    facts |= {"auc": found.auc, "auc_low": found.low, "auc_high": found.high, "auc_p": found.p}
    if kernel:
        apart = discrepancy(points, of, drawn)
        facts |= {"mmd2": apart.mmd2, "mmd2_p": apart.p, "kernel_width": apart.width}
    return facts, found


def _scores(whole: Tensor, picked: Ints, held: Floats, seen: Tensor, side: Tensor) -> Floats:
    """Scores of all frames of a side: of the compared ones by a model that saw none of their group, of others by one of all."""
    if len(picked) == len(whole):
        return held
    out: Floats = np.array(others(seen, side, whole).numpy())
    out[picked] = held
    return out


def farthest(pair: tuple[Side, Side], tables: Tables, cloud: Cloud, count: int, *, by: str) -> list[dict[str, Any]]:
    """The frames of the second set that are least like the first: ids, scores, nearest frames, measures in the tails."""
    scores = cloud.scores[1]
    order = np.argsort(-scores, kind="stable")[:count]
    if not len(order):
        return []
    ids = [side.store.frames(["frame"]).column("frame").to_pylist() for side in pair]
    known = np.sort(cloud.scores[0])
    above = np.searchsorted(known, scores[order], side="left") / max(len(known), 1)
    rows = cloud.frames[1][order]
    shared = [name for name in tables.reference if name in tables.current and not tables.measures[name].flag]
    there = np.searchsorted(pair[1].frames, rows)
    tails = unusual(tables.reference[shared], tables.current[shared].iloc[there])
    found = [
        {"rank": i + 1, "frame": ids[1][row], "score": float(scores[own]), "above": float(share), "by": by}
        for i, (row, own, share) in enumerate(zip(rows.tolist(), order.tolist(), above.tolist(), strict=True))
    ]
    near: tuple[Ints, Floats] | None = None
    if by == "vectors" and len(cloud.points[0]):
        near = nearest(cloud.points[1][torch.from_numpy(order)], cloud.points[0])
    for i, (one, measures) in enumerate(zip(found, tails, strict=True)):
        one["nearest"] = None if near is None else ids[0][int(cloud.frames[0][near[0][i]])]
        one["similarity"] = None if near is None else float(near[1][i])
        one["unusual"] = measures
    return found


def frames_table(found: list[dict[str, Any]]) -> "pd.DataFrame":
    """The same as a table, measures in words."""
    import pandas as pd

    columns = ["rank", "frame", "score", "above", "by", "nearest", "similarity", "unusual"]
    rows = [{**one, "unusual": "; ".join(map(in_words, one["unusual"]))} for one in found]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"rank": "int64", "score": "float64", "above": "float64", "similarity": "float64"})


def in_words(measure: dict[str, Any]) -> str:
    """One unusual measure: ``brightness 0.05 (below all)``."""
    place = measure["quantile"]
    where = {0.0: "below all", 1.0: "above all"}.get(place)
    told = where or (f"below {1 - place:.0%}" if place < 0.5 else f"above {place:.0%}")
    return f"{clean(measure['measure'], 60)} {number(measure['value'])} ({told})"


def sentence(cloud: Cloud, what: str) -> str:
    """Whether the sets can be told apart, in words."""
    facts = cloud.facts
    if facts["auc"] is None or math.isnan(facts["auc"]):
        return f"{what}: not compared, {facts['message'] or 'the folds hold one set only'}"
    told = f"AUC {facts['auc']:.2f} ({facts['auc_low']:.2f} to {facts['auc_high']:.2f}), p {number(facts['auc_p'])}"
    if facts["auc_p"] < LIMIT:
        return f"a classifier tells the two sets apart by {what}: {told}"
    return f"a classifier cannot tell the two sets apart by {what}: {told}"
