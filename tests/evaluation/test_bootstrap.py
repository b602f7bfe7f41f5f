"""Resampled figures are those of sets with repeated images, bit for bit; two sets of predictions are compared fairly."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import coco_table, curves, intervals
from gpu_quality.evaluation.bootstrap import AVERAGED, COUNTED, Columns, Key, columns, counted, evaluated, of_matches
from gpu_quality.evaluation.coco import CocoFigures, evaluate
from gpu_quality.evaluation.coco_files import read_coco
from gpu_quality.evaluation.instances import Instances, instances
from gpu_quality.evaluation.matching import match
from gpu_quality.evaluation.protocol import COCO, COCO_KEYPOINTS, TIDE, VOC12, AreaRange, EvaluationProtocol
from gpu_quality.evaluation.resampling import resample, sequence_units
from gpu_quality.evaluation.set_comparison import compare_sets
from gpu_quality.functional import inference
from tests.evaluation.coco_sets import made

CLASSES, FRAMES = 3, 8
WEIGHTS = st.lists(st.integers(0, 4), min_size=FRAMES, max_size=FRAMES)


def tied(seed: int) -> tuple[Instances, Instances]:
    """Eight frames with ties of all kinds: also within a frame, a class and a score."""
    labels, results = made(seed, images=FRAMES, classes=CLASSES, labels=6, predictions=12)
    sets = read_coco(labels, results)
    return sets.labels, sets.predictions


def repeated(given: Instances, weight: list[int]) -> Instances:
    """Every frame in a row as often as its weight says, with all its rows in their order."""
    rows, frames, first = [], [], 0
    for frame, times in enumerate(weight):
        own = (given.frame == frame).nonzero().flatten()
        for _ in range(times):
            rows.append(own)
            frames.append(torch.full_like(own, first))
            first += 1
    chosen = torch.cat([torch.zeros(0, dtype=torch.int64), *rows])
    return replace(given.select(chosen), frame=torch.cat([chosen[:0], *frames]))


def shown(figures: CocoFigures) -> list[float]:
    """All lines of all classes, -1 as NaN."""
    rows = [None, *range(len(figures.positives))]
    found = [coco_table.value(figures, line, row) for row in rows for line in coco_table.lines(figures)]
    return [math.nan if number == -1 else number for number in found]


def assert_bits(found: torch.Tensor, expected: list[float]) -> None:
    assert torch.equal(found.isnan(), torch.tensor(expected).isnan())
    assert found.nan_to_num(nan=9.0).tolist() == [9.0 if math.isnan(number) else number for number in expected]


PROTOCOLS = st.sampled_from(
    [
        COCO,
        replace(COCO, empty_class="zero"),
        replace(COCO, thresholds=(0.0, 0.5, 1.0), max_detections=(2, 5), areas=(AreaRange("any", 0.0, 1e10),)),
        replace(COCO, use_classes=False),
        replace(COCO, thresholds=tuple(i / 70 for i in range(70)), max_detections=(3,)),
        replace(TIDE, thresholds=(0.5, 0.75)),
    ]
)


@given(st.integers(0, 10**9), WEIGHTS, PROTOCOLS)
@settings(max_examples=60, deadline=None)
def test_weights_are_repeated_images_bit_by_bit(seed: int, weight: list[int], protocol: EvaluationProtocol) -> None:
    labels, predictions = tied(seed)
    done = evaluated(labels, predictions, protocol, frames=FRAMES, classes=CLASSES)
    found = columns(done, per_class=True)
    expected = evaluate(repeated(labels, weight), repeated(predictions, weight), protocol, classes=CLASSES)
    assert_bits(found.function(torch.tensor([weight], dtype=torch.int32))[0], shown(expected))


def test_many_resamples_at_once_are_each_alone() -> None:
    labels, predictions = tied(3)
    found = columns(evaluated(labels, predictions, frames=FRAMES, classes=CLASSES), per_class=True)
    weights = resample(FRAMES, 0, 70)
    together = found.function(weights)
    for row in (0, 31, 32, 69):
        assert_bits(together[row], found.function(weights[row : row + 1])[0].tolist())
        expected = evaluate(*(repeated(side, weights[row].tolist()) for side in (labels, predictions)), classes=CLASSES)
        assert_bits(together[row], shown(expected))


def test_a_large_weight_is_a_long_row_of_copies() -> None:
    labels, predictions = tied(11)
    weight = [0, 300, 1, 0, 0, 41, 2, 0]
    found = columns(evaluated(labels, predictions, frames=FRAMES, classes=CLASSES), per_class=True)
    expected = evaluate(repeated(labels, weight), repeated(predictions, weight), classes=CLASSES)
    assert_bits(found.function(torch.tensor([weight], dtype=torch.int32))[0], shown(expected))


def test_slices_and_classes_have_names() -> None:
    labels, predictions = tied(5)
    small = {"all": (labels.area < 0, predictions.area < 0), "low": (labels.box[:, 1] > 30, predictions.box[:, 1] > 30)}
    done = evaluated(labels, predictions, frames=FRAMES, classes=CLASSES, slices=small)
    found = columns(done, per_class=True)
    assert found.keys[:4] == (Key("AP"), Key("AP50"), Key("AP75"), Key("AP_low"))
    assert found.keys[-1] == Key("AR_low", CLASSES - 1)
    assert_bits(found.function(torch.ones((1, FRAMES), dtype=torch.int32))[0], shown(done.figures))


def test_stored_matches_are_enough_and_empty_sides_are_fine() -> None:
    labels, predictions = tied(8)
    stored = of_matches(match(labels, predictions, COCO), predictions.score, frames=FRAMES, classes=CLASSES)
    ones = torch.ones((2, FRAMES), dtype=torch.int32)
    assert_bits(columns(stored).function(ones)[1], shown(stored.figures)[:12])
    for pair in ((labels.select(labels.frame[:0]), predictions), (labels, predictions.select(labels.frame[:0]))):
        done = evaluated(*pair, frames=FRAMES, classes=CLASSES)
        assert_bits(columns(done, per_class=True).function(ones)[0], shown(done.figures))


def test_keypoint_rules_have_ten_figures() -> None:
    labels, predictions = tied(4)
    done = evaluated(labels, predictions, COCO_KEYPOINTS, frames=FRAMES, classes=CLASSES)
    assert_bits(columns(done).function(torch.ones((1, FRAMES), dtype=torch.int32))[0], coco_table.stats(done.figures))


@given(st.integers(0, 10**9), WEIGHTS, st.sampled_from([0.0, 0.4, 0.8]), st.sampled_from([0.5, 0.75]))
@settings(max_examples=25, deadline=None)
def test_counts_are_those_of_repeated_images(seed: int, weight: list[int], confidence: float, iou: float) -> None:
    labels, predictions = tied(seed)
    done = evaluated(labels, predictions, frames=FRAMES, classes=CLASSES)
    found = counted(done, confidence=confidence, iou=iou, area="medium")
    row = found.function(torch.tensor([weight], dtype=torch.int32))[0]
    figures = evaluate(repeated(labels, weight), repeated(predictions, weight), classes=CLASSES)
    expected = curves.counts(figures, (confidence,), area="medium")
    place = next(i for i, t in enumerate(COCO.thresholds) if abs(t - iou) < 1e-9)
    each = [[int(side[k, place, 0]) for side in (expected.tp, expected.fp, expected.fn)] for k in range(CLASSES)]
    for k, numbers in enumerate(each):
        start = found.keys.index(Key("TP", k))
        assert row[start : start + 3].tolist() == numbers
    assert row[:3].tolist() == [sum(side) for side in zip(*each, strict=True)]
    tp, fp, fn = row[:3].tolist()
    assert row[5].item() == pytest.approx(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else math.nan, nan_ok=True)
    f1 = row[[found.keys.index(Key("F1", k)) for k in range(CLASSES)]]
    assert row[found.keys.index(Key("F1_macro"))].item() == pytest.approx(f1.nanmean().item(), nan_ok=True)
    assert [key.name for key in found.keys[: len(COUNTED + AVERAGED)]] == list(COUNTED + AVERAGED)


def many(noise: float, seed: int, frames: int = 60) -> tuple[Instances, Instances]:
    """Two classes of labels, and predictions that are off by a share of their size."""
    generator = torch.Generator().manual_seed(0)
    box = torch.rand(frames * 4, 4, generator=generator, dtype=torch.float64) * 60 + 20
    frame, kind = torch.arange(frames).repeat_interleave(4), torch.arange(4 * frames) % 2
    generator.manual_seed(seed)
    moved = box + torch.randn(box.shape, generator=generator, dtype=torch.float64) * box * noise
    score = torch.rand(len(box), generator=generator, dtype=torch.float64)
    return instances(frame, kind, box), instances(frame, kind, moved, score=score)


def test_intervals_hold_the_figure_and_sequences_widen_them() -> None:
    labels, predictions = many(0.1, 1)
    found = columns(evaluated(labels, predictions, frames=60))
    alone = intervals.interval(found.function, 60, resamples=200)
    assert ((alone.low <= alone.value) & (alone.value <= alone.high))[:3].all()
    unit, units = sequence_units(torch.arange(60) // 5)
    groups = intervals.interval(found.by_unit(unit).function, units, resamples=50, unit="sequences")
    assert groups.value[:3].tolist() == alone.value[:3].tolist()
    assert groups.low[0] < groups.high[0]


def test_the_better_of_two_sets_is_found_and_equal_ones_are_equal() -> None:
    labels, good = many(0.05, 1)
    _, bad = many(0.2, 2)
    told = compare_sets(labels, good, bad, frames=60, confidence=0.5, resamples=200)
    place = told.keys.index(Key("AP"))
    assert told.first[place] - told.second[place] == told.difference.value[place]
    assert told.difference.low[place] > 0
    assert told.p[place] == pytest.approx(2 / 201)
    assert told.p_adjusted[place] == told.p[place]
    rows = [told.keys.index(Key("AP", k)) for k in range(2)]
    assert torch.equal(told.p_adjusted[rows], inference.benjamini_hochberg(told.p[rows]))
    assert Key("F1", 1) in told.keys
    same = compare_sets(labels, good, good, frames=60, resamples=20, per_class=False)
    assert same.p[:3].tolist() == [1, 1, 1]
    assert same.difference.high[:3].tolist() == [0, 0, 0]


def test_sequences_are_drawn_as_a_whole() -> None:
    labels, good = many(0.05, 1)
    unit, _ = sequence_units(torch.arange(60) // 12)
    told = compare_sets(labels, good, many(0.2, 2)[1], frames=60, unit=unit, resamples=20)
    assert told.difference.message[0] == "interval not computed: 5 sequences, 10 needed"


def test_what_cannot_be_resampled_is_refused() -> None:
    labels, predictions = tied(1)
    with pytest.raises(UsageError, match="no COCO figures"):
        evaluated(labels, predictions, VOC12, frames=FRAMES)
    with pytest.raises(UsageError, match="2 frames, but a row of frame"):
        evaluated(labels, predictions, frames=2)
    done = evaluated(labels, predictions, frames=FRAMES)
    with pytest.raises(UsageError, match=r"threshold 0\.33 was not evaluated"):
        counted(done, confidence=0.5, iou=0.33)
    with pytest.raises(UsageError, match="size range 'tiny'"):
        counted(done, confidence=0.5, area="tiny")


def test_columns_stand_beside_each_other() -> None:
    one = Columns((Key("a"),), lambda weights: weights[:, :1].double())
    both = one.beside(one.by_unit(torch.tensor([1, 0])))
    assert both.keys == (Key("a"), Key("a"))
    assert both.function(torch.tensor([[3, 5]], dtype=torch.int32)).tolist() == [[3.0, 5.0]]
