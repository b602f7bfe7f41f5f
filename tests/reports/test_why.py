"""The part of a report about causes: planted causes are found, every number is that of the store, page and JSON agree."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest

import gpu_quality as gq
from gpu_quality.api.evaluate import evaluate
from gpu_quality.api.importance import importance
from gpu_quality.api.outliers import outliers
from gpu_quality.reports import report_json
from gpu_quality.reports.content import Content, gather
from gpu_quality.reports.next_steps import MOST, steps
from gpu_quality.reports.page import drawn
from gpu_quality.reports.twin.whole import twin
from gpu_quality.reports.why.answers import why_of
from gpu_quality.reports.why.bars import chance
from gpu_quality.store.store import Store
from tests.reports.caused import FRAMES, copied, judged, planted
from tests.reports.test_report import Outline

WRITTEN = dt.datetime(2024, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return planted(tmp_path_factory.mktemp("home of dora"))


@pytest.fixture(scope="module")
def content(store: Store) -> Content:
    return gather(store)


@pytest.fixture(scope="module")
def text(content: Content) -> str:
    return drawn(content, WRITTEN, 3_000_000)


@pytest.fixture(scope="module")
def told(content: Content) -> dict[str, Any]:
    return json.loads(json.dumps(twin(content, WRITTEN), allow_nan=False))


def test_the_planted_causes_come_first(content: Content) -> None:
    assert content.why is not None
    predictions, labels = content.why.parts
    assert labels.bars[0].metric == "object_area"
    assert labels.bars[0].level == "O"
    assert labels.bars[0].low < labels.bars[0].value < labels.bars[0].high
    assert labels.bars[0].value > 0.3
    assert labels.bars[0].p <= 0.05
    assert labels.bars[0].spearman > 0.5
    assert {"confidence", "object_area"} & {bar.metric for bar in predictions.bars[:2]}
    assert labels.explained is not None
    assert labels.explained > 0.3
    assert labels.bars[0].alone == max(bar.alone or 0.0 for bar in labels.bars)
    brightness = next(bar for bar in labels.bars if bar.metric == "brightness")
    assert brightness.p > 0.05


def test_every_bin_of_every_curve_is_what_sql_counts(store: Store, content: Content) -> None:
    assert content.why is not None
    curves = 0
    for part in content.why.parts:
        rows = store.query(judged(store, part.rows))
        assert part.size == len(rows)
        for curve in part.curves:
            curves += 1
            assert curve.mean == pytest.approx(rows["good"].mean())
            if curve.metric not in rows:
                continue
            values, last = rows[curve.metric].astype(float), len(curve.bins) - 1
            for place, found in enumerate(curve.bins):
                low, high = found["low"], found["high"]
                inside = (values >= low) & ((values <= high) if place == last else (values < high))
                assert found["n"] == int(inside.sum())
                assert found["successes"] == int(rows["good"][inside].sum())
                assert found["rate"] == pytest.approx(found["successes"] / found["n"])
                assert found["rate_low"] <= found["rate"] <= found["rate_high"]
    assert curves >= 2


def test_weak_slices_are_what_their_condition_holds_and_show_failures(store: Store, content: Content) -> None:
    assert content.why is not None
    found = content.why.weak.slices
    assert any("object_area" in one.where and one.rows == "O" for one in found)
    for one in found:
        rows = store.query(f"select good from ({judged(store, one.rows)}) where {one.where}")
        assert (one.n, one.n - one.failures) == (len(rows), int(rows["good"].sum()))
        assert one.value == pytest.approx(rows["good"].mean())
        assert one.value < one.rest
        assert 0 < len(one.examples) <= 6
        assert all(example.told == ("false" if one.rows == "P" else "missed") for example in one.examples)


def test_the_page_says_the_numbers_of_the_json(text: str, told: dict[str, Any]) -> None:
    seen = Outline(text).visible
    assert "Why it fails" in seen
    for part in told["importance"]["rows"]:
        for bar in part["metrics"]:
            numbers = [
                f"{bar['importance']:.3f}",
                f"{bar['low']:.3f} to {bar['high']:.3f}",
                f"{bar['spearman']:.3f}".replace("-0.000", "0.000"),
            ]
            adds = f"{bar['adds']:.3f}".replace("-0.000", "0.000")
            line = " ".join([f"({bar['level']})", bar["metric"], *numbers, adds, f"{bar['n']:,}", chance(bar["p_adjusted"])])
            assert line in seen
        assert f"{100 * part['explained']:.0f} %" in seen
    for curve in told["performance"]:
        for found in curve["bins"]:
            assert f"{found['rate']:.3f} {found['rate_low']:.3f} to {found['rate_high']:.3f} {found['n']:,}" in seen
    for one in told["weak_slices"]["slices"]:
        assert f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f}) against {one['rest']:.3f} elsewhere" in seen
        assert one["where"] in seen
    for tile in told["tiles"]:
        assert f"{tile['value']} {tile['label']}" in seen
    for step in told["next"]:
        assert f"{step['what']} ({step['source']}) {step['command']}" in seen


def test_the_page_is_well_formed_and_hostile_names_are_text(text: str) -> None:
    outline = Outline(text)
    assert outline.open == []
    assert "<b>cause" not in text
    assert "home of dora" not in text
    targets = {found["id"] for _, found in outline.tags if "id" in found}
    assert {"why-P", "why-O", "weak-slices", "outliers"} <= targets
    assert all(str(found["href"])[1:] in targets for tag, found in outline.tags if tag == "a")
    charts = [found for tag, found in outline.tags if tag == "svg" and found.get("role") == "img"]
    assert all(found["aria-label"] for found in charts)


def test_the_same_store_gives_the_same_bytes(store: Store, text: str) -> None:
    again = drawn(gather(store), WRITTEN, 3_000_000)  # the second reads what the first one kept
    assert again == text


def test_what_next_names_what_was_found(content: Content) -> None:
    found = steps(content)
    assert 0 < len(found) <= MOST
    assert all(step.what and step.source and step.command.startswith("gpu-quality ") for step in found)
    text = "\n".join(f"{step.what} {step.command}" for step in found)
    assert re.search(r"Look at the \d+ labels with .*object_area.*: recall 0\.\d\d against 0\.\d\d elsewhere", text)
    assert "--where" in text
    assert re.search(r"gpu-quality performance run \S+ --rows (labels|predictions)", text)


def test_commands_exist(content: Content) -> None:
    from typer.main import get_command

    from gpu_quality.cli.main import app
    from gpu_quality.reports.next_steps import further

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert {step.command.split()[1] for step in (*steps(content), *further(content))} <= known


def test_a_kept_importance_is_shown_as_it_is(store: Store, tmp_path: Path) -> None:
    store = copied(store, tmp_path)
    answer = importance(store, permutations=199)
    told = report_json(store)
    first = {row["metric"]: row for row in answer.to_dict()["metrics"] if row["rows"] == "O"}
    labels = told["importance"]["rows"][1]
    assert labels["tested"] == sum(row["importance"] is not None for row in first.values())
    for bar in labels["metrics"]:
        assert bar["importance"] == first[bar["metric"]]["importance"]
        assert bar["p_adjusted"] == first[bar["metric"]]["p_adjusted"]
    assert labels["together"] is None
    assert labels["explained"] == pytest.approx(answer.joint["O"]["explained"])
    assert "199 permutations" in told["importance"]["asked"]


def test_rows_that_importance_was_not_asked_about_get_a_quick_look(store: Store, tmp_path: Path) -> None:
    copy = copied(store, tmp_path)
    answer = importance(copy, rows="O", permutations=199)
    why = why_of(copy)
    assert why is not None
    parts = {part.rows: part for part in why.parts}
    assert parts["O"].bars[0].value == answer.table["importance"][0]
    assert parts["P"].bars
    assert "A quick look at predictions" in why.notes[-1]


def test_outliers_are_those_of_the_verb(store: Store, told: dict[str, Any]) -> None:
    found = outliers(store, predictions="net")
    own = told["outliers"]
    assert own["outliers"] == len(found.table())
    assert own["judged"] == FRAMES
    assert sum(row["outliers"] for row in own["metrics"]) == own["outliers"]


def test_damaged_answers_are_sentences(store: Store, tmp_path: Path) -> None:
    store = copied(store, tmp_path)
    outliers(store)
    (store.path / "results" / "outliers.json").write_text("{}")
    store.save_result("drift.json", b'{"reference": 3}')
    store.save_result("selection.json", b"[]")
    seen = Outline(drawn(gather(store), WRITTEN, 1)).visible
    assert "results/outliers.json is not what was written" in seen
    assert "results/drift.json is not what was written" in seen
    assert "results/selection.json is not what was written" in seen


def test_predictions_that_nobody_judged_ask_for_it(tmp_path: Path) -> None:
    content = gather(planted(tmp_path, judge=False))
    assert content.why is None
    assert any(step.command == "gpu-quality evaluate run" for step in steps(content))
    told = twin(content, WRITTEN)
    assert told["importance"] is told["performance"] is told["weak_slices"] is told["outliers"] is None


def test_real_photos_small_objects_are_missed(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "coco_photos"
    store = gq.run(
        folder / "images", out=tmp_path / "run", labels=folder / "instances.json",
        metrics=["width", "brightness", "contrast", "object_area"],
        predictions={"centernet": folder / "centernet_predictions.json"}, settings={"engine": {"kind": "inline"}},
    )  # fmt: skip
    evaluate(store)
    content = gather(store)
    assert content.why is not None
    labels = next(part for part in content.why.parts if part.rows == "O")
    sure = [bar for bar in labels.bars if bar.p <= 0.05]
    assert [bar.metric for bar in sure] == ["object_area"]
    assert sure[0].spearman > 0.2
    rows = store.query(judged(store, "O"))
    assert labels.size == len(rows)
    middle = rows["object_area"].median()
    small, large = (rows["good"][part].mean() for part in (rows["object_area"] < middle, rows["object_area"] >= middle))
    assert small < large - 0.1, "what the page says is what the data say"
    for one in content.why.weak.slices:
        part = store.query(f"select good from ({judged(store, one.rows)}) where {one.where}")
        assert one.value == pytest.approx(part["good"].mean())
