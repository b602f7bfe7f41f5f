"""Matching and COCO's accumulation as slow, obvious loops over one frame and class at a time."""

from collections.abc import Callable
from dataclasses import dataclass

Box = tuple[float, float, float, float]


@dataclass
class Label:
    """One label of a cell."""

    ignored: bool = False
    crowd: bool = False
    class_id: int = 0


@dataclass
class Prediction:
    """One prediction of a cell; cells hold them by falling score."""

    score: float = 1.0
    class_id: int = 0


def iou(p: Box, q: Box, *, crowd: bool = False, inclusive: bool = False) -> float:
    """Overlap of boxes x y w h; of the first one alone where the second is a crowd."""
    more = 1.0 if inclusive else 0.0
    (px, py, pw, ph), (qx, qy, qw, qh) = (*p[:2], p[2] + more, p[3] + more), (*q[:2], q[2] + more, q[3] + more)
    w = min(pw + px, qw + qx) - max(px, qx)
    h = min(ph + py, qh + qy) - max(py, qy)
    if w <= 0 or h <= 0:
        return 0.0
    both = w * h
    union = pw * ph if crowd else pw * ph + qw * qh - both
    return both / union if union > 0 else 0.0


def by_score(overlap: list[list[float]], labels: list[Label], t: float) -> tuple[list[int], list[bool]]:
    """COCO's scan: the label of each prediction (-1 = none), and whether it is ignored for it."""
    order = [g for g, label in enumerate(labels) if not label.ignored] + [g for g, label in enumerate(labels) if label.ignored]
    taken: set[int] = set()
    found, hidden = [], []
    for row in overlap:
        best, held = min(t, 1 - 1e-10), -1
        for g in order:
            if g in taken and not labels[g].crowd:
                continue
            if held >= 0 and not labels[held].ignored and labels[g].ignored:
                break
            if row[g] >= best:
                best, held = row[g], g
        if held >= 0:
            taken.add(held)
        found.append(held)
        hidden.append(held >= 0 and labels[held].ignored)
    return found, hidden


def first_free(overlap: list[list[float]], labels: list[Label], t: float) -> tuple[list[int], list[bool]]:
    """TIDE: the best of the free labels, the first of equals; else a prediction more than t inside a crowd is ignored."""
    taken: set[int] = set()
    found, hidden = [], []
    for row in overlap:
        free = [g for g, label in enumerate(labels) if not label.ignored and g not in taken and row[g] >= t]
        inside = [g for g, label in enumerate(labels) if label.ignored and (label.crowd or g not in taken) and row[g] > t]
        held = max(free or inside, key=lambda g: (row[g], -g), default=-1)
        if held >= 0:
            taken.add(held)
        found.append(held)
        hidden.append(not free and bool(inside))
    return found, hidden


def best_only(overlap: list[list[float]], labels: list[Label], t: float) -> tuple[list[int], list[bool]]:
    """VOC: only the best label of all counts, the first of equals; difficult ones are ignored, taken ones are lost."""
    taken: set[int] = set()
    found, hidden = [], []
    for row in overlap:
        best = max(range(len(labels)), key=lambda g: (row[g], -g), default=-1)
        if best < 0 or row[best] < t or (best in taken and not labels[best].ignored):
            best = -1
        taken.add(best)
        found.append(best)
        hidden.append(best >= 0 and labels[best].ignored)
    return found, hidden


def with_groups(overlap: list[list[float]], labels: list[Label], t: float) -> tuple[list[int], list[bool]]:
    """Open Images: VOC among single labels; then the first prediction inside a group finds it, others in it are ignored."""
    taken: set[int] = set()
    found, hidden = [], []
    for row in overlap:
        held, late = -1, False
        for group in (False, True):
            among = [g for g, label in enumerate(labels) if label.ignored == group]
            best = max(among, key=lambda g: (row[g], -g), default=-1)
            if held < 0 and best >= 0 and row[best] >= t and (group or best not in taken):
                held, late = best, best in taken
        if held >= 0:
            taken.add(held)
        found.append(held)
        hidden.append(late)
    return found, hidden


def by_overlap(
    overlap: list[list[float]],
    labels: list[Label],
    predictions: list[Prediction],
    passes: Callable[[float], bool],
    *,
    same_first: bool = False,
    listed: bool = False,
) -> list[int]:
    """Pairs by falling overlap, each label and prediction once; the label of each prediction, -1 = none."""
    pairs = [(d, g) for d in range(len(predictions)) for g in range(len(labels)) if passes(overlap[d][g])]

    def turn(pair: tuple[int, int]) -> tuple[float, ...]:
        d, g = pair
        other = labels[g].class_id != predictions[d].class_id
        stage = other if same_first else False
        if listed:
            return (stage, -overlap[d][g], g, d)
        return (stage, -overlap[d][g], other, -predictions[d].score, g, d)

    found = [-1] * len(predictions)
    for d, g in sorted(pairs, key=turn):
        if found[d] < 0 and g not in found:
            found[d] = g
    return found


def accumulate(
    verdicts: list[tuple[float, int]], positives: int, recalls: list[float]
) -> tuple[list[float], list[float], float]:
    """Precision and score at each recall and the final recall; verdicts are (score, 1 right, 0 wrong, -1 ignored), as given."""
    ordered = sorted(verdicts, key=lambda v: -v[0])
    tp = fp = 0
    precision, recall = [], []
    for _, right in ordered:
        tp, fp = tp + (right == 1), fp + (right == 0)
        precision.append(tp / (fp + tp + 2.0**-52))
        recall.append(tp / positives)
    out_precision, out_score = [], []
    for r in recalls:
        at = next((i for i, value in enumerate(recall) if value >= r), None)
        out_precision.append(0.0 if at is None else max(precision[at:]))
        out_score.append(0.0 if at is None else ordered[at][0])
    return out_precision, out_score, recall[-1] if recall else 0.0
