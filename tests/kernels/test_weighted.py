"""The fast kernel of weighted figures against its definition: every frame repeated, everything accumulated anew."""

import numpy as np
import pytest
import torch

from gpu_quality.evaluation.protocol import COCO_RECALLS
from gpu_quality.kernels import weighted
from gpu_quality.kernels.precision import Ranked
from gpu_quality.kernels.weighted import Figure, Stored, cpu, figures, reference

CLASSES, FRAMES, AREAS, THRESHOLDS = 4, 12, 2, 65
MOST = (1, 3, 100)


def stored(seed: int, predictions: int = 400, scores: int = 6) -> Stored:
    """Verdicts at random that keep the rules: no label is found twice, ignored matches are hidden; many equal scores."""
    rng = np.random.default_rng(seed)
    cell = np.sort(rng.integers(0, CLASSES * FRAMES, predictions))
    score = rng.integers(0, scores, predictions) / scores
    order = np.lexsort((-score, cell))
    cell, score = cell[order], score[order]
    rank = np.arange(predictions) - np.searchsorted(cell, cell)
    offset = torch.from_numpy(np.searchsorted(cell // FRAMES, np.arange(CLASSES + 1)))
    outside = torch.from_numpy(rng.random((AREAS, predictions)) < 0.2)
    parts = []
    for bits in (62, THRESHOLDS - 62):
        matched = rng.integers(0, 1 << bits, (AREAS, predictions)) & -(rng.random(predictions) < 0.6).astype(np.int64)
        hidden = matched & np.where(rng.random((AREAS, predictions)) < 0.1, rng.integers(0, 1 << bits, (AREAS, predictions)), 0)
        sides = (torch.from_numpy(rank), torch.from_numpy(score), torch.from_numpy(matched), torch.from_numpy(hidden), outside)
        parts.append(Ranked(offset, *sides))
    # as many labels as there are predictions in every cell, so that recall stays below 1; class 3 has none at all
    label = cell[cell < (CLASSES - 1) * FRAMES]
    frames = torch.from_numpy(label % FRAMES), torch.from_numpy(label // FRAMES)
    ignored = torch.zeros(AREAS, len(label), dtype=torch.bool)
    return Stored(tuple(parts), THRESHOLDS, torch.from_numpy(cell % FRAMES), *frames, ignored)


EVERY = tuple(range(THRESHOLDS))
ASKED = tuple(
    Figure(recall, thresholds, area, limit, class_row)
    for recall in (False, True)
    for thresholds in (EVERY, (0,), (3, 63), ())
    for area in range(AREAS)
    for limit in ((0, 1, 2) if recall else (2,))
    for class_row in (-1, 0, 3)
)
RECALLS = torch.tensor(COCO_RECALLS, dtype=torch.float64)


def weights(seed: int, rows: int = 5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 4, (rows, FRAMES)) * (rng.random((rows, FRAMES)) < 0.7)).int()


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("scores", [3, 1000])
def test_the_kernel_is_its_definition_bit_by_bit(scores: int, zero: bool) -> None:
    given, weight = stored(scores, scores=scores), weights(scores)
    found = weighted.means(given, ASKED, RECALLS, MOST, zero=zero)(weight)
    expected = reference.means(given, ASKED, RECALLS, MOST, zero=zero)(weight)
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found.nan_to_num(), expected.nan_to_num())
    assert found.isnan().any()
    assert found.nan_to_num().gt(0).any()


def test_many_records_take_the_other_way() -> None:
    given, most = stored(5, predictions=9000, scores=8000), (1, 3, 1000)
    assert np.diff(figures.plan(given, most)[0].run_first, axis=1).max() > cpu.MANY
    weight, asked = weights(5, rows=2), ASKED[:6]
    found = weighted.means(given, asked, RECALLS, most)(weight)
    assert torch.equal(found.nan_to_num(), reference.means(given, asked, RECALLS, most)(weight).nan_to_num())


def test_memory_of_tables_is_bounded_whatever_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    given, weight = stored(7), weights(7, rows=9)
    expected = weighted.means(given, ASKED, RECALLS, MOST)(weight)
    monkeypatch.setattr(figures, "BUDGET", 3 * 8 * THRESHOLDS * 101 * CLASSES)
    assert torch.equal(weighted.means(given, ASKED, RECALLS, MOST)(weight).nan_to_num(), expected.nan_to_num())


def test_no_frames_drawn_leaves_everything_undefined() -> None:
    found = weighted.means(stored(9), ASKED, RECALLS, MOST)(torch.zeros((1, FRAMES), dtype=torch.int32))
    assert found.isnan().all()
    assert weighted.means(stored(9), ASKED, RECALLS, MOST)(torch.zeros((0, FRAMES), dtype=torch.int32)).shape == (0, len(ASKED))


def test_sums_of_groups() -> None:
    rng = np.random.default_rng(0)
    frame, first = torch.from_numpy(rng.integers(0, FRAMES, 40)), torch.tensor([0, 7, 7, 30, 40])
    for rows in (1, 300):
        weight = weights(1, rows)
        assert torch.equal(weighted.sums(frame, first, weight), reference.sums(frame, first, weight))
