"""Whether two sets of vectors come from one distribution: maximum mean discrepancy, and how well a classifier tells them apart.

Both p-values come from exchanging whole groups (videos, duplicates) between the sets, all permutations in one product.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.analysis.drift_units import Bools, Floats, Ints, Units, as_large
from gpu_quality.functional.inference import Z

FOLDS: Final = 5
FEWEST: Final = 10
"""Groups a set has to have: two in each fold."""
_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Maximum mean discrepancy of two samples."""

    mmd2: float
    """Unbiased square; about 0, or below, without drift."""
    p: float
    width: float
    """Of the kernel: the median distance."""


@dataclass(frozen=True, slots=True)
class Domain:
    """How well a linear classifier that has not seen a row tells which set it is from."""

    auc: float
    """0.5 chance, 1 always."""
    low: float
    high: float
    p: float
    scores: Floats
    """Per row: the larger, the likelier of the second set; made by a model that saw no row of its group."""


def discrepancy(vectors: Float[Tensor, "n d"], of: Units, drawn: Float32[Tensor, "p u"]) -> Discrepancy:
    r"""Unbiased squared maximum mean discrepancy with a Gaussian kernel as wide as the median distance.

    .. math:: \frac{\sum_{i \ne j} k(x_i, x_j)}{n(n-1)} + \frac{\sum_{i \ne j} k(y_i, y_j)}{m(m-1)}
              - \frac{2}{nm} \sum_{i, j} k(x_i, y_j)
    `vectors` are in the order of `of`, `drawn` are its groups exchanged, the true sets first. Source: Gretton et al., JMLR
    2012.
    """
    x = vectors.double()
    length = x.square().sum(1)
    square = (length[:, None] + length - 2 * (x @ x.T)).clamp_(min=0)
    upper = square[torch.triu(torch.ones_like(square, dtype=torch.bool), 1)]
    middle = float(upper.median()) if len(upper) else 0.0
    if not middle:
        middle = float(upper.mean()) if len(upper) else 0.0
    kernel = torch.exp(square / (-2 * middle)) if middle else torch.ones_like(square)
    kernel.fill_diagonal_(0.0)
    found = _squares(kernel, of, drawn[:1].double())
    if len(drawn) > 1:
        rest = _squares(kernel.float(), of, drawn)
        p = float((1 + int((rest[1:] >= rest[0] - 1e-7).sum())) / len(drawn))
    else:
        p = math.nan
    return Discrepancy(float(found[0]), p, math.sqrt(middle))


def _squares(kernel: Float[Tensor, "n n"], of: Units, drawn: Float[Tensor, "p u"]) -> Float64[Tensor, " p"]:
    """Unbiased squares for every way of splitting."""
    total, rows = kernel.double().sum(), kernel.double().sum(1)
    out = []
    index = torch.from_numpy(of.of)
    for part in torch.split(drawn, _BLOCK):
        inside = part[:, index].to(kernel.dtype)
        m = inside.double().sum(1)
        n = kernel.shape[0] - m
        own = (inside @ kernel).mul_(inside).double().sum(1)
        across = inside.double() @ rows - own
        other = total - own - 2 * across
        one, two = (count * (count - 1) for count in (n, m))
        out.append(other / one.clamp(min=1) + own / two.clamp(min=1) - 2 * across / (n * m).clamp(min=1))
    return torch.cat(out)


def domain(vectors: Float[Tensor, "n d"], of: Units, drawn: Float32[Tensor, "p u"], *, seed: int = 0) -> Domain:
    """How well ridge regression on the vectors tells the sets apart, cross-validated in five folds of whole groups.

    Pairs of one fold are compared, so that models of different folds need not agree. Folds are drawn without regard to the
    sets: the true ones and the permuted are then treated alike, and the p-value is exact. The interval is DeLong's by groups,
    in Wilson's form. Ridge is as strong as the mean variance of the directions there are. Raises nothing.
    """
    fold = _folds(len(of.current), seed)[of.of]
    operator = _predictions(vectors.double(), torch.from_numpy(fold))
    index = torch.from_numpy(of.of)
    side = drawn[0, index].numpy() > 0
    found: list[Floats] = []
    for part in torch.split(drawn, _BLOCK):
        labels = part[:, index]
        found.append(_areas((labels @ operator.T).numpy(), labels.numpy() > 0, fold))
    areas = np.concatenate(found)
    scores = np.asarray((operator.double() @ drawn[0, index].double()).numpy(), np.float64)
    auc = float(areas[0])
    low, high = _interval(auc, scores, side, fold, of)
    return Domain(auc, low, high, as_large(areas) if len(areas) > 1 and auc == auc else math.nan, scores)


def _folds(count: int, seed: int) -> Ints:
    """Fold of each group, 0..4, in equal numbers."""
    return np.random.default_rng(seed).permutation(np.arange(count) % FOLDS).astype(np.int64)


def _predictions(x: Float64[Tensor, "n d"], fold: Tensor) -> Float32[Tensor, "n n"]:
    """What turns labels into predictions of rows by models that were made without their fold; linear, as ridge is."""
    out = torch.zeros(len(x), len(x), dtype=torch.float32)
    for number in range(FOLDS):
        test, train = (fold == number).nonzero().flatten(), (fold != number).nonzero().flatten()
        if not len(test) or not len(train):
            continue
        center = x[train].mean(0)
        given, asked = x[train] - center, x[test] - center
        strength = float(given.square().sum()) / max(min(len(given) - 1, given.shape[1]), 1) or 1.0
        if given.shape[1] <= len(given):
            inner = given.T @ given + strength * torch.eye(given.shape[1], dtype=torch.float64)
            weights = asked @ torch.linalg.solve(inner, given.T)
        else:
            inner = given @ given.T + strength * torch.eye(len(given), dtype=torch.float64)
            weights = torch.linalg.solve(inner, given @ asked.T).T
        out[test[:, None], train] = (weights - weights.mean(1, keepdim=True) + 1 / len(train)).float()
    return out


def _areas(scores: NDArray[np.float32], side: Bools, fold: Ints) -> Floats:
    """Share of pairs of one fold in which the current row scores above the reference row, per way of splitting; ties half."""
    from scipy.stats import rankdata

    won, pairs = np.zeros(len(scores)), np.zeros(len(scores))
    for number in range(FOLDS):
        inside = fold == number
        part, own = scores[:, inside], side[:, inside]
        if not part.shape[1]:
            continue
        m = own.sum(1)
        rank = rankdata(part.round(6), axis=1)
        won += (rank * own).sum(1) - m * (m + 1) / 2
        pairs += m * (part.shape[1] - m)
    return np.asarray(np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0))


def _interval(auc: float, scores: Floats, side: Bools, fold: Ints, of: Units) -> tuple[float, float]:
    """Where the area likely lies, 95 %: each row's part in it, summed by group, gives its variance (DeLong; Obuchowski)."""
    if auc != auc:
        return math.nan, math.nan
    part = np.zeros(len(scores))
    pairs = sum(int((side & (fold == k)).sum()) * int((~side & (fold == k)).sum()) for k in range(FOLDS))
    for number in range(FOLDS):
        new, old = np.flatnonzero(side & (fold == number)), np.flatnonzero(~side & (fold == number))
        for own, other, sign in ((new, old, 1), (old, new, -1)):
            ordered = np.sort(scores[other])
            below, upto = (np.searchsorted(ordered, scores[own], side=where) for where in ("left", "right"))
            won = (below + upto) / 2 if sign > 0 else len(other) - (below + upto) / 2
            part[own] = (won - auc * len(other)) / max(pairs, 1)
    by_group = np.bincount(of.of, part, len(of.current))
    groups = [int((of.current == which).sum()) for which in (False, True)]
    variance = sum(
        np.square(by_group[of.current == which]).sum() * count / max(count - 1, 1)
        for which, count in zip((False, True), groups, strict=True)
    )
    most = float(sum(groups))
    n = min(max(auc * (1 - auc) / variance, 1.0), most) if variance else most
    center, spread = auc + Z * Z / (2 * n), Z * math.sqrt(auc * (1 - auc) / n + Z * Z / (4 * n * n))
    return max((center - spread) / (1 + Z * Z / n), 0.0), min((center + spread) / (1 + Z * Z / n), 1.0)
