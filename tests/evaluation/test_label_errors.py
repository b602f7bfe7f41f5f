"""Label errors against plain loops written from ObjectLab, cleanlab where it is installed, and worked values."""

import math

import numpy as np
import pytest
import torch

from gpu_quality.evaluation import label_errors as errors
from tests.reference import figures as slow


def random_frames(seed, frames=12):
    """Labels, noisy predictions of them, some of another class or far away; frames with neither, one of the two, copies."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(frames):
        n = int(rng.integers(0, 4))
        corner = rng.uniform(0, 300, (n, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(20, 80, (n, 2))], 1)
        classes = rng.integers(0, 3, n)
        if n and rng.random() < 0.3:  # the same box twice, perhaps of another class
            boxes, classes = np.vstack([boxes, boxes[:1] + 0.1]), np.append(classes, rng.integers(0, 3))
        found = boxes + rng.normal(scale=rng.choice([0.5, 8]), size=boxes.shape)
        kinds = np.where(rng.random(len(classes)) < 0.2, (classes + 1) % 3, classes)
        extra = rng.uniform(0, 300, (int(rng.integers(0, 3)), 2))
        found = np.vstack([found, np.concatenate([extra, extra + 30], 1)])
        kinds = np.append(kinds, rng.integers(0, 3, len(extra)))
        score = rng.choice([0.3, 0.5, 0.6, 0.95, 0.97, 0.99], len(found))
        kept = rng.random(len(found)) < 0.8
        out.append((boxes, classes, found[kept], kinds[kept], score[kept]))
    return out


def offsets(sizes):
    return torch.tensor([0, *np.cumsum(sizes)])


def scored(frames):
    """Everything of `label_errors` from frames as in `random_frames`."""
    label_offset, prediction_offset = offsets([len(f[0]) for f in frames]), offsets([len(f[2]) for f in frames])
    boxes, found = (torch.from_numpy(np.vstack([f[i] for f in frames])) for i in (0, 2))
    kind, guess, score = (torch.from_numpy(np.concatenate([f[i] for f in frames])) for i in (1, 3, 4))

    def overlap(a, b):
        return torch.tensor([slow.iou(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)], dtype=torch.float64)

    def center(box):
        return (box[:, :2] + box[:, 2:]) / 2

    at, by = errors.pairs_of(label_offset, prediction_offset)
    iou = overlap(boxes[at], found[by])
    pairs = errors.Pairs(at, by, iou, errors.similarity(iou, center(boxes[at]), center(found[by])))
    sides = errors.Sides(kind, guess, score)
    smallest = errors.smallest_similarity(pairs)
    twins = errors.pairs_of(label_offset, label_offset)
    twins = twins[:, twins[0] < twins[1]]
    clash = errors.conflicts(kind, twins, overlap(boxes[twins[0]], boxes[twins[1]]))
    parts = (
        errors.overlooked_score(sides, pairs, smallest),
        errors.badloc_score(sides, pairs),
        errors.swap_score(sides, pairs, smallest, clash),
    )
    frame, of = (torch.repeat_interleave(torch.arange(len(frames)), x.diff()) for x in (label_offset, prediction_offset))
    pooled = [errors.pooled(part, rows, len(frames)) for part, rows in zip(parts, (of, frame, frame), strict=True)]
    return parts, errors.label_quality(*pooled), errors.swap_score(sides, pairs, smallest)


def test_pairs_are_predictions_by_labels_of_each_frame():
    got = errors.pairs_of(torch.tensor([0, 2, 2, 5]), torch.tensor([0, 2, 3, 4]))
    assert got.tolist() == [[0, 1, 0, 1, 2, 3, 4], [0, 0, 1, 1, 3, 3, 3]]
    assert errors.pairs_of(torch.tensor([0]), torch.tensor([0])).shape == (2, 0)


def test_equals_plain_loops():
    seen = {"overlooked": 0, "badloc": 0, "swap": 0}
    for seed in range(8):
        frames = random_frames(seed)
        (overlooked, badloc, swap), quality, _ = scored(frames)
        want = slow.objectlab(frames)
        for got, part in ((overlooked, 0), (badloc, 1), (swap, 2)):
            assert got.tolist() == pytest.approx([x for frame in want for x in frame[part]], nan_ok=True, abs=1e-12)
        assert quality.tolist() == pytest.approx([frame[3] for frame in want], abs=1e-12)
        seen["overlooked"] += int((~overlooked.isnan()).sum())
        seen["badloc"] += int((badloc < 1).sum())
        seen["swap"] += int((swap < 1).sum())
    assert min(seen.values()) > 10


def test_equals_cleanlab():
    rank = pytest.importorskip("cleanlab.object_detection.rank")
    for seed in range(4):
        frames = [f for f in random_frames(seed) if len(f[0])]  # cleanlab stumbles over frames without labels
        labels = [{"bboxes": f[0], "labels": f[1]} for f in frames]
        found = [[np.column_stack([f[2], f[4]])[f[3] == k].reshape(-1, 5) for k in range(3)] for f in frames]
        order = [np.argsort(f[3], kind="stable") for f in frames]
        (overlooked, badloc, swap), quality, _ = scored(
            [(*f[:2], *(x[o] for x in f[2:])) for f, o in zip(frames, order, strict=True)]
        )
        aux = rank._get_valid_inputs_for_compute_scores(0.9, labels, found)
        for got, peer in (
            (overlooked, rank.compute_overlooked_box_scores(auxiliary_inputs=aux)),
            (badloc, rank.compute_badloc_box_scores(auxiliary_inputs=aux)),
            (swap, rank.compute_swap_box_scores(auxiliary_inputs=aux)),
        ):
            np.testing.assert_allclose(got, np.concatenate(peer), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(quality, rank.get_label_quality_scores(labels, found, verbose=False), rtol=1e-9)


def frame(labels=(), classes=(), found=(), kinds=(), scores=()):
    return (
        np.array(labels, dtype=float).reshape(-1, 4),
        np.array(classes, dtype=np.int64),
        np.array(found, dtype=float).reshape(-1, 4),
        np.array(kinds, dtype=np.int64),
        np.array(scores, dtype=float),
    )


BOX, FAR = [0, 0, 10, 10], [100, 0, 110, 10]


def test_by_hand():
    (_, badloc, swap), quality, _ = scored([frame([BOX], [0], [BOX], [0], [0.9])])
    assert (badloc.item(), swap.item(), quality.item()) == (1, 1, pytest.approx(1))
    (_, badloc, _), _, _ = scored([frame([BOX], [0], [[0, 0, 10, 5]], [0], [0.9])])
    assert badloc.item() == pytest.approx(0.9 * 0.5 + 0.1 * math.exp(-0.25))
    # a score of .5 says nothing about the place, .95 nothing about the class
    (_, badloc, swap), _, _ = scored([frame([BOX], [0], [[0, 0, 10, 5], BOX], [0, 1], [0.5, 0.95])])
    assert (badloc.item(), swap.item()) == (1, 1)
    (_, _, swap), _, _ = scored([frame([BOX], [0], [[0, 0, 10, 5], FAR], [1, 0], [0.96, 0.1])])
    assert swap.item() == pytest.approx(1 - (0.9 * 0.5 + 0.1 * math.exp(-0.25)))
    (_, _, swap), _, _ = scored([frame([BOX], [0], [BOX], [1], [0.96])])
    assert swap.item() == 1  # the smallest similarity of the data set, here that of the one pair


def test_overlooked_by_hand():
    far = 0.1 * math.exp(-10)
    (same, _, _), _, _ = scored([frame([BOX], [0], [FAR], [0], [0.95])])
    assert same.item() == pytest.approx(far)
    (other, _, _), _, _ = scored([frame([BOX], [1], [FAR], [0], [0.95])])
    assert other.item() == pytest.approx(far * 0.05)
    (unsure, _, _), _, _ = scored([frame([BOX], [0], [FAR], [0], [0.94])])
    assert unsure.isnan()
    (touching, _, _), _, _ = scored([frame([BOX], [1], [[9, 0, 19, 10]], [0], [0.99])])
    assert touching.isnan()
    (nothing, _, _), quality, _ = scored([frame([], [], [FAR], [0], [0.99])])  # no label at all: s_min is 1
    assert nothing.item() == pytest.approx(0.01)
    assert quality.item() == pytest.approx(0.01 ** (1 / 3))


def test_conflicting_labels():
    frames = [frame([BOX, BOX, FAR], [0, 1, 0], [[50, 0, 60, 10]], [2], [0.1])]
    (_, _, swap), _, without = scored(frames)
    smallest = 0.1 * math.exp(-5)
    assert swap.tolist() == pytest.approx([smallest, smallest, 1])
    assert without.tolist() == [1, 1, 1]
    (_, _, swap), _, _ = scored([frame([BOX, BOX], [0, 0], [], [], [])])
    assert swap.tolist() == [1, 1]


def test_boxes_too_far_apart_are_not_alike_at_all():
    middle = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    assert errors.similarity(zero, middle, middle + 5000).item() == 0
    near = errors.similarity(zero, middle, middle + torch.tensor([[30.0, 40.0]]), 640 / 1280)
    assert near.item() == pytest.approx(0.1 * math.exp(-2.5))


def test_frames_without_boxes_and_missing_scores():
    _, quality, _ = scored([frame(), frame([BOX], [0])])
    assert quality.tolist() == pytest.approx([1, 1])
    (overlooked, badloc, swap), _, _ = scored([frame([BOX], [0], [[0, 0, 10, 5], FAR], [1, 0], [math.nan, math.nan])])
    assert overlooked.isnan().all()
    assert (badloc.item(), swap.item()) == (1, 1)


def test_flags():
    score = torch.tensor([0.1, 0.11, math.nan, 0.0, 0.01], dtype=torch.float64)
    ap = torch.tensor([0.5, math.nan], dtype=torch.float64)
    assert errors.flagged(score, torch.tensor([0, 0, 0, 1, 1]), ap).tolist() == [True, False, False, True, False]


def test_mistakenness_by_hand():
    yes, no = torch.tensor([True]), torch.tensor([False])
    c = torch.tensor([0.8], dtype=torch.float64)
    assert errors.mistakenness(yes, yes, c).item() == pytest.approx(0.1)
    assert errors.mistakenness(yes, no, c).item() == pytest.approx(0.9)
    assert errors.mistakenness(no, no, c).isnan()
    assert errors.answer_mistakenness(yes, no, no, c).item() == 1
    assert errors.answer_mistakenness(no, yes, no, c).item() == 1
    assert errors.answer_mistakenness(no, no, no, c).isnan()
    assert errors.answer_mistakenness(yes, yes, yes, c).item() == pytest.approx(0.1)
    for iou, want in ((1.0, 0.1), (0.75, 0.5), (0.5, 0.9)):
        assert errors.mistakenness_localization(yes, torch.tensor([iou], dtype=torch.float64), c).item() == pytest.approx(want)
    assert errors.mistakenness_localization(no, c, c).isnan()
    assert errors.confidence_of_probabilities(torch.tensor([0.0, math.log(4)], dtype=torch.float64)).tolist() == [1, 0.25]


def test_possible_errors_and_the_worst_of_a_frame():
    matched, c = torch.tensor([True, False, False]), torch.tensor([0.99, 0.96, 0.95], dtype=torch.float64)
    assert errors.possible_missing(matched, c).tolist() == [False, True, False]
    assert errors.possible_spurious(matched).tolist() == [False, True, True]
    value = torch.tensor([0.2, math.nan, 0.7, math.nan], dtype=torch.float64)
    got = errors.worst_per_frame(value, torch.tensor([0, 0, 0, 2]), 3)
    assert got[0].item() == 0.7
    assert got[1:].isnan().all()
