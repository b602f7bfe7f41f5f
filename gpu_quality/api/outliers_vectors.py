"""Outliers by embedding: a stored column where one says the same, else distances computed from the stored vectors."""

from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.analysis.outliers_vectors import FEWEST, NEIGHBORS, neighbor_distance
from gpu_quality.api.outliers_rows import Named
from gpu_quality.api.subjects import ROWS, Subjects
from gpu_quality.api.vectors import Vectors, vectors_of
from gpu_quality.index.sized import Sized
from gpu_quality.text import counted

DISTANCE: Final = "neighbor_distance"
STORED: Final = "object_class_outlier"
"""Holds the same distances on the scale of each class (less their median, over their MAD). Rules are blind to such a change of
scale: they find the very same objects."""
EMBEDDING: Final = (DISTANCE, STORED)
_SAME: Final = {"neighbors": NEIGHBORS, "min_objects": FEWEST}


class ByEmbedding(NamedTuple):
    """How far each subject stands apart, and how that was found out."""

    named: Named
    notes: list[str]


def by_embedding(found: Subjects, *, by: str | None) -> ByEmbedding:
    """How far each subject stands from its nearest, among all frames, or all objects of its origin (of its class).

    What `where` leaves out is compared with all the same, but for answers inside their class. Raises `UsageError` that tells
    how to add vectors.
    """
    facts = found.store.columns().get(STORED)
    options = (facts or {}).get("options") or {}
    if (
        by == "class"
        and facts is not None
        and STORED in found.measures
        and all(options.get(key, value) == value for key, value in _SAME.items())
    ):
        return _stored(found, str(facts.get("unit", "")))
    notes: list[str] = []
    values = _computed(found, by, notes)
    missing = int(np.isnan(values).sum())
    if missing:
        fewer = f", or are in classes of fewer than {FEWEST}" if by == "class" else ""
        notes.append(
            f"{missing:,} of {counted(len(values), ROWS[found.rows][:-1])} have no vector{fewer}: not judged by embedding"
        )
    return ByEmbedding(Named(DISTANCE, "cosine distance", values), notes)


def _stored(found: Subjects, unit: str) -> ByEmbedding:
    """The column that a run has written."""
    column = found.store.column(STORED, "object").to_numpy(dtype=np.float64, na_value=np.nan)
    note = f"by embedding: the stored {STORED}, the distance to the {NEIGHBORS} nearest of the class on the scale of the class"
    return ByEmbedding(Named(STORED, unit, column[found.place]), [note])


def _computed(found: Subjects, by: str | None, notes: list[str]) -> NDArray[np.float64]:
    """Mean distances to the nearest, in the order of the subjects."""
    per = "frame" if found.rows in ("F", "C") else "object"
    vectors = vectors_of(found.store, "frame" if per == "frame" else "object")
    if not len(found.place):
        return np.zeros(0)
    if per == "frame":
        whole = _whole(vectors, found.store.input.count("frames"))
        if by == "class":
            code = np.unique(found.table["class"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)
            return np.asarray(
                _among(whole[torch.from_numpy(found.frame.copy())], torch.from_numpy(code), notes).numpy(), np.float64
            )
        return np.asarray(_among(whole, None, notes).numpy()[found.frame], np.float64)
    objects = found.store.table("object", ["origin", "class_id"])
    origin = objects["origin"].to_numpy()
    rows = np.flatnonzero(origin == origin[found.place[0]])
    group = torch.from_numpy(objects["class_id"].to_numpy(dtype=np.int64)[rows].copy()) if by == "class" else None
    whole = _whole(vectors, len(objects))[torch.from_numpy(rows)]
    apart = np.full(len(objects), np.nan)
    apart[rows] = _among(whole, group, notes).numpy()
    return np.asarray(apart[found.place], np.float64)


def _among(vectors: Float[Tensor, "n d"], group: Int64[Tensor, " n"] | None, notes: list[str]) -> Tensor:
    return neighbor_distance(vectors, Sized(say=notes.append), groups=group)


def _whole(vectors: Vectors, rows: int) -> Float[Tensor, "n d"]:
    """A vector per row of the input; NaN where there is none."""
    whole = torch.full((rows, vectors.encoder["dim"]), torch.nan, dtype=torch.float16)
    for part, values in vectors.pieces():
        whole[part.start : part.stop] = values
    return whole
