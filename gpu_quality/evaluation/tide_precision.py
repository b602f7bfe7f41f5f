"""What repairing errors is worth: average precision in points, before and after (reference evaluation.md 9)."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_RECALLS: Final = np.arange(101) / 100
"""Hundredths, unlike COCO's grid: recall 7/10 reaches .7."""
_KINDS: Final = 6


class _Points(NamedTuple):
    """Predictions that count, those that come first among equal scores first."""

    class_id: Ints
    score: Floats
    correct: Flags

    def then(self, other: "_Points") -> "_Points":
        return _Points(
            np.concatenate([self.class_id, other.class_id]),
            np.concatenate([self.score, other.score]),
            np.concatenate([self.correct, other.correct]),
        )


@dataclass(frozen=True, slots=True)
class Repairs:
    """All predictions, frame by frame and by falling score, with what is wrong with each."""

    class_id: Ints
    """Class of the prediction."""
    new_class: Ints
    """Its class if the class were right."""
    score: Floats
    error: Ints
    """0 .. 5, -1 = right."""
    winner: Flags
    """Becomes right when repaired; other errors go away."""
    ignored: Flags
    positives: Ints
    """Labels of each class."""

    def before(self) -> float:
        """Average precision as it is."""
        counts = ~self.ignored
        return mean_precision(_Points(self.class_id, self.score, self.error < 0), self.positives, counts)

    def gains(self, missed: Ints, *, progressive: bool) -> list[float]:
        """Points won by repairing each kind of error, the last one by striking `missed` labels per class; never negative."""
        out, last, pending, done, positives = [], self.before(), self.error >= 0, self._right(), self.positives
        for kind in range(_KINDS):
            repaired = pending & (self.error == kind)
            won = self._some(repaired & self.winner, self.new_class, correct=True)
            points = self._mixed(pending, repaired).then(done)
            wanted = positives - missed if kind == _KINDS - 1 else positives
            ap = mean_precision(points, wanted)
            out.append(max(0.0, ap - last))
            if progressive:
                last, pending, done = ap, pending & ~repaired, won.then(done)
        return out

    def ranked(self) -> float:
        """Average precision if every false prediction came after every right one."""
        right, wrong = self._right(), self._some((self.error >= 0) & ~self.ignored, self.class_id, correct=False)
        score = np.repeat([1.0, 0.0], [len(right.score), len(wrong.score)])
        return mean_precision(right.then(wrong)._replace(score=score), self.positives)

    def found(self, lost: Ints) -> float:
        """Average precision if `lost` labels of each class were not there."""
        wrong = self._some((self.error >= 0) & ~self.ignored, self.class_id, correct=False)
        return mean_precision(wrong.then(self._right()), self.positives - lost)

    def _right(self) -> _Points:
        return self._some(self.error < 0, self.class_id, correct=True)

    def _some(self, which: Flags, class_id: Ints, *, correct: bool) -> _Points:
        return _Points(class_id[which], self.score[which], np.full(int(which.sum()), correct))

    def _mixed(self, pending: Flags, repaired: Flags) -> _Points:
        """Errors that are left and those repaired, in one order: peers put them before the right ones of equal score."""
        which = np.where(repaired, self.winner, pending & ~self.ignored)
        return _Points(np.where(repaired, self.new_class, self.class_id)[which], self.score[which], repaired[which])


def mean_precision(points: _Points, positives: Ints, counts: Flags | None = None) -> float:
    """Mean over the classes with a label or a prediction of the precision at 101 recalls, in points; NaN without such a class.

    A class without labels is 0.
    """
    if counts is not None:
        points = _Points(points.class_id[counts], points.score[counts], points.correct[counts])
    order = np.argsort(-points.score, kind="stable")
    small = points.class_id[order].astype(np.int16 if len(positives) < 1 << 15 else np.int64)  # 16 bits sort 10 x faster
    order = order[np.argsort(small, kind="stable")]
    per_class = np.bincount(points.class_id, minlength=len(positives))
    end = np.cumsum(per_class)
    correct = points.correct[order]
    values = [
        _precision(correct[end[k] - per_class[k] : end[k]], int(positives[k]))
        for k in np.flatnonzero((per_class > 0) | (positives > 0)).tolist()
    ]
    return sum(values) / len(values) if values else float("nan")


def _precision(correct: Flags, positives: int) -> float:
    """Average precision of one class whose predictions are in order."""
    if positives == 0 or not len(correct):
        return 0.0
    tp = np.cumsum(correct)
    envelope = np.maximum.accumulate((tp / np.arange(1, len(tp) + 1))[::-1])[::-1]
    at = np.searchsorted(tp / positives, _RECALLS)
    reached = at < len(tp)
    return float(envelope[at[reached]].sum() / len(_RECALLS) * 100)
