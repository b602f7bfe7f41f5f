"""What is taken for what: the confusion matrix of an evaluated set with the classes that are confused most, and examples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gpu_quality.reports.model.exhibits import Exhibit, Stage
from gpu_quality.reports.model.figures import OTHER, known
from gpu_quality.reports.model.reading import Stored

CLASSES_SHOWN: Final = 15
"""Classes with a row and a column of their own."""
PAIRS_SHOWN, PER_PAIR = 6, 4
"""Confusions with examples, and examples of each."""
NONE: Final = "None"


@dataclass(frozen=True, slots=True)
class Pair:
    """Labels of one class that predictions of another class were matched with."""

    label: str
    predicted: str
    count: int
    labels: int
    """All labels of the class."""
    examples: tuple[Exhibit, ...]


@dataclass(frozen=True, slots=True)
class Confusions:
    """Rows are classes of labels, columns classes of predictions; behind the named ones all others, if any, and None."""

    names: tuple[str, ...]
    """Of rows and columns; the last is None."""
    matrix: NDArray[np.int64]
    named: int
    """How many of the names are those of classes; one or two places follow."""
    folded: int
    """Classes that are in the row and column of all others."""
    right: int
    """Of the pairs where these two meet, those of one class."""
    pairs: tuple[Pair, ...]
    """The most frequent confusions of two classes, the commonest first."""
    kinds: int
    """How many different pairs of classes were confused."""
    crossed: int
    """How many labels were taken for another class."""


def confusions_of(stored: Stored, stage: Stage, classes: Sequence[str], *, pairs: int, each: int) -> Confusions:
    """The matrix from the members of its cells, with `pairs` confusions shown by up to `each` examples."""
    cells = stored.tables["confusion"]
    names = [*dict.fromkeys([*classes, OTHER]), NONE]
    place = {name: at for at, name in enumerate(names[:-1])}
    none = len(names) - 1
    truth, guess = (
        cells[kind].map(place).where(cells[own].notna(), none).to_numpy(np.int64)
        for kind, own in (("label_class", "label"), ("predicted_class", "prediction"))
    )
    whole = np.bincount(truth * len(names) + guess, minlength=len(names) ** 2).reshape(len(names), -1)
    crossed = whole[:none, :none] * (1 - np.eye(none, dtype=np.int64))
    a, b = np.nonzero(crossed)
    top = [(int(a[at]), int(b[at])) for at in np.lexsort((b, a, -crossed[a, b]))[:pairs]]
    kept = _kept(whole, none if OTHER in classes else place[OTHER], top)
    folded = [at for at in range(none) if at not in set(kept) and (whole[at].any() or whole[:, at].any())]
    order = kept + ([-1] if folded else []) + [none]
    matrix = np.array([[whole[np.ix_(_at(a, folded), _at(b, folded))].sum() for b in order] for a in order], np.int64)
    others = "(all others)" if OTHER in classes else OTHER
    shown = tuple(others if at == -1 else names[at] for at in order)
    examples = tuple(_pairs(stored, stage, names, whole, truth, guess, top, each))
    right = int(sum(whole[at, at] for at in folded))
    hidden = sum(names[at] in classes for at in folded)
    return Confusions(shown, matrix, len(kept), hidden, right, examples, int((crossed > 0).sum()), int(crossed.sum()))


def _at(row: int, folded: list[int]) -> list[int]:
    return folded if row == -1 else [row]


def _kept(whole: NDArray[np.int64], other: int, shown: Sequence[tuple[int, int]]) -> list[int]:
    """Classes with a row of their own: all that occur where they fit, else those of the pairs shown, then the most confused."""
    size = len(whole) - 1
    inner = whole[:size, :size]
    crossed = inner.sum(0) + inner.sum(1) - 2 * inner.diagonal()
    occurring = [at for at in range(size) if at != other and (whole[at].any() or whole[:, at].any())]
    if len(occurring) > CLASSES_SHOWN:
        alone, first = whole[-1, :size] + whole[:size, -1], {at for pair in shown for at in pair}
        occurring.sort(key=lambda at: (at not in first, -int(crossed[at]), -int(alone[at]), at))
    return sorted(occurring[:CLASSES_SHOWN])


def _pairs(
    stored: Stored, stage: Stage, names: Sequence[str], whole: NDArray[np.int64], truth: NDArray[np.int64],
    guess: NDArray[np.int64], top: Sequence[tuple[int, int]], each: int,
) -> Iterator[Pair]:  # fmt: skip
    """The most frequent confusions with their most confident examples."""
    for row, column in top:
        members = stored.tables["confusion"][(truth == row) & (guess == column)]
        shown = tuple(_examples(stored, stage, members, names[row], names[column], each))
        yield Pair(names[row], names[column], len(members), int(whole[row].sum()), shown)


def _examples(stored: Stored, stage: Stage, members: pd.DataFrame, label: str, predicted: str, each: int) -> Iterator[Exhibit]:
    """The most confident predictions of a cell; in the order of the cell where confidences are not there."""
    objects = stored.objects
    score = objects.loc[objects["object"].isin(set(members["prediction"])), ["object", "confidence"]].set_index("object")
    sure = members["prediction"].map(score["confidence"]).astype(np.float64)
    chosen = members.assign(sure=sure).sort_values("sure", ascending=False, kind="stable", na_position="last").head(each)
    for row in chosen.to_dict("records"):
        frame, own = str(row["frame"]), str(row["prediction"])
        shot = stage.shot(frame, own, str(row["label"]))
        yield Exhibit(shot, frame, own, predicted, known(row["sure"]), known(row["iou"]), "", label)
