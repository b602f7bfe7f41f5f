"""Protocols on small cases worked by hand: who matches whom, what is ignored, what is dropped, and wrong input."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.evaluation.instances import Instances, Polygons, Rotated, instances, problems
from gpu_quality.evaluation.matching import Matches, match
from gpu_quality.evaluation.protocol import (
    COCO,
    CONFUSION,
    ENCORD,
    FIFTYONE,
    LABELBOX,
    OPENIMAGES,
    PROTOCOLS,
    TIDE,
    VOC12,
    AreaRange,
    EvaluationProtocol,
    protocol_named,
)
from gpu_quality.evaluation.segments import segment

A, B = [0.0, 0.0, 10.0, 10.0], [0.0, 3.0, 10.0, 10.0]
VOC = replace(VOC12, inclusive=False)
ONE = replace(COCO, thresholds=(0.5,), areas=())


def given(*rows: tuple[int, int, list[float]], **flags: list[Any]) -> Instances:
    """Frame, class, box; scores, crowd and ignored by name."""
    frame, class_id, box = zip(*rows, strict=True) if rows else ((), (), ())
    kinds = {"score": torch.float64, "crowd": torch.bool, "ignored": torch.bool, "area": torch.float64}
    return instances(
        torch.tensor(frame, dtype=torch.int64),
        torch.tensor(class_id, dtype=torch.int64),
        torch.tensor(box, dtype=torch.float64).reshape(-1, 4),
        **{name: torch.tensor(values, dtype=kinds[name]) for name, values in flags.items()},
    )


def labels_of(matches: Matches, predictions: int, t: int = 0) -> list[int | str]:
    """Per row of the predictions: the row of its label, -1 = none, "ignored", "cut"."""
    out: list[int | str] = ["cut"] * predictions
    for place, row in enumerate(matches.segments.prediction.tolist()):
        out[row] = "ignored" if matches.prediction_ignored[0, t, place] else int(matches.label_of[0, t, place])
    return out


def found(labels: Instances, predictions: Instances, protocol: EvaluationProtocol, **options: Any) -> list[int | str]:
    return labels_of(match(labels, predictions, protocol, **options), len(predictions))


@pytest.mark.parametrize(("protocol", "expected"), [(ONE, [0, 1]), (VOC, [0, -1]), (ENCORD, [0, -1]), (TIDE, [0, 1])])
def test_second_choice(protocol: EvaluationProtocol, expected: list[int]) -> None:
    predictions = given((0, 0, A), (0, 0, [0.0, 1.0, 10.0, 10.0]), score=[0.9, 0.8])
    assert found(given((0, 0, A), (0, 0, B)), predictions, protocol) == expected


@pytest.mark.parametrize(("protocol", "expected"), [(ONE, 1), (VOC, 0), (TIDE, 0), (FIFTYONE, 1), (LABELBOX, 0)])
def test_which_of_two_equal_labels(protocol: EvaluationProtocol, expected: int) -> None:
    assert found(given((0, 0, A), (0, 0, A)), given((0, 0, A), score=[0.9]), protocol) == [expected]


def test_stealing() -> None:
    labels = given((0, 0, [0.0, 0.0, 100.0, 100.0]))
    predictions = given((0, 0, [0.0, 0.0, 100.0, 92.0]), (0, 1, [0.0, 0.0, 100.0, 98.0]), score=[0.9, 0.4])
    assert found(labels, predictions, LABELBOX) == [-1, 0]
    assert found(labels, predictions, CONFUSION) == [0, -1]
    assert found(labels, predictions, replace(LABELBOX, classes="same")) == [0, -1]


def test_a_class_pair_is_matched_across_classes_only_after_all_of_one_class() -> None:
    labels = given((0, 0, A), (0, 1, B))
    predictions = given((0, 1, A), (0, 0, B), score=[0.9, 0.9])
    assert found(labels, predictions, CONFUSION) == [1, 0]  # overlap 7/13 with the own class
    assert found(labels, predictions, replace(CONFUSION, thresholds=(0.9,))) == [0, 1]


@pytest.mark.parametrize(("compare", "edge", "zero", "one"), [("ge", 0, 0, 0), ("gt", -1, -1, -1)])
def test_edges_of_the_threshold(compare: Any, edge: int, zero: int, one: int) -> None:
    labels = given((0, 0, A))
    half, apart, same = (given((0, 0, box), score=[0.9]) for box in ([0.0, 0.0, 10.0, 5.0], [50.0, 0.0, 5.0, 5.0], A))
    for rules in (LABELBOX, VOC):
        own = replace(rules, compare=compare, rows="all")
        assert found(labels, half, own) == [edge]
        assert found(labels, apart, replace(own, thresholds=(0.0,))) == [zero]
        assert found(labels, same, replace(own, thresholds=(1.0,))) == [one]
    assert found(labels, apart, replace(ENCORD, thresholds=(0.0,))) == [-1]
    assert found(labels, same, replace(ONE, thresholds=(1.0,))) == [0]


def test_crowds_absorb_and_never_steal() -> None:
    labels = given((0, 0, [0.0, 0.0, 100.0, 100.0]), (0, 0, A), crowd=[True, False])
    predictions = given(*[(0, 0, A)] * 3, (0, 0, [200.0, 0.0, 5.0, 5.0]), score=[0.9, 0.8, 0.7, 0.6])
    assert found(labels, predictions, ONE) == [1, "ignored", "ignored", -1]
    assert found(labels, predictions, TIDE) == [1, "ignored", "ignored", -1]
    assert found(labels, predictions, CONFUSION) == [1, "ignored", "ignored", -1]
    half = given((0, 0, [-5.0, 0.0, 10.0, 10.0]), score=[0.9])  # half of it inside: TIDE wants more than half
    assert found(labels.select(torch.tensor([0])), half, ONE) == ["ignored"]
    assert found(labels.select(torch.tensor([0])), half, TIDE) == [-1]


def test_difficult_labels_are_ignored() -> None:
    labels = given((0, 0, A), (0, 0, [0.0, 0.0, 10.0, 8.0]), ignored=[True, False])
    predictions = given((0, 0, A), (0, 0, A), (0, 0, [0.0, 0.0, 10.0, 8.0]), score=[0.9, 0.8, 0.7])
    matches = match(labels, predictions, VOC)
    assert labels_of(matches, 3) == ["ignored", "ignored", 1]
    assert matches.label_ignored.tolist() == [[True, False]]


def test_groups() -> None:
    labels = given((0, 0, [0.0, 0.0, 100.0, 100.0]), (0, 0, A), ignored=[True, False])
    predictions = given((0, 0, A), (0, 0, B), (0, 0, A), score=[0.9, 0.8, 0.7])
    assert found(labels, predictions, OPENIMAGES) == [1, 0, "ignored"]
    weightless = match(labels, predictions, replace(OPENIMAGES, group_of_weight=0))
    assert labels_of(weightless, 3) == [1, "ignored", "ignored"]
    assert weightless.label_ignored.tolist() == [[True, False]]
    assert match(labels, predictions, OPENIMAGES).label_ignored.tolist() == [[False, False]]


def test_pixels_that_boxes_name_last() -> None:
    labels, predictions = given((0, 0, [0.0, 0.0, 1.0, 1.0])), given((0, 0, [0.0, 0.0, 1.0, 0.0]), score=[0.9])
    assert found(labels, predictions, VOC) == [-1]  # no area at all
    assert found(labels, predictions, VOC12) == [0]  # 2 of 4 pixels


def test_rows_with_both_sides() -> None:
    labels = given((0, 0, A), (1, 0, A), (2, 0, A))
    predictions = given((0, 0, A), (3, 0, A), (2, 0, A), score=[0.9, 0.9, 0.1])
    matches = match(labels, predictions, LABELBOX, confidence=0.5)
    assert matches.dropped == (2, 1, 1)
    assert sorted(matches.segments.label.tolist()) == [0, 2]  # frame 2 has a prediction before the cut
    assert matches.segments.prediction.tolist() == [0]
    everything = match(labels, predictions, replace(LABELBOX, rows="all"))
    assert everything.dropped == (0, 0, 0)
    assert len(everything.segments.label) == 3


def test_what_no_score_means() -> None:
    labels = given((0, 0, A))
    predictions = given((0, 0, A), (0, 0, A), (0, 0, A), score=[0.5, torch.nan, 0.0])
    with pytest.raises(UsageError, match=r"prediction 1 has no score \(1 of 3\); protocol coco needs one"):
        match(labels, predictions, COCO)
    assert found(labels, predictions, replace(ENCORD, thresholds=(0.5,))) == [-1, 0, -1]
    assert found(labels, predictions, replace(ONE, missing_score=0.0)) == [0, -1, -1]
    order = match(labels, predictions, FIFTYONE).segments.prediction.tolist()
    assert order == [0, 1, 2]  # missing and 0 are both -1


def test_scores_beyond_the_cut() -> None:
    rows = [(f, c, A) for f in (0, 1) for c in (0, 1, 0)]
    predictions = given(*rows, score=[0.1, 0.9, 0.5, 0.3, 0.2, 0.3])
    per_class = segment(given(), predictions, max_detections=1)
    assert sorted(per_class.prediction.tolist()) == [1, 2, 3, 4]
    per_frame = segment(given(), predictions, max_per_frame=2)
    assert sorted(per_frame.prediction.tolist()) == [1, 2, 3, 5]
    assert per_frame.owner_of_predictions().tolist() == [0, 1, 1, 2]


def test_slices_take_the_place_of_sizes() -> None:
    labels, predictions = given((0, 0, A), (1, 0, A)), given((0, 0, A), (1, 0, A), (1, 0, B), score=[0.9, 0.8, 0.7])
    slices = {"night": (torch.tensor([False, True]), torch.tensor([False, False, True]))}
    matches = match(labels, predictions, replace(COCO, thresholds=(0.5,)), slices=slices)
    assert matches.areas == ("night",)
    assert labels_of(matches, 3) == [0, "ignored", "ignored"]


def test_both_ends_of_a_size_belong_to_it() -> None:
    labels = given((0, 0, A), (0, 0, B), area=[1024.0, 9216.0])
    matches = match(labels, given((0, 0, A), score=[0.9]), COCO)
    assert matches.areas == ("all", "small", "medium", "large")
    assert (~matches.label_ignored).tolist() == [[True, True], [True, False], [True, True], [False, True]]


def test_other_shapes_go_the_same_way() -> None:
    turned = torch.tensor([[5.0, 5.0, 10.0, 10.0, 0.0]], dtype=torch.float64)
    labels, predictions = given((0, 0, A)), given((0, 0, A), score=[0.9])
    other = torch.tensor([[5.0, 5.0, 10.0, 10.0, torch.pi / 4]], dtype=torch.float64)
    labels, predictions = replace(labels, shapes=Rotated(turned)), replace(predictions, shapes=Rotated(other))
    matches = match(labels, predictions, ONE, kind="oriented")
    assert matches.segments.overlap.item() == pytest.approx(0.7071068, abs=1e-7)


def test_nothing_at_all() -> None:
    for protocol in PROTOCOLS.values():
        matches = match(given(), given(), protocol)
        assert matches.label_of.shape[1:] == (len(protocol.thresholds), 0)


def test_rows_that_are_refused() -> None:
    nan = torch.nan
    with pytest.raises(UsageError, match=r"row 1: non_finite_geometry: box \[0.0, nan, 1.0, 1.0\] \(2 such rows\)"):
        given((0, 0, A), (0, 0, [0.0, nan, 1.0, 1.0]), (0, 0, [torch.inf, 0.0, 1.0, 1.0]))
    with pytest.raises(UsageError, match="row 0: orphan_image_id: frame -1"):
        given((-1, 0, A))
    with pytest.raises(UsageError, match="row 0: dt_score_out_of_range: score inf"):
        given((0, 0, A), score=[torch.inf])
    outlines = Polygons(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]), torch.tensor([[0.0, 0.0], [nan, 0.0]]).double())
    assert problems(replace(given((0, 0, A), (0, 0, A)), shapes=outlines))[0][0] == 1


def test_rules_that_contradict_each_other() -> None:
    for wrong, text in (
        ({"thresholds": ()}, "thresholds must be numbers from 0 to 1"),
        ({"thresholds": (1.5,)}, "thresholds must be numbers from 0 to 1"),
        ({"max_detections": (0,)}, "max_detections must be different numbers"),
        ({"areas": (AreaRange("a", 0, 1), AreaRange("a", 1, 2))}, "two area ranges have one name"),
        ({"tie": "stable"}, "order=score does not go with tie=stable"),
        ({"classes": "same_first"}, "same_first needs order=iou"),
    ):
        with pytest.raises(UsageError, match=text):
            replace(COCO, **wrong)


def test_protocols_have_names_and_say_their_rules() -> None:
    assert protocol_named("voc07").curve == "11"
    with pytest.raises(UnknownNameError, match="no protocol 'cocoo'") as caught:
        protocol_named("cocoo")
    assert caught.value.hint == "did you mean 'coco'?"
    assert COCO.options()["areas"][1] == {"name": "small", "low": 0.0, "high": 1024.0}
    assert COCO.thresholds[8] == 0.8999999999999999
    assert (
        sum(r * 100 > i for i, r in enumerate(COCO.recalls)) == 10 or sum(r > i / 100 for i, r in enumerate(COCO.recalls)) == 10
    )
