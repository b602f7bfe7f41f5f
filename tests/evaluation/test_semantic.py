"""Semantic segmentation against plain loops, scikit-learn, OpenCV's erosion, and torchmetrics where it is installed."""

import cv2
import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import semantic
from tests.reference import figures as slow


def maps(seed, height=12, width=15, classes=4, ignored=0.1):
    rng = np.random.default_rng(seed)
    label = np.kron(rng.integers(0, classes, (height // 3, width // 3)), np.ones((3, 3), dtype=np.int64))
    prediction = np.where(rng.random(label.shape) < 0.2, rng.integers(0, classes, label.shape), label)
    label = np.where(rng.random(label.shape) < ignored, 255, label)
    prediction[0, 0] = 255
    label[0, 0] = 1
    return torch.from_numpy(label.astype(np.uint8)), torch.from_numpy(prediction.astype(np.uint8))


def test_counts_equal_plain_loops(monkeypatch):
    for seed in range(5):
        label, prediction = maps(seed)
        want = slow.pixel_counts(label.numpy(), prediction.numpy(), 4)
        assert semantic.pixel_counts(label, prediction, 4).tolist() == want.tolist()
        with monkeypatch.context() as patch:
            patch.setattr(semantic, "_BLOCK", 7)
            assert semantic.pixel_counts(label.long(), prediction, 4).tolist() == want.tolist()


def test_scores_of_a_set_equal_scikit_learn():
    pairs = [maps(seed) for seed in range(4)]
    counts = sum(semantic.pixel_counts(a, b, 6) for a, b in pairs)  # classes 4 and 5 are nowhere
    label = np.concatenate([a.numpy().ravel() for a, _ in pairs])
    guess = np.concatenate([b.numpy().ravel() for _, b in pairs])[label != 255]
    label = label[label != 255]
    pixels = semantic.tallies(counts)
    iou = sk.jaccard_score(label, guess, average=None, labels=range(4))
    np.testing.assert_allclose(pixels.iou()[:4], iou)
    np.testing.assert_allclose(pixels.dice()[:4], sk.f1_score(label, guess, average=None, labels=range(4)))
    np.testing.assert_allclose(pixels.recall()[:4], sk.recall_score(label, guess, average=None, labels=range(4)))
    np.testing.assert_allclose(pixels.precision()[:4], sk.precision_score(label, guess, average=None, labels=range(4)))
    for part in (pixels.iou(), pixels.dice(), pixels.recall(), pixels.precision()):
        assert part[4:].isnan().all()
    got = semantic.semantic_scores(pixels)
    assert got.mean_iou.item() == pytest.approx(iou.mean())
    assert got.pixel_accuracy.item() == pytest.approx((label == guess).mean())
    assert got.mean_accuracy.item() == pytest.approx(sk.recall_score(label, guess, average="macro", labels=range(4)))
    assert got.mean_dice.item() == pytest.approx(pixels.dice()[:4].mean().item())
    share = np.bincount(label, minlength=4) / len(label)
    assert got.frequency_weighted_iou.item() == pytest.approx((share * iou).sum())


def test_a_class_on_one_side_alone_counts():
    label, prediction = torch.tensor([[0, 0, 1]]), torch.tensor([[0, 2, 2]])
    pixels = semantic.tallies(semantic.pixel_counts(label, prediction, 4))
    assert pixels.iou()[:3].tolist() == [0.5, 0, 0]
    assert pixels.iou()[3].isnan()
    assert semantic.semantic_scores(pixels).mean_iou.item() == 0.5 / 3
    assert semantic.semantic_scores(pixels).mean_accuracy.item() == 0.25


def test_weights_equal_repeated_frames():
    frames = torch.stack([semantic.pixel_counts(*maps(seed), 4) for seed in range(3)])
    weight = torch.tensor([[2, 0, 1], [1, 1, 1], [0, 0, 0]])
    got = semantic.semantic_scores(semantic.tallies(torch.einsum("rn,nab->rab", weight, frames)))
    assert got.mean_iou[0] == semantic.semantic_scores(semantic.tallies(2 * frames[0] + frames[2])).mean_iou
    assert got.mean_iou[1] == semantic.semantic_scores(semantic.tallies(frames.sum(0))).mean_iou
    assert got.mean_iou[2].isnan()
    assert got.pixel_accuracy[2].isnan()


def test_all_ignored_and_empty_maps():
    ignored = torch.full((3, 3), 255, dtype=torch.uint8)
    assert semantic.pixel_counts(ignored, torch.zeros_like(ignored), 2).sum() == 0
    empty = torch.zeros((0, 5), dtype=torch.uint8)
    assert semantic.pixel_counts(empty, empty, 2).sum() == 0
    assert semantic.pixel_counts(torch.tensor([[-1, 0]]), torch.tensor([[0, 0]]), 1, ignore_index=-1).tolist() == [[1, 0]]


def test_wrong_maps_are_named():
    label = torch.zeros((2, 3), dtype=torch.int64)
    with pytest.raises(UsageError, match="label map is 3 x 2 pixels and the prediction 2 x 3"):
        semantic.pixel_counts(label, label.T, 2)
    with pytest.raises(UsageError, match=r"prediction map holds 7, which is neither a class \(0 to 1\) nor ignored"):
        semantic.pixel_counts(label, label + 7, 2)
    with pytest.raises(UsageError, match="label map holds -3"):
        semantic.pixel_counts(label - 3, label, 2)
    with pytest.raises(UsageError, match="prediction map holds 7"):
        semantic.boundary_tallies(label, label + 7, 2)


@pytest.mark.parametrize("reach", [1, 2, 5, 40])
@pytest.mark.parametrize("size", [(12, 15), (1, 1), (1, 9), (9, 1), (30, 24)])
def test_bands_equal_plain_loops(size, reach):
    rng = np.random.default_rng(reach)
    values = np.kron(rng.integers(0, 3, size), np.ones((4, 4), dtype=np.int64))[: size[0], : size[1]]
    assert semantic.band(torch.from_numpy(values), reach).tolist() == slow.band(values, reach).tolist()


def boundary_of(mask, reach):
    """The band inside a mask, by erosion of the mask with an empty border around the frame."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=reach)
    return mask & (eroded[1:-1, 1:-1] == 0)


def test_boundary_iou_equals_erosion_of_every_class():
    label, prediction = maps(3, 60, 81, ignored=0.001)
    got = semantic.boundary_tallies(label, prediction, 4, width=0.03)  # 3 % of 100.8 px: 3 px
    valid = label.numpy() != 255
    for k in range(4):
        a, b = (boundary_of(side.numpy() == k, 3) & valid for side in (label, prediction))
        assert got.hit[k] == (a & b).sum()
        assert got.labeled[k] == a.sum()
        assert got.predicted[k] == b.sum()
        assert got.iou()[k].item() == pytest.approx((a & b).sum() / (a | b).sum())
    assert torch.equal(semantic.boundary_tallies(label, label, 4).iou(), torch.ones(4, dtype=torch.float64))


def test_torchmetrics_agrees():
    tm = pytest.importorskip("torchmetrics.functional.classification")
    label, prediction = maps(1)
    prediction[0, 0] = 0
    pixels = semantic.tallies(semantic.pixel_counts(label, prediction, 4))
    peer = tm.multiclass_jaccard_index(prediction.long(), label.long(), 4, average=None, ignore_index=255)
    torch.testing.assert_close(pixels.iou(), peer.double(), rtol=1e-6, atol=1e-6)
