"""Values computed elsewhere: how those of nested classes, classes and frames make one number (reference: evaluation.md 13)."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

Counts = tuple[int, int, int, int]
"""True positives, false positives, true negatives, false negatives."""
V = TypeVar("V")

AGGREGATIONS: Final = ("ARITHMETIC_MEAN", "GEOMETRIC_MEAN", "HARMONIC_MEAN", "SUM")
CONFUSION: Final = "CONFUSION_MATRIX"
LARGEST_SCALAR: Final = 1e8
LARGEST_COUNT: Final = 10**10
CONFIDENCES: Final = (2, 15)
"""Fewest and most entries of a value given per confidence."""
RESERVED: Final = frozenset(
    {
        *("true_positive_count", "false_positive_count", "true_negative_count", "false_negative_count"),
        *("precision", "recall", "f1", "iou"),
    }
)
"""Names that Labelbox keeps for itself: read and kept here, refused where metrics are written for Labelbox."""


def aggregate(values: Sequence[float], how: str) -> float | None:
    r"""One number for several, or None for none.

    .. math:: \frac{1}{n}\sum x_i, \qquad e^{\frac{1}{n}\sum \ln x_i}, \qquad \frac{n}{\sum 1 / x_i}, \qquad \sum x_i

    A zero among the values makes the geometric and the harmonic mean zero.

    >>> [round(aggregate([4, 3], how), 6) for how in AGGREGATIONS]
    [3.5, 3.464102, 3.428571, 7.0]
    """
    if not values:
        return None
    count = len(values)
    if how == "SUM" or count == 1:  # logarithms would not give one value back exactly
        return math.fsum(values)
    if how == "ARITHMETIC_MEAN":
        return math.fsum(values) / count
    if min(values) == 0:
        return 0.0
    if how == "GEOMETRIC_MEAN":
        return math.exp(math.fsum(math.log(x) for x in values) / count)
    return count / math.fsum(1 / x for x in values)


def add_counts(values: Sequence[Counts]) -> Counts | None:
    """The sum of confusion counts, or None for none."""
    if not values:
        return None
    tp, fp, tn, fn = (sum(column) for column in zip(*values, strict=True))
    return tp, fp, tn, fn


def rates(counts: Counts) -> dict[str, float | None]:
    """Precision, recall and F1 of confusion counts, from 0 to 1; None where they divide by nothing.

    >>> rates((6, 2, 0, 4))
    {'precision': 0.75, 'recall': 0.6, 'f1': 0.6666666666666666}
    """
    tp, fp, _, fn = counts
    return {
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else None,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
    }


@dataclass(slots=True)
class Levels(Generic[V]):
    """Values by frame on each level; a frame without a value is not there."""

    rows: dict[int, V] = field(default_factory=dict)
    classes: dict[str, dict[int, V]] = field(default_factory=dict)
    subclasses: dict[tuple[str, str], dict[int, V]] = field(default_factory=dict)


Combine = Callable[[Sequence[V]], V | None]


def roll_up(entries: Iterable[tuple[int, str | None, str | None, V]], combine: Combine[V]) -> Levels[V]:
    """Aggregate (frame, class, nested class, value) from nested classes to classes to frames.

    A value given on a level stands there instead of what lies below it, for its frame alone.
    """
    levels: Levels[V] = Levels()
    for frame, feature, subclass, value in entries:
        if feature is None:
            levels.rows[frame] = value
        elif subclass is None:
            levels.classes.setdefault(feature, {})[frame] = value
        else:
            levels.subclasses.setdefault((feature, subclass), {})[frame] = value
    _fill(levels.subclasses, combine, lambda key: levels.classes.setdefault(key[0], {}))
    _fill(levels.classes, combine, lambda _: levels.rows)
    return levels


K = TypeVar("K")


def _fill(below: Mapping[K, Mapping[int, V]], combine: Combine[V], above: Callable[[K], dict[int, V]]) -> None:
    """Give the level above a value for every frame that has none there but some below."""
    targets: dict[int, dict[int, V]] = {}
    parts: dict[tuple[int, int], list[V]] = {}
    for key in sorted(below, key=repr):
        target = above(key)
        targets[id(target)] = target
        for frame, value in below[key].items():
            if frame not in target:
                parts.setdefault((id(target), frame), []).append(value)
    for (target_id, frame), values in parts.items():
        combined = combine(values)
        if combined is not None:
            targets[target_id][frame] = combined


def over(values: Mapping[int, V], combine: Combine[V], frames: Collection[int] | None = None) -> V | None:
    """One value for a slice of the frames, or for all of them; None where no frame of it has a value."""
    return combine([values[row] for row in sorted(values) if frames is None or row in frames])
