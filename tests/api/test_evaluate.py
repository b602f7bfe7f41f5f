"""`evaluate` and `compare` as people call them: stores, files, slices, classes, gates, columns; against pycocotools."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

import gpu_quality as gq
from gpu_quality.api.evaluate_answers import evaluate_answers
from gpu_quality.api.gates import check_gates
from gpu_quality.errors import GateError, UnknownNameError, UsageError

SIZE = 100


def boxes(seed: int, images: int = 12) -> tuple[dict, list]:
    """Labels and results of a clumsy detector: shifted boxes, wrong classes, ghosts, misses."""
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    for image in range(1, images + 1):
        for _ in range(rng.integers(0, 5)):
            x, y, w, h = rng.uniform(0, 60), rng.uniform(0, 60), rng.uniform(5, 40), rng.uniform(5, 40)
            kind = int(rng.integers(1, 4))
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": kind, "bbox": [x, y, w, h], "area": w * h,
                 "iscrowd": int(rng.random() < 0.1)}
            )  # fmt: skip
            if rng.random() < 0.8:
                move = rng.normal(0, 2, 4)
                results.append(
                    {"image_id": image, "category_id": kind if rng.random() < 0.8 else 1 + kind % 3,
                     "bbox": [x + move[0], y + move[1], max(w + move[2], 1), max(h + move[3], 1)],
                     "score": round(float(rng.random()), 2)}
                )  # fmt: skip
        if rng.random() < 0.5:
            results.append({"image_id": image, "category_id": 2, "bbox": [1, 1, 9, 9], "score": round(float(rng.random()), 2)})
    frames = [{"id": i, "file_name": f"{i:03d}.jpg", "width": SIZE, "height": SIZE} for i in range(1, images + 1)]
    classes = [{"id": i, "name": name} for i, name in ((1, "cat"), (2, "dog"), (3, "cow"))]
    return {"images": frames, "annotations": annotations, "categories": classes}, results


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Both as files."""
    labels, results = boxes(0)
    (tmp_path / "gt.json").write_text(json.dumps(labels))
    (tmp_path / "dt.json").write_text(json.dumps(results))
    return tmp_path / "gt.json", tmp_path / "dt.json"


@pytest.fixture
def store(tmp_path: Path, files: tuple[Path, Path]) -> gq.Store:
    """A run on labels and predictions alone."""
    return gq.run(labels=str(files[0]), predictions={"yolo": str(files[1])}, out=tmp_path / "out",
                  metrics=["object_area", "object_count"])  # fmt: skip


def reference(labels: Path, results: Path) -> list[float]:
    """The twelve figures of pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(labels))
        found = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        found.evaluate()
        found.accumulate()
        found.summarize()
    return found.stats.tolist()


def test_files_and_parsed_objects_give_the_figures_of_pycocotools(files: tuple[Path, Path]) -> None:
    wanted = reference(*files)
    assert gq.evaluate(labels=files[0], predictions=files[1]).stats == wanted
    parsed = [json.loads(path.read_text()) for path in files]
    found = gq.evaluate(labels=parsed[0], predictions=parsed[1])
    assert found.stats == wanted
    assert found.summary["AP"] == wanted[0]
    assert f"= {wanted[0]:0.3f}" in found.table().splitlines()[0]


def test_a_store_gives_the_same_and_gets_columns(store: gq.Store, files: tuple[Path, Path]) -> None:
    found = gq.evaluate(store)
    np.testing.assert_allclose(found.stats, reference(*files), atol=1e-9)
    table = store.table("object", ["origin", "outcome", "matched_object", "iou_with_label", "reason", "tide_error", "object"])
    predicted, labeled = table[table.origin == 1], table[table.origin == 0]
    assert set(predicted.outcome) <= {"tp", "fp", "ignored"}
    assert set(labeled.outcome) <= {"matched", "fn", "ignored"}
    assert (predicted.outcome == "tp").sum() == (labeled.outcome == "matched").sum() >= 5
    back = dict(zip(labeled.object, labeled.matched_object, strict=True))
    for row in predicted[predicted.outcome == "tp"].itertuples():
        assert back[row.matched_object] == row.object
        assert row.iou_with_label >= 0.5
        assert row.reason is None or row.reason != row.reason
    assert predicted[predicted.outcome == "fp"].reason.notna().all()
    counts = found.counts().sum()
    frames = store.table("frame", ["frame_tp", "frame_fp", "frame_fn"]).sum()
    assert frames.tolist() == [counts.tp, counts.fp, counts.fn]
    assert store.verify().ok


def test_evaluating_again_replaces_the_columns(store: gq.Store) -> None:
    gq.evaluate(store, iou=0.5)
    first = store.query("select count(*) n from objects where outcome = 'tp'").n[0]
    gq.evaluate(store, iou=0.95)
    second = store.query("select count(*) n from objects where outcome = 'tp'").n[0]
    assert second < first
    assert len([layer for layer in store.layers() if layer.meta.get("door") == "evaluate"]) == 1
    grid = store.query("select * from evaluation_grid where class = 'cat' and confidence = 0 and iou_threshold = 0.5")
    assert grid.tp[0] + grid.fn[0] > 0
    cells = store.query("select count(*) n from evaluation_confusion where predicted_class = 'None'")
    assert cells.n[0] > 0


def test_a_slice_of_small_objects_is_cocos_small(store: gq.Store) -> None:
    found = gq.evaluate(store, slices={"small": "area <= 1024", "early": "frame < '006.jpg'"}, write=False)
    assert found.by_slice.set_index("slice").AP["small"] == pytest.approx(found.summary["APs"])
    early = found.by_slice.set_index("slice").loc["early"]
    assert 0 < early.labels < len(found.compared.labels)
    with pytest.raises(UsageError, match="slice"):
        gq.evaluate(store, slices=["colour = 'red'"], write=False)


def test_classes_can_be_chosen_and_misspelt(files: tuple[Path, Path]) -> None:
    whole = gq.evaluate(labels=files[0], predictions=files[1])
    alone = gq.evaluate(labels=files[0], predictions=files[1], classes=["dog"])
    assert alone.classes == ("dog",)
    assert alone.summary["AP"] == pytest.approx(whole.per_class.AP["dog"])
    with pytest.raises(UnknownNameError, match="dgo"):
        gq.evaluate(labels=files[0], predictions=files[1], classes=["dgo"])


@pytest.mark.parametrize("protocol", ["voc07", "voc12", "openimages", "labelbox", "fiftyone", "encord", "tide", "confusion"])
def test_every_protocol_sums_up(files: tuple[Path, Path], protocol: str) -> None:
    found = gq.evaluate(labels=files[0], predictions=files[1], protocol=protocol)
    assert any(value is not None and value > 0 for value in found.summary.values())
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["protocol"] == protocol
    assert len(told["stats"]) == 12


def test_gates_ask_for_good_figures_or_name_bad_ones(files: tuple[Path, Path]) -> None:
    found = gq.evaluate(labels=files[0], predictions=files[1])
    ap, recall = found.summary["AP"], found.per_class.recall["cat"]
    assert ap is not None
    assert (
        len(check_gates(found, [f"map>={ap - 0.01}", f"AP<{ap - 0.01}", f"recall/cat>={recall}", "oLRP/cat<=1", "fp<9999"]))
        == 5
    )
    for gate in (f"map>={ap + 0.01}", f"AP<{ap + 0.01}", "fp>0", "ECE/cat>=0"):
        with pytest.raises(GateError, match="not passed"):
            check_gates(found, [gate])
    with pytest.raises(UsageError, match="no condition"):
        check_gates(found, ["map"])
    with pytest.raises(UnknownNameError, match="mapp"):
        check_gates(found, ["mapp>=0.1"])


def test_wrong_rows_are_told_and_the_rest_is_evaluated(files: tuple[Path, Path]) -> None:
    labels, results = (json.loads(path.read_text()) for path in files)
    clean = gq.evaluate(labels=labels, predictions=results).stats
    wrong = [
        {"image_id": 999, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.9},
        {"image_id": 1, "category_id": 77, "bbox": [0, 0, 5, 5], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, float("nan"), 5], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]},
    ]
    found = gq.evaluate(labels=labels, predictions=[*results, *wrong])
    assert found.stats == clean
    reasons = {problem["reason"] for problem in found.compared.problems}
    assert reasons == {"dt_orphan_image_id", "dt_orphan_category_id", "non_finite_geometry", "dt_missing_score"}
    assert found.to_dict()["counts"]["refused_rows"] == 4


def test_what_cannot_be_compared_is_said(tmp_path: Path, files: tuple[Path, Path], store: gq.Store) -> None:
    with pytest.raises(UsageError, match="labels and predictions are needed"):
        gq.evaluate(labels=files[0])
    with pytest.raises(UsageError, match="no prediction set 'detr'"):
        gq.evaluate(store, predictions="detr")
    with pytest.raises(UsageError, match="not both"):
        gq.evaluate(store, labels=files[0])
    with pytest.raises(UsageError, match="kind 'boxes'"):
        gq.evaluate(store, kind="boxes")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="cocco"):
        gq.evaluate(store, protocol="cocco")
    with pytest.raises(UsageError, match="iou must be"):
        gq.evaluate(store, iou=50)
    bare = gq.run(labels=str(files[0]), out=tmp_path / "bare", metrics=["object_area"])
    with pytest.raises(UsageError, match="no predictions"):
        gq.evaluate(bare)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UsageError, match=r"broken\.json"):
        gq.evaluate(labels=tmp_path / "broken.json", predictions=files[1])


def test_answers_are_joined_by_frame(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    predictions = tmp_path / "predictions.csv"
    labels.write_text("image,class\na.jpg,cat\nb.jpg,dog\nc.jpg,dog\nd.jpg,cat\n")
    predictions.write_text("image,class,score\nd.jpg,dog,0.9\nc.jpg,dog,0.8\nb.jpg,dog,0.7\na.jpg,cat,0.6\n")
    told = evaluate_answers(labels=labels, predictions=predictions)
    (question,) = told["questions"]
    assert question["metrics"]["accuracy"] == 0.75
    dog = next(row for row in question["per_class"] if row["class"] == "dog")
    assert (dog["precision"], dog["recall"]) == (pytest.approx(2 / 3), 1)
