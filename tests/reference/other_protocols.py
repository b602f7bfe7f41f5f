"""VOC, Open Images, FiftyOne and Encord as plain loops, written from the rules; objects are named tuples in lists."""

from itertools import pairwise
from typing import NamedTuple


class Box(NamedTuple):
    frame: int
    kind: int
    box: tuple
    score: float | None = None
    special: bool = False
    """Difficult, group or crowd."""


def overlap(a, b, inclusive=False, over_first=False):
    more = 1.0 if inclusive else 0.0
    aw, ah, bw, bh = a[2] + more, a[3] + more, b[2] + more, b[3] + more
    wide = min(a[0] + aw, b[0] + bw) - max(a[0], b[0])
    high = min(a[1] + ah, b[1] + bh) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    return both / (aw * ah) if over_first else both / (aw * ah + bw * bh - both)


def by_score(boxes, rows):
    """Rows by falling score; equal ones by frame, then as given."""
    return sorted(rows, key=lambda i: (-boxes[i].score, boxes[i].frame))


def curve(true):
    """(recalls' numerators, precisions) after each prediction."""
    found = 0
    for n, value in enumerate(true, 1):
        found += value > 0
        yield found, found / n


def points(true, labels, grid):
    """Mean over a grid of the highest precision at that recall or beyond."""
    seen = [(found / labels, precision) for found, precision in curve(true)]
    return sum(max([p for r, p in seen if r >= at], default=0.0) for at in grid) / len(grid)


def area(weights, labels):
    """Area under the highest precision at a recall or beyond; weights of true ones, 0 = false."""
    seen, found, false = [], 0.0, 0
    for weight in weights:
        found, false = found + weight, false + (weight <= 0)
        seen.append((found / labels, found / (found + false)))
    out, before = 0.0, 0.0
    for i, (recall, _) in enumerate(seen):
        out += (recall - before) * max(p for _, p in seen[i:])
        before = recall
    return out


HUNDRED_AND_ONE = [i * 0.01 for i in range(100)] + [1.0]
ELEVEN = [i * 0.1 for i in range(11)]


def voc(labels, predictions, kind, t=0.5, eleven=False, inclusive=True, strict=False):
    """(AP or None, [(row, True or False)] by rank)."""
    taken, out = set(), []
    positives = sum(1 for label in labels if label.kind == kind and not label.special)
    for i in by_score(predictions, [i for i, p in enumerate(predictions) if p.kind == kind]):
        best, at = -1.0, None
        for j, label in enumerate(labels):
            if label.kind == kind and label.frame == predictions[i].frame:
                value = overlap(predictions[i].box, label.box, inclusive)
                if value > best:
                    best, at = value, j
        enough = at is not None and (best > t if strict else best >= t)
        if enough and labels[at].special:
            continue
        out.append((i, enough and at not in taken))
        if enough:
            taken.add(at)
    true = [value for _, value in out]
    if not positives:
        return None, out
    return (points(true, positives, ELEVEN) if eleven else area([float(v) for v in true], positives)), out


def open_images(labels, predictions, kind, ancestors=None, verified=None, t=0.5, weight=1.0):
    """(AP or None, TP, FP, positives); `verified` holds triples (frame, class, present)."""
    ancestors = ancestors or {}
    expanded = [label._replace(kind=k) for label in labels for k in {label.kind, *ancestors.get(label.kind, ())}]
    if verified is not None:
        known = {(label.frame, label.kind) for label in expanded}
        for frame, k, present in verified:
            known.add((frame, k))
            known |= {(frame, up) for up in ancestors.get(k, ()) if present}
            known |= {(frame, down) for down, ups in ancestors.items() if k in ups and not present}
        predictions = [p for p in predictions if (p.frame, p.kind) in known]
    own = [label for label in expanded if label.kind == kind]
    positives = sum(weight if label.special else 1.0 for label in own)
    taken, filled, out = set(), set(), []
    for i in by_score(predictions, [i for i, p in enumerate(predictions) if p.kind == kind]):
        near = [(j, label) for j, label in enumerate(own) if label.frame == predictions[i].frame]
        best, at = -1.0, None
        for j, label in near:
            value = overlap(predictions[i].box, label.box)
            if not label.special and value > best:
                best, at = value, j
        if best >= t and at not in taken:
            taken.add(at)
            out.append(1.0)
            continue
        best, at = -1.0, None
        for j, label in near:
            value = overlap(predictions[i].box, label.box, over_first=True)
            if label.special and value > best:
                best, at = value, j
        if best < t or at is None:
            out.append(0.0)
        elif at not in filled:
            filled.add(at)
            if weight > 0:
                out.append(weight)
    return (area(out, positives) if positives else None), sum(out), sum(w <= 0 for w in out), positives


def fiftyone_scan(labels, predictions, t, most=None, across=False):
    """{prediction row: (label row, overlap)} of one threshold, and the rows that were looked at."""
    matched, taken, seen = {}, {}, []
    cells = {(p.frame, None if across else p.kind) for p in predictions}
    for frame, kind in sorted(cells, key=str):
        rows = [i for i, p in enumerate(predictions) if p.frame == frame and (across or p.kind == kind)]
        rows = sorted(rows, key=lambda i: -(predictions[i].score or -1))[:most]
        near = [j for j, label in enumerate(labels) if label.frame == frame and (across or label.kind == kind)]
        near.sort(key=lambda j: labels[j].special)
        for i in rows:
            seen.append(i)
            best, at = t, None
            for j in near:
                label = labels[j]
                if (j in taken and not label.special) or (label.special and label.kind != predictions[i].kind):
                    continue
                if at is not None and not labels[at].special and label.special:
                    break
                value = overlap(predictions[i].box, label.box, over_first=label.special)
                if value >= best:
                    best, at = value, j
            if at is not None:
                taken.setdefault(at, i)
                matched[i] = (at, best)
    return matched, taken, seen


def fiftyone(labels, predictions, kind, t, most=100, across=False):
    """(AP, recall) of a class at one threshold, None without labels."""
    matched, _, seen = fiftyone_scan(labels, predictions, t, most, across)
    positives = sum(label.kind == kind and not label.special for label in labels)
    out = []
    for i in seen:
        label = labels[matched[i][0]] if i in matched else None
        if label is not None and label.special:
            continue
        if (predictions[i].kind if label is None else label.kind) == kind:
            true = label is not None and label.kind == predictions[i].kind
            score = predictions[i].score
            out.append((-1.0 if score is None else score, true))
    if not positives:
        return None
    true = [value for _, value in sorted(out, key=lambda pair: (-pair[0], not pair[1]))]
    return points(true, positives, HUNDRED_AND_ONE), sum(true) / positives


def fiftyone_open_images(labels, predictions, kind, t=0.5):
    """AP or None by the peer's own scan: rounded overlaps, the last of equal free labels, the first perfect one."""
    t = min(t, 1 - 1e-10)
    positives = sum(label.kind == kind for label in labels)
    taken, out = set(), []
    for frame in sorted({p.frame for p in predictions}):
        rows = [i for i, p in enumerate(predictions) if p.frame == frame and p.kind == kind]
        near = [j for j, label in enumerate(labels) if label.frame == frame and label.kind == kind]
        for i in by_score(predictions, rows):
            values = {
                j: int(overlap(predictions[i].box, labels[j].box, over_first=labels[j].special) * 10**10 + 0.5) / 10**10
                for j in near
            }
            single = [j for j in near if not labels[j].special and values[j] >= t]
            top = max([values[j] for j in single], default=0.0)
            free = [j for j in single if values[j] == top and j not in taken]
            groups = [j for j in near if labels[j].special and values[j] >= t]
            if free or groups:
                best = max(values[j] for j in free or groups)
                equal = [j for j in free or groups if values[j] == best]
                at = equal[0] if best == 1 else equal[-1]
                if at not in taken:
                    out.append((predictions[i].score, True))
                taken.add(at)
            else:
                out.append((predictions[i].score, False))
    if not positives:
        return None
    return area([float(v) for _, v in sorted(out, key=lambda pair: (-pair[0], not pair[1]))], positives)


def encord_objects(labels, predictions, t):
    """([reason of each prediction], [attached label or -1], [overlap], {label: its true prediction})."""
    attached, values = [], []
    for p in predictions:
        best, at = 0.0, -1
        for j, label in enumerate(labels):
            if label.frame == p.frame and label.kind == p.kind and overlap(p.box, label.box) > best:
                best, at = overlap(p.box, label.box), j
        attached.append(at)
        values.append(best)
    scored = [p._replace(score=1.0 if p.score is None else p.score) for p in predictions]
    reasons, winner = ["no_overlap"] * len(predictions), {}
    for i in by_score(scored, range(len(scored))):
        if attached[i] < 0:
            continue
        if attached[i] in winner:
            reasons[i] = "already_matched"
        elif values[i] >= t:
            winner[attached[i]] = i
            reasons[i] = ""
        else:
            reasons[i] = "iou_too_low"
    return reasons, attached, values, winner


def encord(labels, predictions, kind, t=0.5, database=False):
    """(AP, AR, TP, FP, FN) of a class; AP and AR None without labels."""

    def verdicts(at):
        reasons = encord_objects(labels, predictions, at)[0]
        scored = [p._replace(score=1.0 if p.score is None else p.score) for p in predictions]
        return [not reasons[i] for i in by_score(scored, [i for i, p in enumerate(scored) if p.kind == kind])]

    true, n = verdicts(t), sum(label.kind == kind for label in labels)
    counts = (sum(true), len(true) - sum(true), n - sum(true))
    if not n:
        return None, None, *counts
    if not database:
        return points(true, n, HUNDRED_AND_ONE), sum(true) / n, *counts
    last = {}
    for found, precision in curve(true):
        last[found] = precision  # the last of each count stays
    seen = [((200 * found + n) // (2 * n), precision) for found, precision in last.items()]
    ap = sum(max([p for r, p in seen if r >= 10 * tenth], default=0.0) for tenth in range(11)) / 11
    recalls = [sum(verdicts(i / 10)) / n for i in range(5, 11)]
    ar = 2 * sum((a + b) / 2 * 0.1 for a, b in pairwise(recalls))
    return ap, ar, *counts
