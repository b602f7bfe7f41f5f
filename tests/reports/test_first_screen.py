"""What a reader sees first is what is wrong: steps lead to their parts and count what they say; labels come before models."""

import datetime as dt
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

import gpu_quality as gq
from gpu_quality.api.drift import drift
from gpu_quality.api.evaluate import evaluate
from gpu_quality.reports.columns import OWN, topic_of
from gpu_quality.reports.content import Content, gather
from gpu_quality.reports.model.charts import _compact
from gpu_quality.reports.model.tables import rate
from gpu_quality.reports.next_steps import steps
from gpu_quality.reports.page import drawn
from gpu_quality.reports.sections import tiles
from gpu_quality.reports.twin.whole import twin
from gpu_quality.store.store import Store
from tests.photos import write_photos
from tests.reports.caused import planted
from tests.reports.test_report import Outline

WRITTEN = dt.datetime(2024, 2, 3, 4, 5, tzinfo=dt.UTC)
BOX = [10.0, 10.0, 40.0, 40.0]


def judged(folder: Path, box: list[float], *, twice: bool = False) -> Store:
    """Four frames with one label each, and predictions of the same class in another or the same place."""
    write_photos(folder / "photos", 4, size=(120, 90))
    images = [{"id": i, "file_name": f"photo{i:03d}.png", "width": 120, "height": 90} for i in range(4)]
    labels = [{"id": i + 1, "image_id": i, "category_id": 1, "bbox": BOX, "area": 1600.0} for i in range(4)]
    given = {"images": images, "annotations": labels, "categories": [{"id": 1, "name": "cat"}]}
    found = [{"image_id": i, "category_id": 1, "bbox": box, "score": 0.9} for i in range(4) for _ in range(1 + twice)]
    (folder / "gt.json").write_text(json.dumps(given))
    (folder / "net.json").write_text(json.dumps(found))
    store = gq.run(
        folder / "photos", out=folder / "run", labels=folder / "gt.json", predictions={"net": folder / "net.json"},
        metrics=["width", "brightness"], settings={"engine": {"kind": "inline"}},
    )  # fmt: skip
    evaluate(store)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return planted(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def content(store: Store) -> Content:
    return gather(store)


def test_what_to_do_comes_first_and_leads_to_its_parts(content: Content) -> None:
    outline = Outline(drawn(content, WRITTEN, 1))
    sections = [found["id"] for tag, found in outline.tags if tag == "section"]
    assert sections[0] == "next"
    assert sections[-1] == "further"
    targets = {found["id"] for _, found in outline.tags if "id" in found}
    anchors = [step.anchor for step in steps(content) if step.anchor]
    assert {"model-0", "weak-slices"} <= set(anchors) <= targets


def test_a_weak_slice_is_shown_with_as_many_objects_as_the_step_says(store: Store, content: Content) -> None:
    assert content.why is not None
    commands = [shlex.split(step.command) for step in steps(content) if step.anchor == "weak-slices"]
    assert commands
    counts = [store.query(f"select count(*) as n from objects where {words[-1]}")["n"].item() for words in commands]
    assert set(counts) <= {one.n for one in content.why.weak.slices}


def test_what_the_model_gets_wrong_is_a_step_of_its_own(store: Store, content: Content) -> None:
    assert content.model is not None
    counts = content.model.sets[0].counts
    (step,) = [step for step in steps(content) if step.anchor == "model-0"]
    assert f"{counts.fn:,} of {counts.tp + counts.fn:,} labels missed" in step.what
    condition = shlex.split(step.command)[-1]
    assert store.query(f"select count(*) as n from objects where {condition}")["n"].item() in (counts.fn, counts.fp)


def test_a_model_that_is_all_wrong_is_said_to_be_and_one_that_is_right_is_not(tmp_path: Path) -> None:
    wrong, right = (gather(judged(tmp_path / name, box)) for name, box in (("wrong", [70.0, 50.0, 9.0, 9.0]), ("right", BOX)))
    told = [step.what for step in steps(wrong)]
    assert "See what net gets wrong: 4 of 4 labels missed, 4 of 4 predictions false" in told
    assert not any(step.what.startswith("See what") for step in steps(right))


def test_what_is_odd_in_predictions_is_no_problem_of_labels(tmp_path: Path) -> None:
    content = gather(judged(tmp_path, BOX, twice=True))
    labels = content.labels
    assert labels is not None
    assert labels.predicted > 0
    order = [(check.severity == "info", check.predicted) for check in labels.checks]
    assert order == sorted(order)
    shown = {label: value for value, label, _ in tiles(content)}
    counts = {name: value for name, value in shown.items() if name.startswith("label problem")}
    grave = sum(check.count for check in labels.checks if check.severity != "info" and not check.predicted)
    assert list(counts.values()) == [f"{grave:,}"]
    codes = {check.code for check in labels.checks if check.predicted and check.severity == "warning"}
    assert codes
    assert not any(step.source == f"health check {code}" for step in steps(content) for code in codes)
    assert "in net ." in Outline(drawn(content, WRITTEN, 1)).visible


def test_nothing_that_is_zero_is_painted_as_a_warning(tmp_path: Path) -> None:
    assert all(not kind for value, _, kind in tiles(gather(judged(tmp_path, BOX))) if value == "0")


def test_what_an_evaluation_made_is_not_called_the_readers_own() -> None:
    assert topic_of("gpu_quality.evaluation.outcomes") != OWN
    assert topic_of("gpu_quality.metrics.tone") != OWN
    assert topic_of("mine") == OWN


def test_sets_that_do_not_differ_show_no_unlike_frames_and_the_largest_measures_first(store: Store) -> None:
    drift(store, where=["row % 2 = 0", "row % 2 = 1"])
    content = gather(store)
    told: dict[str, Any] = twin(content, WRITTEN)["drift"]
    assert told["figures"]["drifting"] == 0
    assert told["frames"] == []
    assert not any("listed" in note for note in told["notes"])
    known = store.query("select metric, ks from drift_measures order by ks desc")
    assert told["measures"][0]["ks"] == known["ks"].iloc[0]
    assert "drift" not in {step.anchor for step in steps(content)}


def test_counts_on_a_chart_have_at_most_four_characters() -> None:
    assert [_compact(n) for n in (0, 999, 1000, 2122, 9949, 9950, 12_345, 999_999, 4_000_000)] == [
        "0", "999", "1.0k", "2.1k", "9.9k", "9k", "12k", "999k", "4M",
    ]  # fmt: skip


def test_a_number_that_rounds_to_nothing_has_no_sign() -> None:
    assert [rate(value) for value in (-0.0004, 0.0004, -0.0006, None, float("nan"))] == ["0.000", "0.000", "-0.001", "–", "–"]


def test_the_story_of_real_photos_is_that_of_sql(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "coco_photos"
    store = gq.run(
        folder / "images", out=tmp_path / "run", labels=folder / "instances.json",
        predictions={"net": folder / "centernet_predictions.json"}, metrics=["object_area", "object_width", "brightness"],
        settings={"engine": {"kind": "inline"}},
    )  # fmt: skip
    evaluate(store)
    content = gather(store)
    counts = store.query(
        "with sure as (select object, outcome from objects where origin = 1 and confidence >= 0.25) select "
        "(select count(*) from sure where outcome = 'tp') as tp, (select count(*) from sure where outcome = 'fp') as fp, "
        "(select count(*) from objects where origin = 0 and outcome in ('matched', 'fn')) as labels"
    ).iloc[0]
    assert content.labels is not None
    shown = {label.split(" at ")[0]: value for value, label, _ in tiles(content)}
    assert shown["precision"] == f"{counts['tp'] / (counts['tp'] + counts['fp']):.3f}"
    assert shown["recall"] == f"{counts['tp'] / counts['labels']:.3f}"
    assert content.labels.grave < counts["labels"] < content.labels.predicted  # raw detections overlap, labels hardly do
    told = [step.what for step in steps(content)]
    missed, false = counts["labels"] - counts["tp"], counts["fp"]
    assert any(f"{missed} of {counts['labels']} labels missed, {false} of" in what for what in told)
    sql = "select avg((outcome = 'matched')::int) filter (object_area < 500) < 0.5 * avg((outcome = 'matched')::int) as worse "
    assert store.query(sql + "from objects where origin = 0 and outcome in ('matched', 'fn')")["worse"].item()
