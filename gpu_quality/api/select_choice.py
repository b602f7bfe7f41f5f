"""From what a store holds to the frames that are chosen: who may be, in which order they are wanted, who is taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Float16, Float64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.analysis.selection import Acquisition, Pick, Shows, Term, acquisition, choose, one_of_each, pool
from gpu_quality.analysis.selection_pickers import Farthest, First, OfClusters, Picker
from gpu_quality.api.select_columns import Wanted
from gpu_quality.api.select_input import Copies, Frames
from gpu_quality.api.vectors import vectors_of
from gpu_quality.errors import EmptyInputError, UsageError
from gpu_quality.index.exact import Exact
from gpu_quality.index.vectors import usable
from gpu_quality.store.store import Store
from gpu_quality.text import counted

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_ALONE: Final = "--diverse none goes by columns alone"


@dataclass(frozen=True, slots=True)
class Matrix:
    """The vectors of all frames."""

    x: Float16[Tensor, "n d"]
    usable: Mask


@dataclass(frozen=True, slots=True)
class Diverse:
    """A way to pick, and what it was made of."""

    picker: Picker
    clusters: NDArray[np.int64] | None = None
    """Cluster of each row; None where there are none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How many frames are wanted, and in which way."""

    count: int
    way: str
    """none, kcenter or kmeans."""
    quotas: Mapping[int, int]
    """Wanted frames by class."""
    balance: bool
    factor: int
    """Frames looked at per frame wanted, where diverse ones are looked for among the best."""
    seed: int


@dataclass(frozen=True, slots=True)
class Shown:
    """Classes and the frames that show them."""

    frame: Ints
    class_id: Ints

    def by_class(self, place: Ints) -> dict[int, Ints]:
        """Rising places by class; `place` says where each frame is, -1 for nowhere."""
        here = place[self.frame]
        there = here >= 0
        order = np.lexsort((here[there], self.class_id[there]))
        names, first = np.unique(self.class_id[there][order], return_index=True)
        return dict(zip(names.tolist(), np.split(here[there][order], first[1:]), strict=True)) if len(names) else {}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The choice, and everything it is told from."""

    asked: Asked
    frames: Frames
    terms: Sequence[Wanted]
    measured: Sequence[Floats]
    """Of the frames that could be chosen, duplicates included, by term."""
    scores: Acquisition | None
    eligible: Ints
    """Those frames."""
    copies: Copies
    others: Ints
    """Duplicates that each of them stands for."""
    looked: Ints
    """Places among them that were looked at, one of each group, the best first."""
    clusters: Ints | None
    picks: Sequence[Pick]
    """Rows are places in `looked`."""
    radius: float
    """Of what was looked at, the largest distance to the nearest frame chosen or excluded; NaN where nobody asked."""
    counts: Mapping[str, int]
    classes: Mapping[int, Mapping[str, int]]
    """By class: frames known, candidates, chosen."""


def chosen(
    asked: Asked,
    frames: Frames,
    copies: Copies,
    vectors: Matrix | None,
    terms: Sequence[tuple[Wanted, Floats]],
    shown: Shown,
) -> Chosen:
    """Choose. `terms` hold a value per frame of the run. Raises `EmptyInputError` where no frame is left."""
    eligible, counts = _eligible(asked, frames, copies, vectors)
    values = [value[eligible] for _, value in terms]
    scores = acquisition([Term(v, t.high, t.weight) for (t, _), v in zip(terms, values, strict=True)]) if terms else None
    rank = -scores.score if scores is not None else np.zeros(len(eligible))
    kept, others = one_of_each(copies.group[eligible], np.lexsort((eligible, ~copies.keep[eligible], rank)))
    candidates = np.flatnonzero(kept)
    place = np.full(len(frames.frame), -1, np.int64)
    place[eligible[candidates]] = np.arange(len(candidates))
    by_class = shown.by_class(place)
    wanted = list(by_class) if asked.balance else [name for name in asked.quotas if name in by_class]
    size = len(candidates) if scores is None else asked.count * (1 if asked.way == "none" else asked.factor)
    order = np.argsort(rank[candidates], kind="stable")
    looked = candidates[pool(order, size, [by_class[name] for name in wanted])]
    place[:] = -1
    place[eligible[looked]] = np.arange(len(looked))
    known = np.where(frames.known, 0, -1)
    have = {name: len(rows) for name, rows in shown.by_class(known).items()}
    shows = Shows(shown.by_class(place), have)
    found = _picker(asked, frames, vectors, eligible[looked], scored=scores is not None)
    picks = choose(found.picker, len(looked), asked.count, shows=shows, quotas=asked.quotas, balance=asked.balance)
    picker = found.picker
    radius = picker.radius(torch.arange(len(looked))) if isinstance(picker, Farthest) else float("nan")
    counts |= {"copies": len(eligible) - len(candidates), "candidates": len(candidates), "pool": len(looked),
               "chosen": len(picks)}  # fmt: skip
    place[:] = -1
    place[eligible[looked[[pick.row for pick in picks]]]] = 0
    taken = {name: len(rows) for name, rows in shown.by_class(place).items()}
    classes = {
        name: {"known": have.get(name, 0), "candidates": len(by_class.get(name, ())), "chosen": taken.get(name, 0)}
        for name in sorted({*have, *by_class, *asked.quotas})
    }
    return Chosen(
        asked, frames, [term for term, _ in terms], values, scores, eligible, copies, others, looked, found.clusters, picks,
        radius, counts, classes,
    )  # fmt: skip


def _eligible(asked: Asked, frames: Frames, copies: Copies, vectors: Matrix | None) -> tuple[Ints, dict[str, int]]:
    """Frames that may be chosen, duplicates of each other included, and how many are lost on the way."""
    group = copies.group
    known = np.unique(group[frames.known & (group >= 0)])
    copied = frames.free & np.isin(group, known)
    left = frames.free & ~copied
    without = left & ~vectors.usable if vectors is not None and asked.way != "none" else np.zeros(len(left), bool)
    counts = {**frames.counts, "copies_of_excluded": int(copied.sum()), "without_vector": int(without.sum())}
    eligible = np.flatnonzero(left & ~without)
    if not len(eligible):
        raise _empty(counts)
    return eligible, counts


def _empty(counts: Mapping[str, int]) -> EmptyInputError:
    """What to say where nothing is left."""
    reasons = {
        "excluded": "are excluded", "unreadable": "could not be read", "outside": "are not meant by --where",
        "copies_of_excluded": "are duplicates of excluded ones", "without_vector": "have no vector",
    }  # fmt: skip
    why = ", ".join(f"{counts[key]:,} {what}" for key, what in reasons.items() if counts[key])
    hints = {"outside": "loosen --where", "without_vector": "--diverse none needs no vectors"}
    most = max(reasons, key=lambda key: counts[key])
    hint = hints.get(most, "exclude less, or run with more frames")
    return EmptyInputError(f"no frame is left to choose: of {counted(counts['frames'], 'frame')} {why}".rstrip(), hint=hint)


def _picker(asked: Asked, frames: Frames, vectors: Matrix | None, rows: Ints, *, scored: bool) -> Diverse:
    """How to pick among some frames."""
    none = torch.zeros(len(rows), 1)
    known = frames.known & vectors.usable if vectors is not None else np.zeros(0, bool)
    x = none if vectors is None else vectors.x[torch.from_numpy(rows)]
    old = none[:0] if vectors is None else vectors.x[torch.from_numpy(np.flatnonzero(known))]
    return picker_of(asked.way, x, old, asked.count, scored=scored, seed=asked.seed)


def matrix(store: Store) -> Matrix:
    """All vectors, NaN where there is none. Raises `UsageError` where the store holds none."""
    try:
        found = vectors_of(store, "frame")
    except UsageError as error:
        hint = f"{error.hint}; {_ALONE}" if error.hint else _ALONE
        raise UsageError(f"diverse frames are told by their vectors: {error}", hint=hint) from None
    x = torch.full((store.input.count("frames"), found.encoder["dim"]), torch.nan, dtype=torch.float16)
    for rows, part in found.pieces():
        x[rows.start : rows.stop] = part
    return Matrix(x, usable(x).numpy())


def copies_by_vectors(vectors: Matrix, at_least: float) -> Copies:
    """Groups of frames whose vectors have a cosine of at least `at_least` to the first of the group."""
    leader = Exact().groups(vectors.x, at_least).leader.numpy()
    count = np.bincount(leader[leader >= 0], minlength=len(leader))
    group = np.where((leader >= 0) & (count[leader] > 1), leader, -1) if len(leader) else leader
    return Copies(group, np.zeros(len(leader), bool), f"vectors with a cosine from {at_least:g} on")


def picker_of(
    way: str, x: Float[Tensor, "p d"], known: Float[Tensor, "m d"], count: int, *, scored: bool, seed: int
) -> Diverse:
    """How to pick among vectors, the most wanted first where they are `scored`; `known` ones are to be kept away from."""
    if way == "none":
        return Diverse(First())
    near = _nearest(x, known)
    if way == "kcenter":
        return Diverse(Farthest(x, near, None if scored else seed))
    found = Exact().kmeans(x, min(count, len(x)), seed)
    order = torch.arange(len(x)) if scored else found.distance.sort(stable=True).indices
    return Diverse(OfClusters(x, near, found.label, order), found.label.numpy())


def _nearest(x: Float[Tensor, "p d"], known: Float[Tensor, "m d"]) -> Float64[Tensor, " p"]:
    """Cosine distance to the nearest known vector; infinite where there is none."""
    if not len(known):
        return torch.full((len(x),), torch.inf, dtype=torch.float64)
    return Exact().search(x, known, 1).distance[:, 0].double().clamp(min=0)
