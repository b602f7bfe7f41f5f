"""Rules of detection figures as slow, obvious loops: matching by overlap, matrices, counts, Labelbox, Encord, reasons, TIDE.

A label is (frame, class, box, crowd), a prediction (frame, class, box, score); boxes are x y w h.
"""

import math
from collections import defaultdict
from typing import NamedTuple


class Label(NamedTuple):
    frame: int
    class_id: int
    box: tuple[float, float, float, float]
    crowd: bool = False


class Prediction(NamedTuple):
    frame: int
    class_id: int
    box: tuple[float, float, float, float]
    score: float


def overlap(label: Label, prediction: Prediction) -> float:
    """Intersection over union; over the prediction alone for crowds."""
    (x1, y1, w1, h1), (x2, y2, w2, h2) = label.box, prediction.box
    wide, high = min(x1 + w1, x2 + w2) - max(x1, x2), min(y1 + h1, y2 + h2) - max(y1, y2)
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    return both / (w2 * h2) if label.crowd else both / (w2 * h2 + w1 * h1 - both)


def passes(value: float, threshold: float, compare: str) -> bool:
    return value > threshold if compare == "gt" else value >= threshold


def by_overlap(labels, predictions, threshold, *, classes="any", compare="ge", tie="stable"):
    """Label of each prediction (None = none) and predictions ignored for a crowd; pairs choose by falling overlap."""
    every = []
    for i, label in enumerate(labels):
        for j, prediction in enumerate(predictions):
            same = label.class_id == prediction.class_id
            if label.frame != prediction.frame or label.crowd or (classes == "same" and not same):
                continue
            value = overlap(label, prediction)
            if passes(value, threshold, compare):
                stage = 0 if same or classes != "same_first" else 1
                order = (-value, i, j) if tie == "listed" else (-value, not same, -prediction.score, i, j)
                every.append(((stage, *order), i, j))
    partner, taken = [None] * len(predictions), set()
    for _, i, j in sorted(every):
        if i not in taken and partner[j] is None:
            partner[j] = i
            taken.add(i)
    ignored = [
        partner[j] is None
        and any(
            label.crowd
            and label.frame == prediction.frame
            and label.class_id == prediction.class_id
            and passes(overlap(label, prediction), threshold, compare)
            for label in labels
        )
        for j, prediction in enumerate(predictions)
    ]
    return partner, ignored


def matrix(labels, predictions, none, threshold, confidence, **rules):
    """The matrix, whose last row and column is `none`, and the members of its cells: (frame, label, prediction, IoU)."""
    rows = [j for j, prediction in enumerate(predictions) if prediction.score >= confidence]
    kept = [predictions[j] for j in rows]
    partner, ignored = by_overlap(labels, kept, threshold, **rules)
    cells = defaultdict(list)
    for j, prediction in enumerate(kept):
        if ignored[j]:
            continue
        i = partner[j]
        row = none if i is None else labels[i].class_id
        iou = math.nan if i is None else overlap(labels[i], prediction)
        cells[row, prediction.class_id].append((prediction.frame, -1 if i is None else i, rows[j], iou))
    for i, label in enumerate(labels):
        if not label.crowd and i not in partner:
            cells[label.class_id, none].append((label.frame, i, -1, math.nan))
    size = none + 1
    return [[len(cells[r, c]) for c in range(size)] for r in range(size)], {key: sorted(cell) for key, cell in cells.items()}


def counts(labels, predictions, partner, ignored, key):
    """TP, FP, FN and sum of IoU of every key (a function of a label or prediction) from the partner of each prediction."""
    out = defaultdict(lambda: [0, 0, 0, 0.0])
    found = set()
    for j, prediction in enumerate(predictions):
        i = partner[j]
        if ignored[j]:
            continue
        if i is not None and labels[i].class_id == prediction.class_id:
            out[key(prediction)][0] += 1
            out[key(prediction)][3] += overlap(labels[i], prediction)
            found.add(i)
        else:
            out[key(prediction)][1] += 1
    for i, label in enumerate(labels):
        if not label.crowd and i not in found:
            out[key(label)][2] += 1
    return out


def share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def mean(values) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def labelbox(labels, predictions, threshold, confidence, frames, *, rows="both", cross_fn=True, iou_mean="all", **rules):
    """Per (frame, class): TP, FP, FN and IoU; and the frames that count, and the labels stolen."""
    has_label, has_prediction = {x.frame for x in labels}, {x.frame for x in predictions}
    counted = has_label & has_prediction if rows == "both" else set(range(frames))
    own = [(i, label) for i, label in enumerate(labels) if label.frame in counted]
    kept = [x for x in predictions if x.frame in counted and x.score >= confidence]
    inner = [label for _, label in own]
    partner, _ = by_overlap(inner, kept, threshold, **rules)
    found = {i for j, i in enumerate(partner) if i is not None and inner[i].class_id == kept[j].class_id}
    cells = {}
    for frame, class_id in {(x.frame, x.class_id) for x in [*inner, *kept]}:
        ls = [i for i, x in enumerate(inner) if (x.frame, x.class_id) == (frame, class_id)]
        ps = [j for j, x in enumerate(kept) if (x.frame, x.class_id) == (frame, class_id)]
        hits = [j for j in ps if partner[j] is not None and inner[partner[j]].class_id == class_id]
        missed = [i for i in ls if i not in found and (cross_fn or i not in partner)]
        if iou_mean == "matched":
            iou = mean([overlap(inner[partner[j]], kept[j]) for j in hits])
        else:
            alone, _ = by_overlap(
                [inner[i] for i in ls], [kept[j] for j in ps], 0.0, classes="same", compare="gt", tie=rules["tie"]
            )
            pairs = [(ls[i], ps[j]) for j, i in enumerate(alone) if i is not None]
            iou = sum(overlap(inner[i], kept[j]) for i, j in pairs) / max(len(ls), len(ps))
        cells[frame, class_id] = (len(hits), len(ps) - len(hits), len(missed), iou)
    stolen = set()
    for j, i in enumerate(partner):
        if i is None or inner[i].class_id == kept[j].class_id:
            continue
        for other, prediction in enumerate(kept):
            hit = partner[other] is not None and inner[partner[other]].class_id == prediction.class_id
            same = (prediction.frame, prediction.class_id) == (inner[i].frame, inner[i].class_id)
            if same and not hit and passes(overlap(inner[i], prediction), threshold, rules["compare"]):
                stolen.add(own[i][0])
    return cells, counted, stolen


def reason(labels, prediction, threshold, compare="ge"):
    """Why a prediction without a label is false."""
    values = [
        overlap(label, prediction)
        for label in labels
        if (label.frame, label.class_id) == (prediction.frame, prediction.class_id)
    ]
    best = max(values, default=0.0)
    if best == 0:
        return "no_overlap", best
    return ("already_matched" if passes(best, threshold, compare) else "iou_too_low"), best


def average_precision(points, positives, classes):
    """Mean over classes of the 101-point precision x 100; points are (class, score, correct), first come first."""
    values = []
    for class_id in range(classes):
        own = sorted((point for point in points if point[0] == class_id), key=lambda point: -point[1])
        if not own and not positives[class_id]:
            continue
        curve, right = [], 0
        for n, (_, _, correct) in enumerate(own, 1):
            right += correct
            curve.append((right / positives[class_id] if positives[class_id] else 0.0, right / n))
        tops = [max([p for r, p in curve if r >= x / 100], default=0.0) for x in range(101)] if positives[class_id] else [0.0]
        values.append(sum(tops) / len(tops) * 100)
    return sum(values) / len(values) if values else math.nan


def tide(labels, predictions, classes, *, pos=0.5, bg=0.1, most=100, bounds="closed"):
    """Error of each prediction, missed labels, AP, and AP after repairing each kind alone; then FalsePos and FalseNeg."""
    regular = [i for i, label in enumerate(labels) if not label.crowd]
    order = sorted(range(len(predictions)), key=lambda j: (predictions[j].frame, -predictions[j].score, j))
    rank = defaultdict(int)
    kept = []
    for j in order:
        rank[predictions[j].frame] += 1
        if rank[predictions[j].frame] <= most:
            kept.append(j)
    taken, right, ignored = {}, set(), set()
    near = {
        j: {i: overlap(labels[i], predictions[j]) for i in regular if labels[i].frame == predictions[j].frame} for j in kept
    }
    for j in kept:
        free = {i: v for i, v in near[j].items() if labels[i].class_id == predictions[j].class_id and i not in taken}
        if free and max(free.values()) >= pos:
            taken[max(free, key=free.get)] = j
            right.add(j)
    for j in kept:
        for label in labels:
            same = label.crowd and (label.frame, label.class_id) == (predictions[j].frame, predictions[j].class_id)
            if j not in right and same and overlap(label, predictions[j]) > pos:
                ignored.add(j)
    error, claims = {}, {}
    for j in kept:
        if j in right:
            continue
        own = {i: v for i, v in near[j].items() if labels[i].class_id == predictions[j].class_id}
        other = {i: v for i, v in near[j].items() if labels[i].class_id != predictions[j].class_id}
        best = max(own.values(), default=-1)
        far = max(near[j].values(), default=-1)
        loc = bg <= best <= pos if bounds == "closed" else bg <= best < pos
        if not near[j]:
            error[j] = "Bkg"
        elif loc:
            error[j], about = "Loc", max(own, key=own.get)
        elif other and max(other.values()) >= pos:
            error[j], about = "Cls", max(other, key=other.get)
        elif any(v >= pos for i, v in own.items() if i in taken):
            error[j] = "Dupe"
        elif far <= bg if bounds == "closed" else far < bg:
            error[j] = "Bkg"
        else:
            error[j] = "Both"
        if error[j] in ("Loc", "Cls") and about not in taken:
            claims.setdefault(about, j)  # frames go by falling score: the first claim is the best
    missed = [i for i in regular if i not in taken and i not in claims]
    positives = [sum(labels[i].class_id == k for i in regular) for k in range(classes)]
    gained = {j: labels[i].class_id for i, j in claims.items()}
    hits = [(predictions[j].class_id, predictions[j].score, True) for j in kept if j in right]

    def after(kind):
        points = []
        for j in kept:
            if j in right:
                continue
            if error[j] == kind:
                if j in gained:
                    points.append((gained[j], predictions[j].score, True))
            elif j not in ignored:
                points.append((predictions[j].class_id, predictions[j].score, False))
        left = [n - sum(labels[i].class_id == k for i in missed) * (kind == "Miss") for k, n in enumerate(positives)]
        return average_precision(points + hits, left, classes)

    plain = [(predictions[j].class_id, predictions[j].score, j in right) for j in kept if j not in ignored]
    ap = average_precision(plain, positives, classes)
    gains = {kind: max(0.0, after(kind) - ap) for kind in ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")}
    wrong = [(k, s, c) for k, s, c in plain if not c]
    ranked = [(k, 1.0, True) for k, _, _ in hits] + [(k, 0.0, False) for k, _, _ in wrong]
    found = [sum(labels[i].class_id == k for i in taken) for k in range(classes)]
    special = (average_precision(ranked, positives, classes) - ap, average_precision(wrong + hits, found, classes) - ap)
    return error, missed, ap, gains, special
