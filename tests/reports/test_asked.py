"""Drift and selection in a report: the answers of the verbs, repeated as they are, on page and in JSON."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from gpu_quality.api.drift import drift
from gpu_quality.api.select import select
from gpu_quality.reports.content import Content, gather
from gpu_quality.reports.next_steps import steps
from gpu_quality.reports.page import drawn
from gpu_quality.reports.twin.whole import twin
from gpu_quality.store.store import Store
from tests.reports.caused import copied, planted
from tests.reports.test_report import Outline

WRITTEN = dt.datetime(2024, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    found = planted(tmp_path_factory.mktemp("asked"))
    middle = found.query("select median(brightness) as m from frames")["m"].item()
    drift(found, where=[f"brightness < {middle}", f"brightness >= {middle}"], rows=["frames"])
    select(found, count=20, by=["brightness"], exclude=[])
    return found


@pytest.fixture(scope="module")
def content(store: Store) -> Content:
    return gather(store)


@pytest.fixture(scope="module")
def told(content: Content) -> dict[str, Any]:
    return json.loads(json.dumps(twin(content, WRITTEN), allow_nan=False))


def test_drift_is_what_the_verb_kept(store: Store, content: Content, told: dict[str, Any]) -> None:
    kept = store.query("select * from drift_measures")
    seen = Outline(drawn(content, WRITTEN, 1)).visible
    assert told["drift"]["figures"]["drifting"] == int(kept["drifts"].sum()) > 0
    assert [row["metric"] for row in told["drift"]["measures"]] == kept["metric"].head(10).tolist()
    assert told["drift"]["measures"][0]["ks"] == pytest.approx(kept["ks"].iloc[0])
    for sentence in told["drift"]["verdict"]:
        assert sentence in seen
    assert sum(side["frames"] for side in (told["drift"]["reference"], told["drift"]["current"])) == 60
    assert any("drift_measures" in step.command for step in steps(content))


def test_the_selection_is_what_the_verb_kept(store: Store, content: Content, told: dict[str, Any]) -> None:
    kept = store.query("select frame, reason from selection order by rank")
    assert told["selection"]["count"] == len(kept) == 20
    assert [row["frame"] for row in told["selection"]["frames"]] == kept["frame"].head(12).tolist()
    seen = Outline(drawn(content, WRITTEN, 1)).visible
    assert "Label next" in seen
    assert "… and 8 more frames" in seen
    assert kept["reason"].iloc[0] in seen
    assert any(step.what == "Label the 20 frames that were selected" for step in steps(content))


def test_pictures_of_frames_of_this_run_are_shown(content: Content) -> None:
    assert content.drift is not None
    assert content.selection is not None
    assert all(found.shot is not None for found in content.drift.unlike)
    assert len(list(content.selection.shots())) == 12


def test_old_answers_are_said_to_be_old(store: Store, tmp_path: Path) -> None:
    from gpu_quality.api.evaluate import evaluate

    other = copied(store, tmp_path)
    evaluate(other, iou=0.75)
    seen = Outline(drawn(gather(other), WRITTEN, 1)).visible
    assert seen.count("What is stored has changed since") == 2
