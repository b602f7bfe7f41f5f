"""Keypoint similarity: the bits of pycocotools, plain loops, and labels that show nothing."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import overlaps

from gpu_quality.errors import UsageError
from gpu_quality.functional.keypoints import COCO_SIGMAS, checked_sigmas, oks


def peer(predicted: Any, labeled: Any, area: Any, box: Any, sigmas: Any = None) -> Any:
    """The table of COCOeval, predictions x labels."""
    from pycocotools.cocoeval import COCOeval

    task = COCOeval(iouType="keypoints")
    if sigmas is not None:
        task.params.kpt_oks_sigmas = np.array(sigmas)
    task.params.maxDets = [len(predicted)]
    task._gts[0, 0] = [
        {"keypoints": points.reshape(-1).tolist(), "bbox": own, "area": size}
        for points, own, size in zip(labeled.numpy(), box.tolist(), area.tolist(), strict=True)
    ]
    task._dts[0, 0] = [{"keypoints": points.reshape(-1).tolist(), "score": 1} for points in predicted.numpy()]
    return task.computeOks(0, 0)


def made(seed: int, p: int, q: int, k: int = 17) -> tuple[torch.Tensor, ...]:
    """Predictions near labels; labels with from none to all keypoints visible."""
    rng = np.random.default_rng(seed)
    labeled = np.concatenate([rng.uniform(0, 200, (q, k, 2)), rng.integers(0, 3, (q, k, 1))], 2)
    labeled[:, :, 2] *= rng.random((q, k)) < rng.random((q, 1)) * 1.5
    predicted = np.concatenate([labeled[rng.integers(0, q, p), :, :2] + rng.normal(0, 8, (p, k, 2)), np.ones((p, k, 1))], 2)
    box = np.concatenate([rng.uniform(0, 150, (q, 2)), rng.uniform(1, 60, (q, 2))], 1)
    area = np.where(rng.random(q) < 0.1, 0.0, rng.uniform(1, 9000, q))
    return tuple(map(torch.from_numpy, (predicted, labeled, area, box)))


def all_pairs(p: int, q: int) -> torch.Tensor:
    return torch.from_numpy(np.indices((p, q)).reshape(2, -1))


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_bits_are_those_of_pycocotools(seed: int, p: int, q: int) -> None:
    data = made(seed, p, q)
    assert oks(*data, all_pairs(p, q)).reshape(p, q).tolist() == peer(*data).tolist()


@pytest.mark.parametrize("k", [1, 2, 7, 8, 9, 21, 133])
def test_own_sigmas_of_any_number(k: int) -> None:
    data = made(k, 3, 4, k)
    sigmas = np.random.default_rng(k).uniform(0.02, 0.2, k)
    found = oks(*data, all_pairs(3, 4), torch.from_numpy(sigmas)).reshape(3, 4).numpy()
    assert found.tolist() == peer(*data, sigmas).tolist()
    predicted, labeled, area, box = (part.tolist() for part in data)
    for i in range(3):
        for j in range(4):
            assert found[i, j] == pytest.approx(overlaps.oks(predicted[i], labeled[j], area[j], box[j], sigmas), abs=1e-12)


def test_one_visible_nose_five_pixels_off() -> None:
    labeled = torch.zeros(1, 17, 3, dtype=torch.float64)
    labeled[0, 0, 2] = 2
    predicted = torch.full((1, 17, 3), 500.0, dtype=torch.float64)
    predicted[0, 0, :2] = torch.tensor([3.0, 4.0])
    found = oks(predicted, labeled, torch.tensor([10_000.0]).double(), torch.zeros(1, 4).double(), all_pairs(1, 1))
    assert found.item() == pytest.approx(0.629847, abs=5e-7)


def test_without_visible_keypoints_the_extended_box_tells() -> None:
    labeled = torch.zeros(1, 17, 3, dtype=torch.float64)
    box = torch.tensor([[100.0, 100.0, 10.0, 20.0]], dtype=torch.float64)
    area = torch.tensor([200.0], dtype=torch.float64)
    inside = torch.zeros(2, 17, 3, dtype=torch.float64) + 119.9
    inside[1, :, 0] = 121.0
    found = oks(inside, labeled, area, box, all_pairs(2, 1))
    assert found[0] == 1
    assert found[1] == pytest.approx(np.exp(-1 / (2 * (2 * np.array(COCO_SIGMAS)) ** 2 * 200)).mean(), abs=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    data = made(0, 1, 1, 5)
    with pytest.raises(UsageError, match="objects have 5 keypoints, COCO has 17 sigmas"):
        oks(*data, all_pairs(1, 1))
    with pytest.raises(UsageError, match="predictions have 5 keypoints, labels 4"):
        oks(data[0], data[1][:, :4], *data[2:], all_pairs(1, 1))
    with pytest.raises(UsageError, match="positive and finite"):
        checked_sigmas(torch.tensor([0.1, -1.0]).double(), 2)
    with pytest.raises(UsageError, match="0 keypoints"):
        checked_sigmas(torch.zeros(0).double(), 0)
