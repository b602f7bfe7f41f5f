"""Panoptic quality against plain loops written from the paper, and torchmetrics where it is installed."""

import math

import numpy as np
import pytest
import torch

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import panoptic
from tests.reference import figures as slow


def side(values, info):
    """A segmentation from a map and {id: (class, crowd)}."""
    ids = list(info)
    return panoptic.Segmentation(
        map=torch.as_tensor(values),
        ids=torch.tensor(ids, dtype=torch.int64),
        class_id=torch.tensor([info[i][0] for i in ids], dtype=torch.int64),
        crowd=torch.tensor([info[i][1] for i in ids], dtype=torch.bool),
    )


def count(label, prediction, classes):
    return panoptic.panoptic_counts(panoptic.overlaps_of(side(*label), side(*prediction)), classes)


def random_frame(seed, classes=3):
    """Blocks of segments, the prediction a noisy copy of the labels; ids are large and in no order."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(0, 7, (4, 5)), np.ones((5, 5), dtype=np.int64))
    noisy = np.where(rng.random(blocks.shape) < rng.choice([0.05, 0.3, 0.5]), np.roll(blocks, 2, 1), blocks)
    names = rng.permutation(np.arange(1, 60) * 65793)[:14]
    out = []
    for values, own in ((blocks, names[:7]), (noisy, names[7:])):
        used = np.where(values == 0, 0, own[values])
        ids = [int(i) for i in np.unique(used) if i]
        rng.shuffle(ids)
        out.append((used, {i: [int(rng.integers(0, classes)), False] for i in ids}))
    same = dict(zip(names[7:].tolist(), names[:7].tolist(), strict=True))
    for i, info in out[1][1].items():  # mostly the class of the label it was made of
        if rng.random() < 0.8 and same[i] in out[0][1]:
            info[0] = out[0][1][same[i]][0]
    for info in out[0][1].values():
        info[1] = bool(rng.random() < 0.15)
    return out


def test_equals_plain_loops():
    matched = free = 0
    for seed in range(60):
        label, prediction = random_frame(seed)
        got = count(label, prediction, 3)
        iou, tp, fp, fn = slow.panoptic(*label, *prediction, 3)
        assert got.iou.tolist() == pytest.approx(iou)
        assert (got.tp.tolist(), got.fp.tolist(), got.fn.tolist()) == (tp, fp, fn)
        matched += sum(tp)
        free += len(prediction[1]) - sum(tp) - sum(fp)
    assert matched > 30
    assert free > 5  # predictions excused by void or crowd


def test_by_hand():
    label = ([[1, 1, 1, 1], [2, 2, 3, 0]], {1: (0, False), 2: (1, False), 3: (1, False)})
    prediction = ([[9, 9, 9, 8], [7, 6, 6, 6]], {9: (0, False), 8: (0, False), 7: (1, False), 6: (1, False)})
    got = count(label, prediction, 3)
    # 9 on 1: 3/4; 7 on 2: 1/2 is not above .5; 6 on 3: 1 of 2 (void is taken out): no; 8 is false
    assert got.tp.tolist() == [1, 0, 0]
    assert got.fp.tolist() == [1, 2, 0]
    assert got.fn.tolist() == [0, 2, 0]
    assert got.pq()[:2].tolist() == [0.75 / 1.5, 0]
    assert got.sq()[:2].tolist() == [0.75, 0]
    assert got.rq()[:2].tolist() == [1 / 1.5, 0]
    assert all(math.isnan(part[2]) for part in (got.pq(), got.sq(), got.rq()))
    every = panoptic.scores(got)
    assert (every.pq.item(), every.sq.item(), every.classes.item()) == (0.25, 0.375, 2)
    things = panoptic.scores(got, torch.tensor([True, False, True]))
    assert (things.pq.item(), things.classes.item()) == (0.5, 1)
    assert panoptic.scores(got, torch.tensor([False, False, True])).pq.isnan()


def test_void_is_taken_out_of_predictions():
    label = ([[1, 1, 0, 0, 0, 0]], {1: (0, False)})
    got = count(label, ([[5, 5, 5, 5, 5, 4]], {5: (0, False), 4: (0, False)}), 1)
    assert got.iou.item() == 1
    assert got.fp.item() == 0  # 4 is all void
    half = count(([[1, 0]], {1: (0, False)}), ([[5, 5]], {5: (1, False)}), 2)
    assert half.fp.tolist() == [0, 1]  # exactly half void does not excuse


def test_crowds_are_neither_matched_nor_missed():
    label = ([[1, 1, 1, 1]], {1: (0, True)})
    got = count(label, ([[5, 5, 6, 6]], {5: (0, False), 6: (1, False)}), 2)
    assert got.tp.tolist() == [0, 0]
    assert got.fn.tolist() == [0, 0]
    assert got.fp.tolist() == [0, 1]  # a crowd excuses predictions of its own class alone


def test_counts_of_frames_add_up_and_take_weights():
    frames = [count(*random_frame(seed), 3) for seed in range(3)]
    total = frames[0] + frames[1] + frames[2] + panoptic.no_counts(3)
    stacked = panoptic.PanopticCounts(*(torch.stack([getattr(f, name) for f in frames]) for name in ("iou", "tp", "fp", "fn")))
    weight = torch.tensor([[1, 1, 1], [0, 0, 0]])
    counts = (weight @ part for part in (stacked.tp, stacked.fp, stacked.fn))
    weighted = panoptic.PanopticCounts(weight.double() @ stacked.iou, *counts)
    got = panoptic.scores(weighted)
    assert got.pq[0].item() == pytest.approx(panoptic.scores(total).pq.item())
    assert got.pq[1].isnan()
    assert got.classes.tolist()[1] == 0


def test_empty_frames():
    nothing = ([[0, 0]], {})
    one = ([[1, 1]], {1: (0, False)})
    assert panoptic.scores(count(nothing, nothing, 2)).pq.isnan()
    assert count(one, nothing, 2).fn.tolist() == [1, 0]
    assert count(nothing, one, 2).fp.tolist() == [0, 0]
    assert count(one, one, 2).pq()[0].item() == 1


def test_wrong_input_is_named():
    good = side([[1, 1]], {1: (0, False)})
    with pytest.raises(UsageError, match="prediction map holds segment 4, which is not listed"):
        panoptic.overlaps_of(good, side([[1, 4]], {1: (0, False)}))
    with pytest.raises(UsageError, match="label segment 2 is listed and has no pixel"):
        panoptic.overlaps_of(side([[1, 1]], {1: (0, False), 2: (0, False)}), good)
    with pytest.raises(UsageError, match="ids that are different and not 0"):
        panoptic.overlaps_of(side([[0, 0]], {0: (0, False)}), good)
    with pytest.raises(UsageError, match=r"shape \[1, 2\], the prediction \[2, 1\]"):
        panoptic.overlaps_of(good, side([[1], [1]], {1: (0, False)}))
    with pytest.raises(UsageError, match="label segment has class 3; there are classes 0 to 1"):
        panoptic.panoptic_counts(panoptic.overlaps_of(side([[1, 1]], {1: (3, False)}), good), 2)


def colors(values, info):
    """Class and id of every pixel, as torchmetrics has it."""
    kinds = np.vectorize(lambda i: info[i][0])(values)
    return torch.from_numpy(np.stack([kinds, values], -1))[None]


def test_torchmetrics_agrees():
    tm = pytest.importorskip("torchmetrics.functional.detection")
    for seed in range(5):
        label, prediction = random_frame(seed)
        for info in label[1].values():
            info[1] = False
        label, prediction = ([np.where(x == 0, next(iter(i)), x), i] for x, i in (label, prediction))  # it knows void otherwise
        ours = panoptic.scores(count(label, prediction, 3))

        peer = tm.panoptic_quality(colors(*prediction), colors(*label), things={0, 1, 2}, stuffs=set(), return_sq_and_rq=True)
        assert [ours.pq.item(), ours.sq.item(), ours.rq.item()] == pytest.approx(peer.tolist())
