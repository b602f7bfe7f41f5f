"""The table pass: frames and objects whole, once per origin, whatever failed before."""

import numpy as np
import pandas as pd
import pytest
import torch

import gpu_quality as gq
from gpu_quality import registry
from gpu_quality.engine.tables import ObjectTable, TableInput, run_tables
from gpu_quality.errors import NULL_REASONS
from gpu_quality.plan import Plan, Wanted
from gpu_quality.types import Masked, Objects


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    registry.load_built_in()
    monkeypatch.setattr(registry, "_nodes", dict(registry._nodes))

    @gq.metric(per="object", over="sequence", unit="1")
    def follows(objects, track, sequence, position):
        """Frame of the object, and ten times its track."""
        return Masked(objects.frame.double() + 10 * track, track < 0, "no_track")

    @gq.metric(over="dataset", unit="1")
    def tracks_seen(objects, sizes):
        """Objects per frame."""
        return torch.bincount(objects.frame, minlength=len(sizes.width))

    @gq.metric(per="object", over="dataset", unit="1")
    def share(object_area):
        """Its share of all areas of its origin."""
        return object_area / object_area.sum()

    @gq.metric(per="object", over="dataset", unit="row")
    def home(objects):
        """The row of its frame."""
        return objects.frame

    @gq.metric(per="object", over="dataset", unit="1")
    def raises(objects):
        """Fails."""
        raise RuntimeError("no luck")


def table(frame, origin, track, area) -> ObjectTable:
    n = len(frame)
    objects = Objects(
        ids=tuple(f"o{i}" for i in range(n)),
        frame=torch.tensor(frame, dtype=torch.int64),
        origin=torch.tensor(origin, dtype=torch.int8),
        box=torch.zeros(n, 4).double(),
        class_id=torch.zeros(n, dtype=torch.int32),
        score=torch.ones(n).double(),
        track=torch.tensor(track, dtype=torch.int64),
        area=torch.tensor(area).double(),
        crowd=torch.zeros(n, dtype=torch.bool),
    )
    return ObjectTable(objects, pd.DataFrame({"object_area": np.array(area, float)}), ("labels", "yolo"))


def frames(scored) -> pd.DataFrame:
    n = len(scored)
    return pd.DataFrame({"width": [8] * n, "height": [6] * n, "sequence": ["a"] * n, "position": range(n), "scored": scored})


def run(names, scored, objects):
    plan = Plan.build({name: Wanted(name) for name in names}, given={})
    return run_tables(plan, TableInput(frames(scored), objects), {}, lambda _: None)


def test_objects_are_seen_once_per_origin_and_keep_their_rows():
    made = run(["share", "tracks_seen"], [True, True], table([0, 0, 1, 1], [0, 1, 0, 1], [1, 2, 3, 4], [2, 5, 6, 15]))
    assert made.object["share"].tolist() == [0.25, 0.25, 0.75, 0.75]
    assert made.frame["tracks_seen"].tolist() == [1, 1]
    assert made.frame["tracks_seen_yolo"].tolist() == [1, 1]
    assert not made.errors


def test_frames_in_error_and_their_objects_take_no_part():
    made = run(
        ["follows", "home", "tracks_seen"], [True, False, True], table([0, 1, 2, 2], [0, 0, 0, 0], [7, 8, -1, 9], [1] * 4)
    )
    assert np.ma.getmaskarray(made.object["follows"]).tolist() == [False, True, True, False]
    assert made.object["follows"][[0, 3]].tolist() == [70, 91]  # the third frame is the second of those that take part
    assert made.object["home"][[0, 2, 3]].tolist() == [0, 2, 2]  # but is told by its row in the input
    assert made.object_nulls["follows"].tolist() == [0, 0, 1 + NULL_REASONS.index("no_track"), 0]
    assert made.frame["tracks_seen"].tolist() == [1, None, 2]


def test_a_metric_that_raises_costs_its_own_cells():
    made = run(["share", "raises"], [True], table([0, 0], [0, 1], [1, 2], [2, 4]))
    assert made.object["share"].tolist() == [1, 1]
    assert np.ma.getmaskarray(made.object["raises"]).all()
    assert {(e.metric, e.frame, e.object) for e in made.errors} == {("raises", 0, 0), ("raises", 0, 1)}
    assert "no luck" in made.errors[0].detail


def test_no_objects_and_no_frames():
    empty = table([], [], [], [])
    assert run(["tracks_seen"], [True], empty).frame["tracks_seen"].tolist() == [0]
    assert len(run(["share"], [True], empty).object["share"]) == 0
    assert run(["tracks_seen"], [False], empty).frame["tracks_seen"].tolist() == [None]
