"""What `duplicates` reads from one store or two: hashes, vectors, sizes, splits; and what is not there, said in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float16, Float64, Int64
from torch import Tensor

from gpu_quality.analysis.duplicates import FLAT, Evidence, Kind
from gpu_quality.analysis.duplicates_groups import Qualities
from gpu_quality.analysis.duplicates_hashes import Hashes, hashes
from gpu_quality.api.vectors import vectors_of
from gpu_quality.errors import UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import counted

_FLIPS: Final = ("phash", "dhash")
_TURNS: Final = ("phash_d4", "dhash_d4")
_CONFIRM: Final = ("width", "height", "mean_red", "mean_green", "mean_blue", "contrast")
"""Equal pixels have these equal too: they confirm an equal content hash where they are stored."""
_FACTS: Final = (("width", "width"), ("height", "height"), ("file_size", "size_bytes"))
"""What a run measured, and what the listing of the input said before."""
_ADD: Final[dict[Kind, str]] = {
    "exact": "--metrics content_hash",
    "hash": f"--metrics {','.join((*_FLIPS, *_TURNS))},near_duplicate_group",
    "embedding": "--metrics singularity --encoder default",
}
"""What to add to the run command for each kind."""
_FIRST_BIT: Final = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Input:
    """The frames of one run, or of two one after the other."""

    evidence: Evidence
    kinds: tuple[Kind, ...]
    """Kinds that are wanted and stored."""
    missing: dict[Kind, str]
    """Kinds that are wanted and not stored, with what to add to the run command."""
    notes: tuple[str, ...]
    frame: list[str]
    split: list[str]
    run: Int64[Tensor, " n"]
    runs: tuple[str, ...]
    """Paths of the runs where there are two."""
    places: tuple[str, ...]
    """Names of the sides between which leaks are looked for: splits, or runs."""
    side: Int64[Tensor, " n"] | None
    """Number of each frame's side, -1 for none; None where there are not two sides."""

    def run_of(self, row: int) -> str | None:
        """Path of the run that a frame belongs to; None where there is one run only."""
        return self.runs[int(self.run[row])] if self.runs else None


def read(stores: Sequence[Store], wanted: Sequence[Kind]) -> Input:
    """All about the frames of one store or two. Raises `UsageError` where no wanted kind is stored, naming what to run."""
    columns = _Columns(stores)
    content, known = _content(columns)
    codes, vectors = _hashes(columns), None
    notes: list[str] = []
    if "embedding" in wanted:
        vectors = _vectors(columns, notes)
    there = {"exact": content, "hash": codes, "embedding": vectors}
    kinds = tuple(kind for kind in wanted if there[kind] is not None)
    missing = {kind: _ADD[kind] for kind in wanted if kind not in kinds}
    if not kinds:
        raise _nothing(stores, missing, notes)
    for kind, add in missing.items():
        notes.append(f"not compared by {kind}: it is not stored; the run command with {add} and the same --out adds it")
    if "hash" in kinds and codes is not None:
        notes += _about_hashes(columns)
    width, height, size = (columns.either(*names) for names in _FACTS)
    qualities = Qualities(width, height, columns.numbers("sharpness"), size)
    evidence = Evidence(content, known, codes, vectors, qualities)
    frame, split = columns.text("frame"), columns.text("split")
    run = torch.repeat_interleave(torch.arange(len(stores)), torch.tensor(columns.sizes))
    runs = tuple(str(store.path) for store in stores) if len(stores) > 1 else ()
    places, side = (runs, run) if runs else _splits(split)
    return Input(evidence, kinds, missing, tuple(notes), frame, split, run, runs, places, side)


def _nothing(stores: Sequence[Store], missing: dict[Kind, str], notes: Sequence[str]) -> UsageError:
    """What to say where nothing can be compared."""
    where = " and ".join(str(store.path) for store in stores)
    if not all(store.identity.get("pixels", True) for store in stores):
        return UsageError(
            f"{where}: there are no pictures to compare, only labels",
            hint="gpu-quality run IMAGES --labels …, into another --out",
        )
    why = f" ({'; '.join(notes)})" if notes else ""
    return UsageError(
        f"{where}: nothing to compare by {', '.join(missing)} is stored{why}",
        hint=f"gpu-quality run … --out {stores[0].path} {' '.join(_joined(missing))}; what is stored is kept",
    )


def _joined(missing: dict[Kind, str]) -> list[str]:
    """Options of one command: the metrics of several kinds in one list."""
    parts = [add.split(" ") for add in missing.values()]
    return ["--metrics", ",".join(part[1] for part in parts), *(word for part in parts for word in part[2:])]


def _splits(split: Sequence[str]) -> tuple[tuple[str, ...], Int64[Tensor, " n"] | None]:
    """Names of the splits, and the number of each frame's; nothing where there is one split or none."""
    names = tuple(dict.fromkeys(name for name in split if name))
    if len(names) < 2:
        return (), None
    number = {name: i for i, name in enumerate(names)}
    return names, torch.tensor([number.get(name, -1) for name in split])


class _Columns:
    """Columns of frames of one store or several, one after the other; a column that one of them lacks is not there."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = stores
        facts = [store.columns() for store in stores]
        names = set.intersection(*(set(known) for known in facts))
        self.facts = {name: [known[name] for known in facts] for name in names}
        self.sizes = [store.input.count("frames") for store in stores]
        self.count = sum(self.sizes)

    def has(self, name: str) -> bool:
        """Whether every store has it for its frames."""
        return name in self.facts and all(facts.get("per") in ("frame", "region") for facts in self.facts[name])

    def text(self, name: str) -> list[str]:
        """A column of the input; empty where a frame has none."""
        return [value or "" for store in self.stores for value in store.frames([name]).column(name).to_pylist()]

    def codes(self, name: str) -> tuple[Int64[Tensor, " n"], Bool[Tensor, " n"]] | None:
        """Whole numbers, and where there is one."""
        if not self.has(name):
            return None
        parts = [store.column(name) for store in self.stores]
        values = np.concatenate([part.fillna(0).to_numpy(np.int64) for part in parts])
        return torch.from_numpy(values), ~torch.from_numpy(np.concatenate([part.isna().to_numpy(bool) for part in parts]))

    def numbers(self, name: str) -> Float64[Tensor, " n"]:
        """Numbers, NaN where there is none or the column is not stored."""
        if not self.has(name):
            return torch.full((self.count,), torch.nan, dtype=torch.float64)
        return torch.from_numpy(np.concatenate([s.column(name).to_numpy(np.float64, na_value=np.nan) for s in self.stores]))

    def either(self, measured: str, listed: str) -> Float64[Tensor, " n"]:
        """A measured column, else what the input said; NaN where neither tells."""
        if self.has(measured):
            return self.numbers(measured)
        parts = [
            store.frames([listed]).column(listed).to_pandas().to_numpy(np.float64, na_value=np.nan) for store in self.stores
        ]
        found = torch.from_numpy(np.concatenate(parts))
        return torch.where(found < 0, torch.nan, found)


def _content(columns: _Columns) -> tuple[list[Tensor] | None, Bool[Tensor, " n"]]:
    """Columns that only equal pixels share, and the frames that have them."""
    found = columns.codes("content_hash")
    if found is None:
        return None, torch.zeros(columns.count, dtype=torch.bool)
    return [found[0], *(columns.numbers(name).nan_to_num(-1.0) for name in _CONFIRM if columns.has(name))], found[1]


def _hashes(columns: _Columns) -> Hashes | None:
    """The stored hashes; nearly flat frames take no part."""
    found = {name: columns.codes(name) for name in (*_FLIPS, *_TURNS)}
    there = [value for value in found.values() if value is not None]
    if not there:
        return None
    usable = torch.stack([known for _, known in there]).all(0)
    if columns.has("thumbnail_range"):
        usable &= columns.numbers("thumbnail_range") >= FLAT
    else:  # quite flat frames give themselves away: no bit is set, or the first one alone
        usable &= torch.stack([(code != 0) & (code != _FIRST_BIT) for code, _ in there]).any(0)
    flips, turns = ([None if found[n] is None else found[n][0] for n in names] for names in (_FLIPS, _TURNS))  # type: ignore[index]
    return hashes(flips, turns, usable)


def _about_hashes(columns: _Columns) -> list[str]:
    """What is not stored, and what that costs."""
    lost = [name for name in (*_FLIPS, *_TURNS) if not columns.has(name)]
    notes = [f"compared without {', '.join(lost)}: fewer turned or edited copies are found"] if lost else []
    if not columns.has("thumbnail_range"):
        notes.append(
            "how flat frames are is not stored (--metrics near_duplicate_group does): some may be taken for duplicates"
        )
    return notes


def _vectors(columns: _Columns, notes: list[str]) -> Float16[Tensor, "n d"] | None:
    """Vectors of all frames, NaN where there is none; None, and a note, where two runs cannot be compared."""
    if not columns.has("embedding"):
        return None
    try:
        parts = [vectors_of(store, "frame") for store in columns.stores]
    except UsageError:  # no shard is committed yet
        return None
    cards = [str(part.encoder["card"]) for part in parts]
    if any(part.encoder["meaning"] != parts[0].encoder["meaning"] for part in parts):
        notes.append(f"vectors of different encoders ({' and '.join(cards)}) cannot be compared")
        return None
    found = torch.full((columns.count, parts[0].encoder["dim"]), torch.nan, dtype=torch.float16)
    starts = np.cumsum([0, *columns.sizes])
    for part, start in zip(parts, starts, strict=False):
        for rows, vectors in part.pieces():
            found[start + rows.start : start + rows.stop] = vectors
    if bool(found.isnan().any(1).all()):
        notes.append(f"none of {counted(len(found), 'frame')} has a vector")
        return None
    if cards[0] != "default":
        notes.append(f"thresholds were chosen with the default encoder, not with {cards[0]}; --at-least changes them")
    return found
