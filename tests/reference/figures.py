"""Figures of evaluation as slow, obvious loops: LRP, panoptic quality, semantic counts, calibration, ObjectLab."""

import math
from collections.abc import Sequence

import numpy as np


def lrp(score: Sequence[float], correct: Sequence[bool], iou: Sequence[float], labels: int, at: float, tau: float = 0.5):
    """LRP, and its parts localization, false positives and false negatives, with predictions of a score of at least `at`."""
    kept = [i for i in range(len(score)) if score[i] >= at]
    hits = [iou[i] for i in kept if correct[i]]
    tp, fp, fn = len(hits), len(kept) - len(hits), labels - len(hits)
    if tp + fp + fn == 0:
        return math.nan, math.nan, math.nan, math.nan
    total = (sum(1 - x for x in hits) / (1 - tau) + fp + fn) / (tp + fp + fn)
    return (
        total,
        sum(1 - x for x in hits) / tp if tp else math.nan,
        fp / (tp + fp) if tp + fp else math.nan,
        fn / labels if labels else math.nan,
    )


def optimal_lrp(score, correct, iou, labels, tau: float = 0.5):
    """Smallest LRP over the distinct scores and the highest score that has it."""
    if labels == 0:
        return math.nan, math.nan
    if not len(score):
        return 1.0, math.nan
    best = (math.inf, math.nan)
    for at in sorted(set(score), reverse=True):
        value = lrp(score, correct, iou, labels, at, tau)[0]
        if value < best[0]:
            best = (value, at)
    return best


def calibration(confidence, correct, bins: int = 10):
    """ECE and MCE with bins [i/B, (i+1)/B), the last one closed."""
    gaps = []
    for i in range(bins):
        inside = [j for j, c in enumerate(confidence) if i / bins <= c and (c < (i + 1) / bins or i == bins - 1)]
        if inside:
            sure = sum(confidence[j] for j in inside) / len(inside)
            right = sum(bool(correct[j]) for j in inside) / len(inside)
            gaps.append((len(inside), abs(sure - right)))
    return sum(n * g for n, g in gaps) / len(confidence), max(g for _, g in gaps)


def pixel_counts(label, prediction, classes: int, ignore: int = 255):
    """Pixels per label class and predicted class; the last column is no class."""
    out = np.zeros((classes, classes + 1), dtype=np.int64)
    for want, got in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if want != ignore:
            out[want, classes if got == ignore else got] += 1
    return out


def band(values, reach: int):
    """Pixels whose square window leaves the frame or holds another value."""
    height, width = values.shape
    out = np.zeros((height, width), dtype=bool)
    for y in range(height):
        for x in range(width):
            inside = y - reach >= 0 and x - reach >= 0 and y + reach < height and x + reach < width
            window = values[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
            out[y, x] = not inside or (window != values[y, x]).any()
    return out


def panoptic(label_map, label_info, prediction_map, prediction_info, classes: int):
    """Sum of IoU, TP, FP, FN per class, as in section 4 of the paper, with void and crowd as in its appendix.

    `info` maps an id to (class, crowd).
    """
    iou_sum = [0.0] * classes
    tp, fp, fn = [0] * classes, [0] * classes, [0] * classes
    matched_labels, matched_predictions = set(), set()
    for i, (label_class, crowd) in label_info.items():
        for j, (prediction_class, _) in prediction_info.items():
            if crowd or label_class != prediction_class:
                continue
            a = label_map == i
            b = (prediction_map == j) & (label_map != 0)
            iou = (a & b).sum() / (a | b).sum()
            if iou > 0.5:
                iou_sum[label_class] += iou
                tp[label_class] += 1
                matched_labels.add(i)
                matched_predictions.add(j)
    for i, (label_class, crowd) in label_info.items():
        if i not in matched_labels and not crowd:
            fn[label_class] += 1
    for j, (prediction_class, _) in prediction_info.items():
        if j in matched_predictions:
            continue
        free = label_map == 0
        for i, (label_class, crowd) in label_info.items():
            if crowd and label_class == prediction_class:
                free = free | (label_map == i)
        mine = prediction_map == j
        if (mine & free).sum() / mine.sum() <= 0.5:
            fp[prediction_class] += 1
    return iou_sum, tp, fp, fn


def iou(a, b) -> float:
    """Overlap of two boxes x1 y1 x2 y2."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, width) * max(0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0


def alike(a, b) -> float:
    """Similarity of two boxes in ObjectLab, its nearness in steps of 2^-53 as there."""
    distance = math.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2)
    return 0.9 * iou(a, b) + 0.1 * (1 - (1 - math.exp(-0.1 * distance)))


def objectlab(frames):
    """Overlooked, badly located and swapped scores per box, and the quality of each frame.

    A frame is (label boxes, label classes, prediction boxes, prediction classes, scores).
    """
    every = [alike(a, b) for frame in frames for a in frame[0] for b in frame[2]]
    smallest = min([x for x in every if x > 0], default=1.0)
    return [_objectlab_frame(frame, smallest) for frame in frames]


def _objectlab_frame(frame, smallest):
    boxes, classes, found, found_classes, scores = frame
    overlooked, badloc, swap = [], [], []
    for box, kind, score in zip(found, found_classes, scores, strict=True):
        if score < 0.95 or any(iou(box, other) > 0 for other in boxes):
            overlooked.append(math.nan)
            continue
        same = [alike(box, other) for other, k in zip(boxes, classes, strict=True) if k == kind]
        overlooked.append(max(same) if same else smallest * (1 - score))
    for at, (box, kind) in enumerate(zip(boxes, classes, strict=True)):
        near, other = [], []
        for guess, k, score in zip(found, found_classes, scores, strict=True):
            if k == kind and score > 0.5 and iou(box, guess) > 0:
                near.append(alike(box, guess))
            if k != kind and score > 0.95:
                other.append(alike(box, guess))
        badloc.append(max(near) if near else 1.0)
        clash = any(n != at and k != kind and iou(box, b) >= 0.95 for n, (b, k) in enumerate(zip(boxes, classes, strict=True)))
        swap.append(smallest if clash else max(smallest, 1 - max(other)) if other else 1.0)
    parts = [softmin([x for x in group if not math.isnan(x)]) for group in (overlooked, badloc, swap)]
    quality = math.exp(sum(math.log(1e-100 + part) for part in parts) / 3)
    return overlooked, badloc, swap, quality


def softmin(values) -> float:
    """Mean of the values with weights that fall with the value."""
    if not values:
        return 1.0
    weights = [math.exp(-x / 0.1) for x in values]
    return sum(w * x for w, x in zip(weights, values, strict=True)) / sum(weights)
