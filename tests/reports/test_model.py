"""The part of a report about models: figures traceable to the store, known outcomes told right, hostile names as text."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpu_quality as gq
from gpu_quality.api.evaluate import evaluate
from gpu_quality.reports.columns import Sheet
from gpu_quality.reports.html import document, joined, tag
from gpu_quality.reports.model.plain import model_json
from gpu_quality.reports.model.quality import EvaluatedSet, ModelQuality, model_of
from gpu_quality.reports.model.section import model_links, model_section
from gpu_quality.reports.pictures import Album, decode_settings, image_root
from gpu_quality.reports.shots import OTHER, OWN
from gpu_quality.store.store import Store
from tests.photos import write_photos
from tests.reports.test_report import Outline

SIZE = (120, 90)
BOX = [10.0, 10, 40, 40]
HOSTILE = (
    "<script>alert('x')</script>", "a name without any end " * 12, "سيارة إسعاف", "None", "(other)", "x\u202ey",
)  # fmt: skip
Rows = list[tuple[int, int, list[float], float]]
"""Image, class from 1, box x y w h, score."""


def made(folder: Path, names: tuple[str, ...], labels: Rows, predictions: dict[str, Rows], frames: int = 4) -> Store:
    """A run on photos with labels and prediction sets."""
    folder.mkdir(parents=True, exist_ok=True)
    write_photos(folder / "photos", frames, size=SIZE)
    images = [{"id": i, "file_name": f"photo{i:03d}.png", "width": SIZE[0], "height": SIZE[1]} for i in range(frames)]
    annotations = [
        {"id": i + 1, "image_id": image, "category_id": kind, "bbox": box, "area": box[2] * box[3]}
        for i, (image, kind, box, _) in enumerate(labels)
    ]
    classes = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    given: dict[str, Any] = {"images": images, "annotations": annotations, "categories": classes}
    (folder / "gt.json").write_text(json.dumps(given))
    for name, rows in predictions.items():
        found = [{"image_id": i, "category_id": kind, "bbox": box, "score": score} for i, kind, box, score in rows]
        (folder / f"{name}.json").write_text(json.dumps(found))
    return gq.run(
        folder / "photos", out=folder / "run", labels=folder / "gt.json", metrics=["width"],
        predictions={name: folder / f"{name}.json" for name in predictions}, settings={"engine": {"kind": "inline"}},
    )  # fmt: skip


def known(folder: Path) -> Store:
    """One right prediction; one each that is late, of a wrong class, badly placed, and of nothing; one found too faintly."""
    labels: Rows = [(0, 1, BOX, 1), (1, 2, BOX, 1), (2, 1, BOX, 1), (3, 2, [60, 40, 30, 30], 1)]
    net: Rows = [
        (0, 1, BOX, 0.9), (0, 1, BOX, 0.8), (1, 1, BOX, 0.7), (2, 1, [30, 10, 40, 40], 0.6), (3, 3, [5, 5, 10, 10], 0.5),
        (3, 2, [60, 40, 30, 30], 0.1),
    ]  # fmt: skip
    return made(folder, ("cat", "dog", "cow"), labels, {"net": net})


def looked_at(store: Store) -> ModelQuality | None:
    return model_of(store, Sheet.read(store, "frame"), Sheet.read(store, "object"))


def drawn(store: Store, budget: int = 5_000_000) -> str:
    """A page of this part alone."""
    frames = Sheet.read(store, "frame")
    model = looked_at(store)
    album = Album(frames, image_root(store.path), decode_settings(store.identity))
    album.fill(() if model is None else model.shots(), budget)
    return document("x", tag("main", tag("h1", "x"), joined([model_section(model, frames.ids(), album) or ""])))


def only(store: Store) -> EvaluatedSet:
    model = looked_at(store)
    assert model is not None
    assert model.notes == ()
    (found,) = model.sets
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    found = known(tmp_path_factory.mktemp("home of carol"))
    evaluate(found)
    return found


@pytest.fixture(scope="module")
def text(store: Store) -> str:
    return drawn(store)


def test_every_outcome_is_where_it_belongs(store: Store) -> None:
    found = only(store)
    assert (found.counts.tp, found.counts.fp, found.counts.fn) == (1, 4, 3)
    assert (found.counts.precision, found.counts.recall) == (0.2, 0.25)
    assert {one.key: one.count for one in found.galleries} == {
        "fp-no_overlap": 2, "fp-iou_too_low": 1, "fp-already_matched": 1, "fn": 3, "tp": 1,
    }  # fmt: skip
    shown = {one.key: [(e.object, e.name, e.confidence, e.iou) for e in one.exhibits] for one in found.galleries}
    assert shown["fp-no_overlap"] == [("net/2", "cat", 0.7, None), ("net/4", "cow", 0.5, None)]
    assert shown["fp-iou_too_low"] == [("net/3", "cat", 0.6, pytest.approx(1 / 3))]
    assert shown["fp-already_matched"] == [("net/1", "cat", 0.8, 1.0)]
    assert shown["tp"] == [("net/0", "cat", 0.9, 1.0)]
    assert [row[:2] for row in shown["fn"]] == [("labels/2", "dog"), ("labels/3", "cat"), ("labels/4", "dog")]


def test_reasons_are_told_in_words_with_both_boxes(store: Store) -> None:
    found = {e.object: e for one in only(store).galleries for e in one.exhibits}
    assert found["net/2"].told == "No overlapping label of class `cat`. TIDE Cls: wrong class."
    assert found["net/2"].partner == "dog"
    assert found["net/3"].told == "IOU too low. TIDE Loc: badly placed."
    assert found["net/1"].told.startswith("Prediction with higher confidence already matched label. TIDE Dupe")
    assert found["net/4"].told.endswith("TIDE Bkg: overlaps no label by more than 0.1.")
    assert (found["labels/2"].told, found["labels/2"].partner) == ("Found as another class.", "cat")
    assert found["labels/3"].told == "What is near is badly placed or of another class."
    assert found["labels/4"].told == "Found, but with a confidence of 0.1 only."
    shot = found["net/3"].shot
    assert shot is not None
    assert [(mark.color, mark.dashed, mark.points[:2]) for mark in shot.marks] == [
        (OTHER, True, (10, 10)),
        (OWN, False, (30, 10)),
    ]
    alone, missed = found["net/4"].shot, found["labels/3"].shot
    assert alone is not None
    assert missed is not None
    assert [mark.color for mark in alone.marks] == [OWN], "no label lies there"
    assert [mark.color for mark in missed.marks] == [OTHER]


def test_curves_errors_calibration_and_matrix_have_the_values_of_hand(store: Store) -> None:
    found = only(store)
    assert [(one.name, one.labels) for one in found.curves.classes] == [("cat", 2), ("dog", 2)]
    assert [one.mean for one in found.curves.classes] == [pytest.approx(51 / 101)] * 2
    assert found.curves.average == pytest.approx(found.metrics["AP50"])
    sweep = found.curves.sweep
    assert sweep is not None
    assert sweep.best is not None
    assert (sweep.best.threshold, sweep.best.value) == (0.9, pytest.approx(0.4)), "of equals the highest confidence"
    assert sweep.precision[0] == pytest.approx(2 / 6)
    assert sweep.recall[0] == 0.5
    assert np.isnan(sweep.precision[-1])
    assert found.errors is not None
    assert {name: count for name, count, _ in found.errors.kinds} == {
        "Cls": 1,
        "Loc": 1,
        "Both": 0,
        "Dupe": 1,
        "Bkg": 1,
        "Miss": 0,
    }
    assert found.calibration is not None
    assert found.calibration.ece == pytest.approx(0.6)
    one = found.confusions
    assert one.names == ("cat", "dog", "cow", "None")
    assert one.matrix.tolist() == [[1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 0], [2, 0, 1, 0]]
    assert [(pair.label, pair.predicted, pair.count, pair.labels) for pair in one.pairs] == [("dog", "cat", 1, 2)]
    assert [row.name for row in found.classes] == ["cat", "dog", "cow"], "equal AP and labels: by name; without labels last"


def test_the_page_is_well_formed_and_says_these_numbers(text: str) -> None:
    outline = Outline(text)
    assert outline.open == []
    levels = [int(name[1]) for name, _ in outline.tags if re.fullmatch(r"h\d", name)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [found["id"] for _, found in outline.tags if "id" in found]
    assert len(set(ids)) == len(ids)
    assert all(str(found["href"])[1:] in ids for name, found in outline.tags if name == "a")
    assert all(found.get("alt") for name, found in outline.tags if name == "img")
    assert all(found.get("aria-label") for name, found in outline.tags if name == "svg" and "aria-hidden" not in found)
    assert all("…" not in str(found["d"]) for name, found in outline.tags if name == "path"), "a long path is not cut"
    seen = outline.visible
    assert "Of 4 labels, 1 are found (25 %); of 5 predictions that count, 4 are false (80 %)." in seen
    assert "Expected calibration error (ECE) 0.600" in seen
    assert "dog taken for cat" in seen
    assert "0.505 AP at IoU .50" in seen
    assert "home of carol" not in text
    assert "://" not in text


def test_the_contents_lead_to_parts_of_the_page(store: Store, text: str) -> None:
    links = model_links(looked_at(store))
    assert ("missed labels", 3, "model-0-fn") in links
    assert all(f'id="{anchor}"' in text for _, _, anchor in links)
    assert model_links(None) == []


def test_json_says_everything_without_nan(store: Store) -> None:
    model = looked_at(store)
    assert model is not None
    told = json.loads(json.dumps(model_json(model), allow_nan=False))
    (one,) = told["sets"]
    assert one["counts"] == {"tp": 1, "fp": 4, "fn": 3, "precision": 0.2, "recall": 0.25, "f1": pytest.approx(2 / 9)}
    assert one["confusion"]["pairs"][0]["examples"][0]["object"] == "net/2"
    assert one["galleries"][3]["shown"][0] == {
        "object": "labels/2", "frame": "photo001.png", "class": "dog", "confidence": None, "iou": 1.0,
        "told": "Found as another class.", "other_class": "cat",
    }  # fmt: skip
    assert one["sources"]["metrics"] == "results/evaluation.json"


@pytest.fixture(scope="module")
def photos(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = test_data / "coco_photos"
    found = gq.run(
        folder / "images", out=tmp_path_factory.mktemp("coco") / "run", labels=folder / "instances.json", metrics=["width"],
        predictions={"centernet": folder / "centernet_predictions.json"}, settings={"engine": {"kind": "inline"}},
    )  # fmt: skip
    evaluate(found)
    return found


@pytest.fixture(scope="module")
def bare(photos: Store) -> str:
    """The page of real photos with no room for pictures."""
    return drawn(photos, 1)


def test_numbers_of_real_photos_are_those_of_the_store(photos: Store, bare: str) -> None:
    found = only(photos)
    for one in found.galleries:
        count = photos.query(f"select count(*) as n from objects where {one.rule}")["n"].item()
        assert (one.key, one.count) == (one.key, count)
        assert one.count > len(one.exhibits) == 12
        assert f'{one.title} <span class="badge">{one.count:,}</span>' in bare
    sums = photos.query(
        "select count(*) filter (label_class = predicted_class) as tp, count(*) filter (prediction is not null) as n, "
        "count(*) filter (label is not null) as labels from evaluation_confusion"
    ).iloc[0]  # fmt: skip
    assert (found.counts.tp, found.counts.fp, found.counts.fn) == (sums.tp, sums.n - sums.tp, sums.labels - sums.tp)
    stored = photos.query('select "class", tp, fp, fn, AP, AP50, F1max, ECE from evaluation_classes').set_index("class")
    best = {curve.name: curve for curve in found.curves.classes}
    assert len(found.classes) == len(stored) == 80
    for figures in found.classes:
        row = stored.loc[figures.name]
        assert (figures.counts.tp, figures.counts.fp, figures.counts.fn) == (row.tp, row.fp, row.fn)
        if figures.labels:
            assert best[figures.name].mean == pytest.approx(row.AP50, abs=1e-12)
            assert (figures.best_f1 or 0.0) == pytest.approx(row.F1max)
    assert found.curves.average == pytest.approx(found.metrics["AP50"], abs=1e-12)


def test_errors_and_calibration_of_real_photos_are_those_of_the_evaluation(photos: Store) -> None:
    found, anew = only(photos), evaluate(photos, write=False)
    assert found.errors is not None
    assert [{"error": a, "count": b, "dAP": c} for a, b, c in found.errors.kinds] == anew.tide_summary()["errors"]
    assert found.calibration is not None
    assert found.calibration.ece == pytest.approx(anew.calibration_summary()["ece"], abs=1e-12)
    counted = photos.query("select tide_error, count(*) as n from objects where tide_error is not null group by 1")
    assert dict(zip(counted["tide_error"], counted["n"], strict=True)) == {a: b for a, b, _ in found.errors.kinds}


def test_the_matrix_of_many_classes_is_folded_and_adds_up(photos: Store) -> None:
    found = only(photos)
    one = found.confusions
    assert len(one.names) == 17
    assert one.names[-2:] == ("(other)", "None")
    assert one.named == 15
    cells = photos.query("select label_class, predicted_class, label, prediction from evaluation_confusion")
    assert one.matrix.sum() == len(cells)
    assert one.matrix[:-1].sum() == cells["label"].notna().sum()
    assert one.matrix[:, :-1].sum() == cells["prediction"].notna().sum()
    assert {name for pair in one.pairs for name in (pair.label, pair.predicted)} <= set(one.names), "each has a cell to link"
    person = one.names.index("person")
    assert one.matrix[person].sum() == (cells["label_class"] == "person").sum()
    both = cells["label"].notna() & cells["prediction"].notna()
    assert one.crossed == (both & (cells["label_class"] != cells["predicted_class"])).sum()
    assert one.right + np.trace(one.matrix[:15, :15]) == found.counts.tp
    assert one.folded == len(set(cells["label_class"]) | set(cells["predicted_class"]) - {"None"}) - 1 - 15


def test_a_page_without_pictures_stays_small(bare: str) -> None:
    assert len(bare.encode()) < 250_000
    assert "left out: size limit" in bare


def test_hostile_class_names_and_several_sets(tmp_path: Path) -> None:
    labels: Rows = [(i, k + 1, [10 * k, 5 * i, 20, 20], 1) for i in range(3) for k in range(6)]
    right: Rows = [(i, k, box, 0.9) for i, k, box, _ in labels]
    wrong: Rows = [(i, k % 6 + 1, box, 0.9) for i, k, box, _ in labels]
    store = made(tmp_path, HOSTILE, labels, {"right": right, "wrong": wrong, "idle": wrong}, frames=3)
    for name in ("right", "wrong"):
        evaluate(store, predictions=name)
    model = looked_at(store)
    assert model is not None
    assert model.notes == ("idle: 18 predictions, and the set was never evaluated; `gpu-quality evaluate` does that.",)
    best, worst = model.sets
    assert (best.counts.precision, best.counts.recall, best.counts.f1) == (1, 1, 1)
    assert [one.count for one in best.galleries] == [0, 0, 0, 0, 18]
    assert best.confusions.crossed == 0
    assert worst.counts.tp == 0
    assert (worst.confusions.crossed, worst.confusions.kinds) == (18, 6)
    assert worst.confusions.names == (*HOSTILE, "None"), "a class may be called like what is none"
    assert worst.confusions.named == 6
    assert len(worst.curves.classes) == 6
    page = drawn(store)
    outline = Outline(page)
    assert outline.open == []
    assert "<script" not in page
    assert "\u202e" not in page
    assert "x\\u202ey" in outline.visible
    assert "سيارة إسعاف" in outline.visible
    assert "Nothing to show of: false: no label of the class there" in outline.visible
    assert "outcome_right = 'tp'" in outline.visible
    ids = [found["id"] for _, found in outline.tags if "id" in found]
    assert len(set(ids)) == len(ids)
    assert all(str(found["href"])[1:] in ids for name, found in outline.tags if name == "a")
    json.dumps(model_json(model), allow_nan=False)


def test_chosen_classes_leave_the_others_out_of_the_counts(tmp_path: Path) -> None:
    store = known(tmp_path)
    evaluate(store, classes=["dog", "cow"])
    found = only(store)
    assert [row.name for row in found.classes] == ["dog", "cow"]
    assert (found.counts.tp, found.counts.fp, found.counts.fn) == (0, 1, 2)
    assert found.confusions.names[-2:] == ("(other)", "None")
    assert found.errors is not None
    assert {name: count for name, count, _ in found.errors.kinds}["Bkg"] == 1


def test_one_frame_and_one_prediction(tmp_path: Path) -> None:
    store = made(tmp_path, ("cat",), [(0, 1, BOX, 1)], {"net": [(0, 1, BOX, 0.5)]}, frames=1)
    evaluate(store)
    found = only(store)
    assert (found.counts.tp, found.counts.fp, found.counts.fn) == (1, 0, 0)
    assert Outline(drawn(store)).open == []


def test_labels_and_not_one_prediction(tmp_path: Path) -> None:
    store = made(tmp_path, ("cat",), [(0, 1, BOX, 1)], {"net": []}, frames=1)
    assert looked_at(store) is None, "nothing to evaluate"
    evaluate(store)
    found = only(store)
    assert (found.counts.tp, found.counts.fn, found.counts.precision) == (0, 1, None)
    assert found.curves.sweep is None
    assert found.calibration is None
    seen = Outline(drawn(store)).visible
    assert "no prediction counts" in seen
    assert "there are no predictions" in seen


def test_without_predictions_there_is_no_such_part(tmp_path: Path) -> None:
    store = made(tmp_path, ("cat",), [(0, 1, BOX, 1)], {}, frames=1)
    assert looked_at(store) is None
    assert model_section(None, ["a"], Album(Sheet.read(store, "frame"), None, decode_settings(store.identity))) is None


def test_predictions_without_labels_or_evaluation_are_named(tmp_path: Path) -> None:
    store = made(tmp_path, ("cat",), [], {"net": [(0, 1, BOX, 0.5)]}, frames=1)
    assert "net: 1 prediction, but there are no labels to compare them with." in Outline(drawn(store)).visible
    evaluate(store)
    found = only(store)
    assert (found.counts.tp, found.counts.fp, found.counts.recall) == (0, 1, None)
    seen = Outline(drawn(store)).visible
    assert "There is no label" in seen
    assert "there are no curves" in seen


def test_a_damaged_evaluation_is_a_sentence(tmp_path: Path) -> None:
    store = known(tmp_path)
    evaluate(store)
    results = store.path / "results"
    for name, damage in (("evaluation_grid.parquet", b"PAR1"), ("evaluation.json", b"{")):
        (results / name).write_bytes(damage)
        model = looked_at(store)
        assert model is not None
        assert model.sets == ()
        assert model.notes == (f"net: {name} is not what was written: `gpu-quality evaluate` makes it anew.",)
    assert "is not what was written" in Outline(drawn(store)).visible
    for damage in (b"[]", b'{"protocol": "coco"}', b"\x00"):
        store.save_result("evaluation.json", damage)
        store.save_result("evaluation_grid.parquet", b"PAR1")
        model = looked_at(store)
        assert model is not None
        assert model.sets == ()
        assert "makes it anew" in model.notes[0]


def test_a_missing_table_and_retired_columns_are_sentences(tmp_path: Path) -> None:
    store = known(tmp_path)
    evaluate(store)
    for layer in store.layers():
        if layer.meta.get("door") == "evaluate":
            store.retire(layer.name)
    model = looked_at(store)
    assert model is not None
    (found,) = model.sets
    assert "The store has no column outcome" in found.notes[-1]
    assert found.galleries == ()
    assert found.counts.tp == 1, "figures do not need them"
    (store.path / "results" / "evaluation_curves.parquet").unlink()
    model = looked_at(store)
    assert model is not None
    assert "net: the evaluation cannot be read (FileNotFoundError)" in model.notes[0]


def test_figures_and_columns_of_two_evaluations_are_told_apart(tmp_path: Path) -> None:
    store = known(tmp_path)
    evaluate(store)
    facts = json.loads((store.path / "results" / "evaluation.json").read_text())
    facts["params"]["confidence"] = 0.65
    store.save_result("evaluation.json", json.dumps(facts).encode())
    assert "come from two evaluations (confidence 0.25 and 0.65)" in only(store).notes[-1]
    facts["protocol"] = "mine"
    del facts["tide"]  # what is not stored is computed anew, where the protocol is known
    store.save_result("evaluation.json", json.dumps(facts).encode())
    found = only(store)
    assert found.errors is None
    assert any("What kinds of errors cost is not known" in note for note in found.notes)


@pytest.mark.parametrize("protocol", ["voc12", "labelbox", "fiftyone", "tide", "confusion"])
def test_every_protocol_has_a_page(tmp_path: Path, protocol: str) -> None:
    store = known(tmp_path)
    evaluate(store, protocol=protocol)
    found = only(store)
    assert (found.counts.tp, found.counts.fp, found.counts.fn) == (1, 4, 3), "of the matrix, whatever the protocol"
    assert Outline(drawn(store)).open == []
    model = looked_at(store)
    assert model is not None
    json.dumps(model_json(model), allow_nan=False)
