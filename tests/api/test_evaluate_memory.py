"""`evaluate` of what lies in memory, tensors and tables, and of maps with a class for every pixel."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import gpu_quality as gq
from gpu_quality.api.evaluate_semantic import evaluate_semantic
from gpu_quality.cli import main
from gpu_quality.errors import EmptyInputError, UsageError


def images(count: int = 6) -> tuple[list[dict], list[dict]]:
    """Targets and predictions as torchmetrics takes them."""
    generator = torch.Generator().manual_seed(3)
    target, preds = [], []
    for _ in range(count):
        corner = torch.rand((4, 2), generator=generator) * 60
        box = torch.cat([corner, corner + 5 + torch.rand((4, 2), generator=generator) * 30], 1).double()
        labels = torch.randint(0, 3, (4,), generator=generator)
        target.append({"boxes": box, "labels": labels})
        moved = box + torch.randn(box.shape, generator=generator)
        preds.append({"boxes": moved, "labels": labels, "scores": torch.rand(4, generator=generator)})
    return target, preds


def as_coco(target: list[dict], preds: list[dict]) -> tuple[dict, list]:
    """The same as parsed COCO files; each box as x y w h."""
    annotations, results = [], []
    for image, (truth, found) in enumerate(zip(target, preds, strict=True)):
        for box, label in zip(truth["boxes"].tolist(), truth["labels"].tolist(), strict=True):
            w, h = box[2] - box[0], box[3] - box[1]
            annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": label,
                                "bbox": [*box[:2], w, h], "area": w * h, "iscrowd": 0})  # fmt: skip
        for box, label, score in zip(*(found[key].tolist() for key in ("boxes", "labels", "scores")), strict=True):
            results.append({"image_id": image, "category_id": label,
                            "bbox": [*box[:2], box[2] - box[0], box[3] - box[1]], "score": score})  # fmt: skip
    frames = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(len(target))]
    return {"images": frames, "annotations": annotations, "categories": [{"id": i, "name": str(i)} for i in range(3)]}, results


def test_tensors_give_what_the_same_boxes_give_as_coco() -> None:
    target, preds = images()
    labels, results = as_coco(target, preds)
    wanted = gq.evaluate(labels=labels, predictions=results)
    found = gq.evaluate(labels=target, predictions=preds)
    assert found.stats == pytest.approx(wanted.stats, abs=1e-12)
    assert 0.2 < found.summary["AP"] < 1
    assert found.confusion().matrix.tolist() == wanted.confusion().matrix.tolist()
    with pytest.raises(UsageError, match="oriented"):
        gq.evaluate(labels=target, predictions=preds, kind="oriented")


def test_tables_in_memory_are_read_as_their_files_would_be(tmp_path: Path) -> None:
    labels = pd.DataFrame({"image": ["a.jpg", "a.jpg", "b.jpg"], "class": ["cat", "dog", "cat"], "x1": [0.0, 20, 5],
                           "y1": [0.0, 20, 5], "x2": [10.0, 40, 25], "y2": [10.0, 40, 25]})  # fmt: skip
    found = labels.assign(score=[0.9, 0.8, 0.7], x1=[0.0, 20, 50])
    got = gq.evaluate(labels=labels, predictions=found)
    found.to_csv(tmp_path / "found.csv", index=False)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    wanted = gq.evaluate(labels=tmp_path / "labels.csv", predictions=tmp_path / "found.csv")
    assert got.summary == wanted.summary
    assert got.counts().tp.sum() == 2


def write_maps(folder: Path, maps: dict[str, np.ndarray]) -> Path:
    """Class maps as PNG files."""
    for name, values in maps.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(path)
    return folder


@pytest.fixture
def maps(tmp_path: Path) -> tuple[Path, Path]:
    """Two maps: classes 0 and 1, some pixels ignored; and two odd pairs."""
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, 255]])
    said = np.array([[0, 1, 1, 1], [0, 0, 0, 0]])
    labels = {"x/a.png": truth, "b.png": truth * 0, "odd.png": truth, "alone.png": truth}
    found = {"x/a.png": said, "b.png": said * 0, "odd.png": said[:, :2]}
    return write_maps(tmp_path / "labels", labels), write_maps(tmp_path / "found", found)


def test_every_pixel_counts_but_those_ignored(maps: tuple[Path, Path]) -> None:
    told = evaluate_semantic(*maps, classes=["ground", "car"], boundary=0.02)
    ground, car = told["per_class"]
    assert (ground["class"], ground["pixels"], ground["iou"]) == ("ground", 12, pytest.approx(11 / 13))
    assert (car["pixels"], car["iou"], car["dice"]) == (3, pytest.approx(2 / 4), pytest.approx(4 / 6))
    assert 0 <= car["boundary_iou"] <= 1
    assert told["metrics"]["mean_iou"] == pytest.approx((11 / 13 + 1 / 2) / 2)
    assert told["metrics"]["pixel_accuracy"] == pytest.approx(13 / 15)
    assert {problem["id"] for problem in told["problems"]} == {"alone.png", "odd.png"}


def test_the_program_tells_the_same(maps: tuple[Path, Path], monkeypatch, capsys) -> None:
    arguments = ["evaluate", "--kind", "semantic", "--labels", str(maps[0]), "--predictions", str(maps[1]), "--json"]
    monkeypatch.setattr("sys.argv", ["gpu-quality", *arguments, "--fail-on", "mean_iou>=0.9"])
    assert main.program() == 5
    told = json.loads(capsys.readouterr().out)
    assert told["metrics"]["mean_iou"] == pytest.approx((11 / 13 + 1 / 2) / 2)
    monkeypatch.setattr("sys.argv", ["gpu-quality", *arguments[:-1]])
    assert main.program() == 3
    out = capsys.readouterr().out
    assert "mean_iou 0.6731" in out
    monkeypatch.setattr("sys.argv", ["gpu-quality", *arguments, "--tide"])
    assert main.program() == 2


def test_folders_without_a_pair_are_refused(tmp_path: Path, maps: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="no folder"):
        evaluate_semantic(tmp_path / "nowhere", maps[1])
    with pytest.raises(EmptyInputError, match="no pair"):
        evaluate_semantic(maps[0], write_maps(tmp_path / "other", {"z.png": np.zeros((2, 2))}))
