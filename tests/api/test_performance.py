"""`gq.performance` on stores: every number is what SQL says, parts are what evaluation says, the answer is kept."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from gpu_quality import api
from gpu_quality.api.evaluate import evaluate
from gpu_quality.api.performance import performance
from gpu_quality.api.results import is_current, kept, kept_table, made_from
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store

METRICS = ["object_area", "object_count", "area"]


def small_ones_are_missed(folder, *, frames=60, sets=("yolo",)):
    """A run without images: ten labels in every frame, of growing size; those below 400 pixels are mostly missed."""
    rng = np.random.default_rng(0)
    images = [{"id": i, "file_name": f"{i:03d}.jpg", "width": 400, "height": 300 + i} for i in range(frames)]
    labels, results = [], []
    for frame in range(frames):
        for place in range(10):
            side = float(np.round(rng.uniform(10, 38), 3))
            box, kind = [place * 40.0, 10.0, side, side], 1 + int(rng.random() < 0.3)
            row = {"image_id": frame, "category_id": kind, "bbox": box}
            labels.append({**row, "id": len(labels), "area": side * side, "iscrowd": 0})
            if rng.random() < (0.2 if side < 20 else 0.8):
                moved = [box[0] + float(rng.integers(0, 2)), *box[1:]]
                results.append({**row, "bbox": moved, "score": float(np.round(rng.uniform(0.1, 1), 3))})
            if rng.random() < 0.2:
                results.append({**row, "bbox": [place * 40.0, 150.0, side, side], "score": float(np.round(rng.random(), 3))})
    labels[0]["iscrowd"] = 1
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog's"}]
    (folder / "labels.json").write_text(json.dumps({"images": images, "annotations": labels, "categories": categories}))
    (folder / "results.json").write_text(json.dumps(results))
    named = {name: str(folder / "results.json") for name in sets}
    return api.run(labels=str(folder / "labels.json"), predictions=named, out=folder / "out", metrics=METRICS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One such run, evaluated."""
    folder = tmp_path_factory.mktemp("performance")
    store = small_ones_are_missed(folder)
    evaluate(store)
    return folder / "out"


@pytest.fixture
def store(made):
    """The run; answers are written over each other."""
    return Store.open(made)


@pytest.fixture(scope="module")
def photos(test_data, tmp_path_factory):
    """56 photos with labels and a real detector's predictions."""
    given = test_data / "coco_photos"
    out = tmp_path_factory.mktemp("photos") / "out"
    store = api.run(
        given / "images", labels=str(given / "instances.json"), out=out, metrics=["brightness", *METRICS],
        predictions={"centernet": str(given / "centernet_predictions.json")},
    )  # fmt: skip
    evaluate(store)
    return store


def sides(found):
    return SimpleNamespace(**{side.rows: side for side in found.sides})


def by_sql(store, rows, conditions):
    """Rows and successes under each condition on `value`, by SQL alone."""
    judged, good, source = {
        "P": ("o.outcome in ('tp', 'fp') and o.origin = 1 and o.score >= 0.25", "o.outcome = 'tp'", ""),
        "O": ("o.outcome in ('matched', 'fn') and o.origin = 0", "o.outcome = 'matched' and p.score >= 0.25",
              "left join objects p on o.matched_object = p.object"),
    }[rows]  # fmt: skip
    source = f"from objects o join frames f on o.row = f.row {source} where {judged}"
    columns = [f"count(*) filter ({part}) as n{i}, count(*) filter ({part} and {good}) as k{i}"
               for i, part in enumerate(conditions)]  # fmt: skip
    found = store.query(f"select {', '.join(columns)} {source}").iloc[0].astype(int).tolist()
    return list(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize(("metric", "column"), [("object_area", "o.object_area"), ("brightness", "f.brightness")])
def test_every_number_on_real_photos_is_what_sql_says(photos, metric, column):
    found = performance(photos, metric, write=False)
    assert [side.rows for side in found.sides] == ["P", "O"]
    for side in found.sides:
        bins, weak, split = side.curve.bins, side.curve.weak, side.split
        limits = list(zip(bins["low"].tolist(), bins["high"].tolist(), strict=True))
        inside = [f"{column} >= {low!r} and {column} < {high!r}" for low, high in limits[:-1]]
        inside.append(f"{column} >= {limits[-1][0]!r} and {column} <= {limits[-1][1]!r}")
        stretches = [where.replace(metric, column) for where in side.weak_where]
        worse = f"{column} {'<' if split.side == 'below' else '>'} {split.threshold!r}"
        told = by_sql(photos, side.rows, [f"{column} is not null", worse, *inside, *stretches])
        assert (
            told[0]
            == (side.curve.n, bins["successes"].sum())
            == (split.n + split.other_n, split.successes + split.other_successes)
        )
        assert side.curve.mean == pytest.approx(told[0][1] / told[0][0])
        assert told[1] == (split.n, split.successes)
        assert told[2 : 2 + len(bins)] == list(zip(bins["n"], bins["successes"], strict=True))
        assert told[2 + len(bins) :] == list(zip(weak["n"], weak["successes"], strict=True))
        assert len(stretches) >= 1
        assert len(bins) > 10


def test_the_story_of_the_photos_is_true(photos):
    found = sides(performance(photos, "object_area", write=False))
    split = found.O.split
    assert split.side == "below"
    assert split.p <= 0.01
    assert split.rate < 0.2 < 0.45 < split.other_rate
    assert split.difference_high < -0.2
    assert found.O.worst == f"object_area < {split.threshold:g}"
    small = photos.query(f"select object from objects where origin = 0 and {found.O.worst} and outcome = 'fn'")
    assert len(small) > 50


def test_small_labels_are_missed_and_that_is_found(store):
    found = sides(performance(store, "object_area"))
    split = found.O.split
    assert 390 <= split.threshold <= 410
    assert split.side == "below"
    assert split.rate < 0.25
    assert split.other_rate > 0.5
    assert found.O.sentence().startswith(f"below object_area {split.threshold:g}: recall 0.")
    assert found.O.ignored == 1, "the crowd"
    assert found.O.worst == found.O.split_where
    inside = store.query(f"select object from objects where origin = 0 and {found.O.weak_where[0]} and outcome != 'ignored'")
    assert sorted(inside["object"]) == sorted(found.O.weak_ids(0))
    assert found.P.figure == "precision"
    assert found.O.failed == "outcome = 'fn'"


def test_recall_and_its_complement(store):
    told = performance(store, "object_area", rows="O").to_dict()
    json.dumps(told, allow_nan=False)
    assert [side["rows"] for side in told["sides"]] == ["O"]
    for row in told["sides"][0]["bins"]:
        assert row["rate"] + row["fnr"] == pytest.approx(1)
        assert row["rate_low"] <= row["rate"] <= row["rate_high"]
    assert "fnr" not in performance(store, "object_area", rows="P").to_dict()["sides"][0]["bins"][0]


def test_classes_have_the_same_bins(store):
    found = performance(store, "object_area", rows="O", bins=4, by_class=True)
    (side,) = found.sides
    assert list(side.of_class) == ["cat", "dog's"]
    total = sum(curve.bins["n"] for curve in side.of_class.values())
    assert total.tolist() == side.curve.bins["n"].tolist()
    table = found.table()
    assert table["bin"].tolist() == [1, 2, 3, 4] * 3
    assert table["class"].isna().tolist() == [True] * 4 + [False] * 8
    assert set(table["rows"]) == {"O"}
    only = performance(store, "object_area", rows="O", classes=["dog's"], edges=side.curve.edges)
    assert only.table()["n"].tolist() == side.of_class["dog's"].bins["n"].tolist()
    few = performance(store, "object_area", rows="O", by_class=True, where="object_area < 140").sides[0]
    assert set(few.few) | set(few.of_class) == {"cat", "dog's"}
    assert few.few
    assert all(count < 20 for count in few.few.values())


def test_ap_of_a_bin_is_that_of_the_part_of_the_data(store):
    found = performance(store, "object_area", edges=[0, 300, 700, 2000], ap=True)
    side = sides(found).O
    named = {"a": "object_area < 300", "b": "object_area >= 300 and object_area < 700", "c": "object_area >= 700"}
    parts = evaluate(store, slices=named, write=False).by_slice
    assert side.ap["AP"].tolist()[:3] == pytest.approx(parts["AP"].tolist())
    assert side.ap["AP50"].tolist()[:3] == pytest.approx(parts["AP50"].tolist())
    assert side.ap["labels"].tolist() == [*parts["labels"], parts["labels"].sum()]
    assert side.ap["AP"].iloc[-1] == pytest.approx(evaluate(store, write=False).summary["AP"])
    assert found.sides[0].ap is None
    assert found.table()["AP"].notna().tolist() == [False] * 3 + [True] * 3
    by_frame = performance(store, "object_count", bins=3, ap=True, where="object_area > 300").sides[-1]
    whole = evaluate(store, slices=["object_area > 300"], write=False).by_slice
    assert by_frame.ap["AP"].iloc[-1] == pytest.approx(whole["AP"].iloc[0])


def test_thresholds_of_the_evaluation_or_others(store):
    stored, loose = performance(store, "object_area"), performance(store, "object_area", confidence=0.0)
    assert stored.params["confidence"] == 0.25
    assert sides(loose).P.curve.n > sides(stored).P.curve.n
    assert sides(loose).O.curve.mean > sides(stored).O.curve.mean
    strict = performance(store, "object_area", iou=0.99)
    assert sides(strict).O.curve.mean < sides(stored).O.curve.mean
    assert strict.params["iou"] == 0.99


def test_the_column_of_a_frame_has_the_name_that_conditions_know(store):
    """`area` is a column of objects too."""
    side = performance(store, "area", rows="O").sides[0]
    assert side.measure.level == "F"
    assert side.split_where.startswith("frame_area ")
    both = performance(store, "area", rows="O", where=side.split_where).sides[0]
    assert both.curve.n == side.split.n
    assert side.split.units == 60


def test_answers_are_kept_beside_each_other_while_they_are_current(store):
    first = performance(store, "object_area")
    second = performance(store, "object_count", bins=2, rows="O")
    facts = kept(store, "performance")
    assert list(facts["metrics"])[-1] == "object_count"
    assert facts["metrics"]["object_area"] == first.to_dict(ids=False)
    assert "ids" not in json.dumps(facts)
    assert facts["params"]["bins"] == 2
    assert is_current(store, facts)
    counted = store.query("select metric, count(*) as n from performance group by 1").set_index("metric")["n"]
    assert counted["object_count"] == len(second.table())
    assert counted["object_area"] == len(first.table())
    weak = kept_table(store, "performance", "weak")
    assert (weak[weak["metric"] == "object_area"]["object"].to_numpy() == first.weak()["object"].to_numpy()).all()
    performance(store, "object_area", bins=1)
    assert store.query("select count(*) as n from performance where metric = 'object_area'")["n"][0] == 2
    assert store.verify().findings == ()


def test_what_is_outdated_or_damaged_is_not_kept_beside_the_new(tmp_path):
    store = small_ones_are_missed(tmp_path, frames=8)
    asked = performance(store, "object_area")
    assert any("there was no evaluation" in note for note in asked.notes)
    performance(store, "object_count")
    assert set(kept(store, "performance")["metrics"]) == {"object_area", "object_count"}
    evaluate(store, iou=0.9)
    assert not is_current(store, kept(store, "performance"))
    performance(store, "object_count")
    assert set(kept(store, "performance")["metrics"]) == {"object_count"}
    (store.path / "results" / "performance.json").write_text("{}")
    performance(store, "object_area")
    assert set(kept(store, "performance")["metrics"]) == {"object_area"}
    assert kept(store, "performance")["made_from"] == made_from(store)
    with writer_lock(store.path):
        found = performance(store, "object_area")
    assert "not kept in the store" in found.notes[-1]


def test_small_samples_give_sentences(store):
    few = performance(store, "object_area", where="object_area < 104")
    for side in few.sides:
        assert len(side.curve.bins) <= 1
        assert side.split is None
    assert any("intervals are wide" in note for note in few.notes)
    none = performance(store, "object_area", where="object_area < 0")
    assert [side.sentence() for side in none.sides] == [
        f"there are no {noun} to judge: none is left by what was asked, or none took part in the evaluation"
        for noun in ("predictions", "labels")
    ]
    assert len(none.table()) == 0
    json.dumps(none.to_dict(), allow_nan=False)
    right = performance(store, "object_area", rows="P", where="outcome = 'tp'").sides[0]
    assert right.sentence() == f"all {right.curve.n} predictions are true"


def test_several_sets(tmp_path):
    store = small_ones_are_missed(tmp_path, frames=6, sets=("a", "B1"))
    with pytest.raises(UsageError, match="2 prediction sets"):
        performance(store, "object_area")
    found = performance(store, "object_area", predictions="B1", rows="O", ap=True, bins=2)
    assert found.sides[0].failed == "\"outcome_B1\" = 'fn'"
    assert found.params["predictions"] == "B1"
    assert store.query(f"select count(*) as n from objects where {found.sides[0].failed}")["n"][0] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "object_aera"}, "predictions and labels have no measure 'object_aera'"),
        ({"metric": "outcome"}, "no measure 'outcome'"),
        ({"metric": "confidence", "rows": "O"}, "labels have no measure 'confidence'"),
        ({"rows": "F"}, "frames have no success that is 0 or 1"),
        ({"rows": "X"}, "no rows 'X'"),
        ({"bins": 0}, "bins must be at least 1"),
        ({"bins": 3, "edges": [0, 1]}, "two ways to say the same"),
        ({"edges": [2, 1]}, "finite numbers that rise"),
        ({"classes": ["bird"]}, "no class 'bird'"),
        ({"where": "colour > 3"}, "colour"),
        ({"predictions": "detr"}, "no prediction set 'detr'"),
        ({"metric": "confidence", "ap": True}, "AP along confidence needs it for labels"),
    ],
)
def test_refusals(store, options, message):
    with pytest.raises(UsageError, match=message):
        performance(store, **{"metric": "object_area", **options})


def test_a_name_that_is_close_is_offered(store):
    with pytest.raises(UnknownNameError) as caught:
        performance(store, "object_aera")
    assert "object_area" in caught.value.hint


def test_labels_alone_have_no_performance(tmp_path):
    store = small_ones_are_missed(tmp_path, frames=3, sets=())
    with pytest.raises(UsageError, match="holds no predictions"):
        performance(store, "object_area")
    with pytest.raises(UsageError, match="holds no predictions"):
        performance(store, "object_area", rows="O")


@pytest.fixture
def answers(tmp_path):
    """Sixty flat pictures sorted into folders by class, and again as a model would: it takes the dark ones for cats."""
    from PIL import Image

    for place in range(60):
        level, kind = place * 4, ("cat", "dog")[place % 2]
        for folder, name in (("labels", kind), ("model", "cat" if level < 100 else kind)):
            path = tmp_path / folder / name / f"{place:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 12), (level, level, level)).save(path)
    return tmp_path


def test_accuracy_of_answers(answers, monkeypatch):
    from gpu_quality.api import performance as verb
    from gpu_quality.api.subjects import subjects

    labels = {"path": str(answers / "labels"), "format": "imagefolder"}
    store = api.run(answers / "labels", labels=labels, out=answers / "out", metrics=["brightness"])
    with pytest.raises(UsageError, match="holds no predictions"):
        performance(store, "brightness")

    def judged(store, kind, **scope):
        given = subjects(store, kind, **scope)
        right = (given.table["class"] == "cat") | (given.values("brightness") >= 100 / 255)
        return dataclasses.replace(given, success=right.to_numpy(np.float64))

    monkeypatch.setattr(verb, "subjects", judged)
    (side,) = performance(store, "brightness", bins=6, by_class=True).sides
    assert (side.rows, side.figure, side.noun) == ("C", "accuracy", "answers")
    assert side.curve.mean == pytest.approx(1 - 12 / 60)
    assert side.split.side == "below"
    assert side.split.rate < 0.6 < side.split.other_rate == 1
    assert side.worst == side.split_where
    assert side.failed == ""
    assert side.weak_ids(0)[0] in {"cat/000.png", "dog/001.png"}
    assert side.of_class["cat"].mean == 1
    with pytest.raises(UsageError, match="not answers"):
        performance(store, "brightness", ap=True)


def test_conditions_hold_what_was_asked_and_outcomes_only_where_they_are_stored(store):
    found = performance(store, "object_area", where="object_area < 900", classes=["dog's"], rows="O", write=False)
    assert found.params["condition"] == "(object_area < 900) and class in ('dog''s')"
    rows = store.query("select count(*) as n from objects")["n"][0]
    assert found.sides[0].failed == "outcome = 'fn'"
    assert 0 < len(found.sides[0].ids) < rows
    for other in ({"iou": 0.9}, {"confidence": 0.8}):
        side = performance(store, "object_area", rows="O", write=False, **other).sides[0]
        assert side.failed == "", "the stored outcomes are of another IoU or confidence"
    assert performance(store, "object_area", rows="O", write=False).params["condition"] == ""


def test_a_name_that_is_a_word_of_sql_is_quoted(store, tmp_path):
    from gpu_quality.api.performance import _column
    from gpu_quality.api.subjects import Measure

    assert _column(store, Measure("order", "O", "1", "neither", "", flag=False)) == '"order"'
    assert _column(store, Measure("object_area", "O", "1", "neither", "", flag=False)) == "object_area"


def test_seeds_that_no_generator_takes_are_refused(store):
    for seed in (-1, 2**32):
        with pytest.raises(UsageError, match="is not from 0 to"):
            performance(store, "object_area", seed=seed)
