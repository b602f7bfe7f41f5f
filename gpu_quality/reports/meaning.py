"""What the encoder sees: a map of the data set, and labels that disagree with the objects most like theirs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.reports.columns import Sheet, name_of
from gpu_quality.reports.shots import Shot, box_mark
from gpu_quality.store.store import Store

DOUBTS_SHOWN: Final = 24
FACES: Final = 28
"""Frames that are shown on the map, as different as possible."""
DIFFERS: Final = 2
"""Code of a verdict: most of the nearest objects have another class."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """An object whose class most of its nearest objects do not have."""

    shot: Shot
    frame: str
    label: str
    majority: str
    same: float
    """Share of the nearest objects with its class."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What vectors tell about the data set."""

    card: str
    words: bool
    """Whether the encoder knows words."""
    frames: bool
    """Whether frames have vectors, not objects alone."""
    place: NDArray[np.float64]
    """x, y of every frame on the map, NaN where it has none."""
    faces: tuple[int, ...]
    """Frames to show on the map, the most telling first."""
    doubts: tuple[Doubt, ...]
    doubtful: int
    compared: int
    """How many labels were compared with others."""

    def shots(self) -> Iterator[Shot]:
        """Pictures this part shows."""
        yield from (doubt.shot for doubt in self.doubts)
        yield from (Shot(row) for row in self.faces)


def meaning_of(store: Store, frames: Sheet, objects: Sheet) -> Meaning | None:
    """What a store knows from vectors; None where nothing was embedded."""
    facts = store.columns()
    made = facts.get("embedding", facts.get("object_embedding", {})).get("encoder", {})
    if not made:
        return None
    place = np.full((len(frames), 2), np.nan)
    if {"map_x", "map_y"} <= set(frames.columns):
        place = np.stack([frames.values("map_x"), frames.values("map_y")], 1)
    rank = frames.values("diversity_rank") if "diversity_rank" in frames.columns else np.arange(len(frames), dtype=np.float64)
    known = np.flatnonzero(np.isfinite(place).all(1) & np.isfinite(rank))
    faces = known[np.argsort(rank[known], kind="stable")][:FACES]
    doubts, doubtful, compared = _doubts(store, objects)
    encoder, whole = str(made.get("card", "")), bool(facts.get("embedding", {}).get("encoder"))
    return Meaning(encoder, bool(made.get("text")), whole, place, tuple(faces.tolist()), doubts, doubtful, compared)


def _doubts(store: Store, objects: Sheet) -> tuple[tuple[Doubt, ...], int, int]:
    """Labels whose neighbors have another class, those without any of their own first, then by the ratio of distances."""
    needed = {"object_annotation_quality", "object_annotation_verdict", "object_majority_class"}
    if not needed <= set(objects.columns):
        return (), 0, 0
    same, verdict = objects.values("object_annotation_quality"), objects.values("object_annotation_verdict")
    labels = objects.table["origin"].to_numpy() == 0
    ratio = objects.values("label_error_ratio") if "label_error_ratio" in objects.columns else np.zeros(len(same))
    rows = np.flatnonzero(labels & (verdict == DIFFERS))
    rows = rows[np.lexsort((rows, -np.nan_to_num(ratio[rows]), same[rows]))]
    classes, majority = store.identity.get("classes"), objects.values("object_majority_class")
    table = objects.table
    doubts = tuple(
        Doubt(
            Shot(int(table["row"].iloc[row]), (box_mark(table["box"].iloc[row]),)),
            str(table["frame"].iloc[row]),
            name_of(classes, int(table["class_id"].iloc[row])),
            name_of(classes, int(majority[row])),
            float(same[row]),
        )
        for row in rows[:DOUBTS_SHOWN].tolist()
    )
    return doubts, len(rows), int((labels & np.isfinite(same)).sum())
