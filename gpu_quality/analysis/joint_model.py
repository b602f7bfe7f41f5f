"""The model under the joint view: folds by frame, boosted trees that stop in time, and losses with metrics shuffled.

Everything is predicted by a model that has not seen the frame; scikit-learn fits the trees. Sources: Friedman 2001 (boosting);
Breiman 2001 (permutation importance).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.analysis.importance_rows import Floats, Ints, middles
from gpu_quality.kernels.threads import spread

FOLDS: Final = 5
TREES: Final = 100
"""At most; how many is found on a fifth of the training frames."""
PREDICTIONS: Final = 30_000
"""Rows predicted per group of metrics when they are shuffled."""
MOST_REPEATS: Final = 10
SURE: Final = 1e-6
"""Probabilities are kept this far from 0 and 1, so that one wrong certainty costs 14 nats and not all."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is predicted from what."""

    x: Floats
    """Rows x metrics, NaN where missing."""
    y: Floats
    """Outcome: 0 and 1 where `classes`, else any numbers."""
    frame: Ints
    """0 .. `frames` - 1."""
    frames: int
    classes: bool
    by_frame: dict[int, Floats]
    """Values per frame of the columns that belong to frames."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """Losses of rows under models that have not seen their frames: nats, or squared errors of a numeric outcome."""

    loss: Floats
    tested: Floats
    """1 for rows that were also predicted with shuffled metrics, else 0."""
    harm: Floats
    """Rows x groups: how much is lost more, on average, when the values of a group's metrics are shuffled; 0 if not tested."""
    ranked: Floats
    """Per fold: pairs of a success and a failure, and how many of them are in the right order (ties half)."""
    learned: NDArray[np.bool_]
    """Folds whose model was better than the mean."""
    repeats: int


def predicted(of: Question, groups: Sequence[Sequence[int]], seed: int) -> Predicted:
    """Every row predicted by the four fifths of the frames that are not its own, as it is and with groups shuffled.

    Each fold is fitted by one thread: on busy cores OpenMP's threads wait for each other many times longer than they work.
    """
    n, fold = len(of.y), dealt(of, np.arange(len(of.y)), np.random.default_rng(seed))[of.frame]
    repeats = min(max(PREDICTIONS // n, 1), MOST_REPEATS)
    out = Predicted(
        np.empty(n), np.zeros(n), np.zeros((n, len(groups))), np.zeros((FOLDS, 2)), np.zeros(FOLDS, np.bool_), repeats
    )

    def work(number: int) -> None:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "openmp"):
            _predict(of, np.flatnonzero(fold == number), np.flatnonzero(fold != number), groups, (seed, number), out)

    spread(work, range(FOLDS))
    return out


def _predict(
    of: Question, row: Ints, others: Ints, groups: Sequence[Sequence[int]], number: tuple[int, int], out: Predicted
) -> None:
    """Fill in the rows of one fold."""
    model = fitted(of, others, sum(number))
    guess = _guess(model, of.x[row]) if model else np.full(len(row), of.y[others].mean())
    out.loss[row] = losses(of, of.y[row], guess)
    out.learned[number[1]] = model is not None
    if of.classes:
        out.ranked[number[1]] = _ranked(of.y[row], guess)
    some = row[: max(PREDICTIONS // FOLDS, 1)]  # rows come in random order
    out.tested[some] = 1
    for place, columns in enumerate(groups if model else ()):
        drawn = _copies(of, some, columns, out.repeats, np.random.default_rng(number))
        worse = np.mean([losses(of, of.y[some], _guess(model, x)) for x in drawn], axis=0)
        out.harm[some, place] = worse - out.loss[some]


def dealt(of: Question, row: Ints, rng: np.random.Generator) -> Ints:
    """A fold for every frame: equal numbers of frames, rows and rows of the rarer outcome, as far as frames allow."""
    size = np.bincount(of.frame[row], minlength=of.frames)
    rare = np.zeros(of.frames)
    if of.classes:
        rare += np.bincount(of.frame[row], of.y[row] == (of.y.mean() < 0.5), minlength=of.frames)
    out = np.empty(of.frames, np.int64)
    out[np.lexsort((rng.permutation(of.frames), size, rare))] = np.arange(of.frames) % FOLDS
    return out


def fitted(of: Question, row: Ints, seed: int) -> Any:
    """Boosted trees from some rows, as many as did best on a fifth of their frames; None where the mean did best."""
    aside = dealt(of, row, np.random.default_rng(seed))[of.frame[row]] == 0
    fit, check = row[~aside], row[aside]
    if not len(check) or of.y[fit].min() == of.y[fit].max():
        return None
    probe = _trees(of, TREES, seed).fit(of.x[fit], of.y[fit])
    reached = [losses(of, of.y[check], guess).mean() for guess in _stages(probe, of.x[check])]
    best = int(np.argmin(reached))
    if reached[best] >= losses(of, of.y[check], np.full(len(check), of.y[fit].mean())).mean():
        return None
    return _trees(of, best + 1, seed).fit(of.x[row], of.y[row])


def losses(of: Question, y: Floats, guess: Floats) -> Floats:
    """What a prediction costs: minus the log of the probability of what happened, nats, or the squared error."""
    if not of.classes:
        return np.asarray((y - guess) ** 2)
    return np.asarray(-np.log(np.clip(np.where(y == 1, guess, 1 - guess), SURE, 1 - SURE)))


def _trees(of: Question, count: int, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind: Any = HistGradientBoostingClassifier if of.classes else HistGradientBoostingRegressor
    return kind(max_iter=count, max_leaf_nodes=15, l2_regularization=1.0, early_stopping=False, random_state=seed % 2**32)


def _guess(model: Any, x: Floats) -> Floats:
    """Probability of success, or the predicted number."""
    return np.asarray(model.predict_proba(x)[:, 1] if hasattr(model, "predict_proba") else model.predict(x), np.float64)


def _stages(model: Any, x: Floats) -> Iterator[Floats]:
    """The same after each tree."""
    if hasattr(model, "predict_proba"):
        return (guess[:, 1] for guess in model.staged_predict_proba(x))
    return iter(model.staged_predict(x))


def _ranked(y: Floats, guess: Floats) -> tuple[float, float]:
    """Pairs of a success and a failure, and those where the success has the larger guess; equal guesses count half."""
    pairs = float(y.sum() * (1 - y).sum())
    return pairs, pairs / 2 + float(middles(guess, np.argsort(guess, kind="stable"))[y == 1].sum()) / 2


def _copies(of: Question, row: Ints, columns: Sequence[int], repeats: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Rows with the values of some columns shuffled together: between frames where they belong to frames, else between rows."""
    own = np.array([column for column in columns if column not in of.by_frame], np.int64)
    frame, place = np.unique(of.frame[row], return_inverse=True)
    for _ in range(repeats):
        out: NDArray[np.float64] = of.x[row]
        rows, frames = rng.permutation(len(row)), rng.permutation(frame)
        out[:, own] = out[np.ix_(rows, own)]
        for column in set(columns) & of.by_frame.keys():
            out[:, column] = of.by_frame[column][frames[place]]
        yield out
