"""The evaluator of training loops: the figures of files, of torchmetrics, and of any split over batches and processes."""

import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.evaluation import coco_table
from gpu_quality.evaluation.coco import evaluate
from gpu_quality.evaluation.coco_files import read_coco
from gpu_quality.evaluation.evaluator import Evaluator
from gpu_quality.evaluation.protocol import COCO, COCO_KEYPOINTS, LABELBOX
from tests.evaluation.coco_sets import made

Images = list[dict[str, Any]]


def tensors(
    labels: dict[str, Any], results: list[dict[str, Any]], dtype: torch.dtype = torch.float32, *, corners: bool = True
) -> tuple[Images, Images]:
    """The same set as dictionaries of tensors, x1 y1 x2 y2 (or x y w h), images by rising id."""
    preds, target = [], []
    for image in sorted(one["id"] for one in labels["images"]):
        sides = [[record for record in side if record["image_id"] == image] for side in (results, labels["annotations"])]
        for out, own in zip((preds, target), sides, strict=True):
            box = torch.tensor([record["bbox"] for record in own], dtype=dtype).reshape(-1, 4)
            box[:, 2:] += box[:, :2] if corners else 0
            out.append({"boxes": box, "labels": torch.tensor([record["category_id"] for record in own], dtype=torch.int64)})
        preds[-1]["scores"] = torch.tensor([record["score"] for record in sides[0]], dtype=dtype)
        target[-1]["iscrowd"] = torch.tensor([record["iscrowd"] for record in sides[1]], dtype=torch.int64)
        target[-1]["area"] = torch.tensor([record["area"] for record in sides[1]], dtype=torch.float64)
    return preds, target


@given(st.integers(0, 10**9), st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_batches_give_the_figures_of_files(seed: int, step: int) -> None:
    labels, results = made(seed)
    sets = read_coco(labels, results)
    figures = evaluate(sets.labels, sets.predictions, classes=len(sets.class_ids))
    preds, target = tensors(labels, results, torch.float64, corners=False)
    evaluator = Evaluator(classes=sets.class_ids, box_format="xywh")
    for start in range(0, len(preds), step):
        evaluator.update(preds[start : start + step], target[start : start + step])
    found = evaluator.compute()
    assert [found[key].item() for key in ("map", "map_50", "map_75", "map_small", "mar_1", "mar_100")] == [
        coco_table.stats(figures)[i] for i in (0, 1, 2, 3, 6, 8)
    ]
    assert found["AP"] == coco_table.keys(figures)["AP"]
    assert found["classes"].tolist() == list(sets.class_ids)
    assert found["map_per_class"].shape == found["classes"].shape
    assert torch.equal(evaluator.figures().scores, figures.scores)


def torchmetrics(preds: Images, target: Images, **options: Any) -> dict[str, torch.Tensor]:
    detection = pytest.importorskip("torchmetrics.detection")
    pytest.importorskip("pycocotools")
    # its own thresholds are float32: 0.6 is a little more there, and overlaps of exactly 0.6 do not match
    grids = {"iou_thresholds": list(COCO.thresholds), "rec_thresholds": list(COCO.recalls)}
    peer = detection.MeanAveragePrecision(class_metrics=True, **grids, **options)
    peer.update(preds, target)
    return peer.compute()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(6))
def test_torchmetrics_has_the_same_keys_and_figures(seed: int) -> None:
    labels, results = made(seed, images=20)
    for record in (*labels["annotations"], *results):
        record["bbox"] = [float(round(side)) for side in record["bbox"]]  # exact in float32
    preds, target = tensors(labels, results)
    expected = torchmetrics(preds, target)
    evaluator = Evaluator()
    evaluator.update(preds, target)
    found = evaluator.compute()
    assert set(expected) <= set(found)
    for key, value in expected.items():
        assert np.allclose(found[key].numpy(), value.numpy(), atol=1e-6), key


def blobs(seed: int, images: int = 5) -> tuple[Images, Images]:
    """Masks, and predictions that are moved a little."""
    generator = torch.Generator().manual_seed(seed)
    preds, target = [], []
    for _ in range(images):
        corner = torch.randint(0, 30, (3, 2), generator=generator)
        masks = torch.zeros(3, 40, 50, dtype=torch.bool)
        moved = torch.zeros(3, 40, 50, dtype=torch.bool)
        for i, (y, x) in enumerate(corner.tolist()):
            masks[i, y : y + 9, x : x + 12] = True
            moved[i, y + 1 : y + 10, x : x + 12 + i] = True
        labels = torch.randint(0, 2, (3,), generator=generator)
        target.append({"masks": masks, "labels": labels})
        preds.append({"masks": moved, "labels": labels, "scores": torch.rand(3, generator=generator)})
    return preds, target


@pytest.mark.filterwarnings("ignore")
def test_masks_are_those_of_torchmetrics() -> None:
    preds, target = blobs(3)
    expected = torchmetrics(preds, target, iou_type="segm")
    evaluator = Evaluator(kind="mask")
    evaluator.update(preds, target)
    found = evaluator.compute()
    assert 0 < found["map"] < 1
    for key in ("map", "map_50", "map_75", "map_small", "mar_100"):
        assert found[key].item() == pytest.approx(expected[key].item(), abs=1e-6), key


def test_masks_as_run_lengths_are_the_same_masks() -> None:
    preds, target = blobs(4)
    one, other = Evaluator(kind="mask"), Evaluator(kind="mask")
    one.update(preds, target)

    def coded(images: Images) -> Images:
        out = []
        for image in images:
            counts = []
            for mask in image["masks"]:
                flat = mask.T.reshape(-1).tolist()
                runs, value = [0], False
                for pixel in flat:
                    if pixel != value:
                        runs.append(0)
                        value = pixel
                    runs[-1] += 1
                counts.append({"size": [40, 50], "counts": runs})
            out.append(image | {"masks": counts})
        return out

    other.update(coded(preds), coded(target))
    assert one.collect().labels.shapes.rle == other.collect().labels.shapes.rle
    assert one.compute()["map"] == other.compute()["map"] > 0
    assert one.collect().labels.area.tolist() == [108.0] * 15


def test_keypoints_are_those_of_files() -> None:
    rng = np.random.default_rng(0)
    labels, results = made(21)
    for side in (labels["annotations"], results):
        for record in side:
            x, y, w, h = record["bbox"]
            points = np.stack([x + rng.random(17) * w, y + rng.random(17) * h, rng.integers(0, 3, 17) * (w > 20)], 1)
            record["keypoints"] = points.reshape(-1).tolist()
    preds, target = tensors(labels, results, torch.float64, corners=False)
    for image, pred, own in zip(sorted(one["id"] for one in labels["images"]), preds, target, strict=True):
        for out, side in ((pred, results), (own, labels["annotations"])):
            points = [record["keypoints"] for record in side if record["image_id"] == image]
            out["keypoints"] = torch.tensor(points, dtype=torch.float64).reshape(-1, 17, 3)
    evaluator = Evaluator(kind="keypoints", box_format="xywh")
    evaluator.update(preds[:3], target[:3])
    evaluator.update(preds[3:], target[3:])
    sets = read_coco(labels, results, kind="keypoints")
    figures = evaluate(sets.labels, sets.predictions, COCO_KEYPOINTS, kind="keypoints")
    assert [v for k, v in evaluator.compute().items() if k in coco_table.keys(figures)] == list(
        coco_table.keys(figures).values()
    )


def test_formats_of_boxes_are_the_same_boxes() -> None:
    labels, results = made(22)
    preds, target = tensors(labels, results)
    found = []
    for name in ("xyxy", "xywh", "cxcywh"):
        evaluator = Evaluator(box_format=name)

        def turned(images: Images, name: str = name) -> Images:
            out = []
            for image in images:
                box = image["boxes"].clone()
                box[:, 2:] -= box[:, :2] if name != "xyxy" else 0
                box[:, :2] += box[:, 2:] / 2 if name == "cxcywh" else 0
                out.append(image | {"boxes": box})
            return out

        evaluator.update(turned(preds), turned(target))
        found.append(evaluator.compute()["map"].item())
    assert found[0] == pytest.approx(found[1]) == pytest.approx(found[2])
    assert found[0] > 0


def test_ids_order_images_and_padding_counts_once() -> None:
    labels, results = made(23)
    preds, target = tensors(labels, results)
    for i, image in enumerate(target):
        image["image_id"] = torch.tensor([i])
    straight = Evaluator()
    straight.update(preds, target)
    ranks = [Evaluator(), Evaluator()]
    for rank, evaluator in enumerate(ranks):
        evaluator.update(preds[1 - rank :: 2], target[1 - rank :: 2])
    ranks[1].update(preds[:1], target[:1])  # what a sampler pads with
    ranks[0].merge(pickle.loads(pickle.dumps(ranks[1])))
    found, expected = ranks[0].compute(), straight.compute()
    assert found["repeated_images"] == 1
    assert found["images"] == expected["images"] == len(preds)
    assert torch.equal(ranks[0].figures().precision, straight.figures().precision)
    assert torch.equal(ranks[0].figures().scores, straight.figures().scores)


def test_state_can_be_pickled_and_loaded_and_reset_forgets() -> None:
    preds, target = blobs(5)
    one = Evaluator(kind="mask")
    one.update(preds[:2], target[:2])
    one.update(preds[2:], target[2:])
    other = Evaluator(kind="mask")
    other.load_state(pickle.loads(pickle.dumps(one.state())))
    assert other.compute()["map"] == one.compute()["map"]
    assert one.sync().compute()["map"] == one.compute()["map"]
    one.reset()
    with pytest.raises(UsageError, match="nothing to evaluate"):
        one.compute()
    assert other.compute()["images"] == 5


def gathered(rank: int, file: str, queue: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    preds, target = tensors(*made(24))
    evaluator = Evaluator()
    half = slice(0, 4) if rank == 0 else slice(4, None)
    evaluator.update(preds[half], target[half])
    queue.put((rank, evaluator.sync().compute()["map"].item(), evaluator.compute()["images"]))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_see_all_images(tmp_path: Any) -> None:
    if not torch.distributed.is_available():
        pytest.skip("torch without distributed")
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=gathered, args=(rank, str(tmp_path / "store"), queue)) for rank in range(2)]
    for worker in workers:
        worker.start()
    found = sorted(queue.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()
    whole = Evaluator()
    whole.update(*tensors(*made(24)))
    assert [value for _, value, _ in found] == [whole.compute()["map"].item()] * 2
    assert [images for _, _, images in found] == [4, 4]


@pytest.mark.cuda
def test_cuda_tensors_are_taken() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    preds, target = tensors(*made(25))
    one, other = Evaluator(), Evaluator()
    one.update(preds, target)
    other.update(*([{key: value.cuda() for key, value in image.items()} for image in side] for side in (preds, target)))
    assert one.compute()["map"] == other.compute()["map"]


def test_empty_images_and_no_objects_at_all() -> None:
    empty = {"boxes": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    evaluator = Evaluator()
    evaluator.update([empty], [empty])
    found = evaluator.compute()
    assert found["map"] == -1
    assert found["AP"] is None
    assert found["images"] == 1
    evaluator.update([], [])
    assert evaluator.compute()["images"] == 1


def one_image() -> tuple[dict[str, Any], dict[str, Any]]:
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
    return {"boxes": box, "scores": torch.tensor([0.9, 0.8]), "labels": torch.tensor([0, 1])}, {
        "boxes": box,
        "labels": torch.tensor([0, 1]),
    }


@pytest.mark.parametrize(
    ("side", "change", "message"),
    [
        (0, {"scores": None}, r"preds\[1\]: 'scores' is missing"),
        (0, {"scores": [0.9, 0.8]}, r"preds\[1\]: 'scores' must be a tensor; got a list"),
        (0, {"scores": torch.tensor([0.9, math.nan])}, r"preds\[1\]: object 1: the score is NaN"),
        (0, {"scores": torch.tensor([0.9, math.inf])}, r"preds\[1\]: object 1: score inf"),
        (0, {"scores": torch.zeros(3)}, r"scores must have the shape \[2\], as there are 2 labels; got \[3\]"),
        (0, {"boxes": torch.zeros(2, 5)}, r"preds\[1\]: boxes must have the shape \[2, 4\]"),
        (1, {"boxes": torch.full((2, 4), math.nan)}, r"target\[1\]: object 0: box"),
        (1, {"labels": torch.tensor([0.5, 1.0])}, r"target\[1\]: labels must be whole numbers"),
        (1, {"labels": torch.tensor([[0, 1]])}, r"target\[1\]: labels must be whole numbers"),
        (1, {"area": torch.tensor([1.0, math.inf])}, r"target\[1\]: object 1: area inf"),
        (1, {"iscrowd": torch.zeros(1)}, r"target\[1\]: iscrowd must have the shape \[2\]"),
        (1, {"image_id": 3}, "target 0 has no image_id, others do"),
    ],
)
def test_wrong_input_is_told_where(side: int, change: dict[str, Any], message: str) -> None:
    pair = [one_image(), one_image()]
    sides = [[dict(pair[i][which]) for i in range(2)] for which in range(2)]
    sides[side][1].update(change)
    evaluator = Evaluator()
    with pytest.raises(UsageError, match=message):
        evaluator.update(*sides)
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluator.compute()


def test_wrong_masks_are_told() -> None:
    preds, target = blobs(6, images=1)
    evaluator = Evaluator(kind="mask")
    for bad, message in (
        (preds[0]["masks"][0], "masks must be booleans"),
        (preds[0]["masks"].float(), "masks must be booleans"),
        (preds[0]["masks"][:2], r"preds\[0\]: 2 masks, but 3 labels"),
        ([{"size": [40, 50], "counts": [1, 2]}] * 3, r"preds\[0\]: mask 0: counts"),
        ([{"counts": "x"}] * 3, r"preds\[0\]: mask 0 must be a dictionary with size"),
    ):
        with pytest.raises(UsageError, match=message):
            evaluator.update([preds[0] | {"masks": bad}], target)


def test_wrong_options_and_classes_are_told() -> None:
    with pytest.raises(UnknownNameError, match="coca"):
        Evaluator("coca")
    with pytest.raises(UsageError, match="kind 'cube'"):
        Evaluator(kind="cube")
    with pytest.raises(UsageError, match="box_format 'yxyx'"):
        Evaluator(box_format="yxyx")
    with pytest.raises(UsageError, match="no COCO figures"):
        Evaluator(LABELBOX)
    preds, target = one_image()
    evaluator = Evaluator(classes=1)
    evaluator.update([preds], [target])
    with pytest.raises(UsageError, match="target has labels that are none of the 1 classes: 1"):
        evaluator.compute()
    with pytest.raises(UsageError, match="preds has 1 images, target 2"):
        evaluator.update([preds], [target, target])
    with pytest.raises(UsageError, match="preds must be a list"):
        evaluator.update(preds, [target])
    with pytest.raises(UsageError, match="some images have an image_id"):
        evaluator.update([preds], [target | {"image_id": 5}])
    with pytest.raises(UsageError, match="the other evaluator has classes None"):
        evaluator.merge(Evaluator())
    with pytest.raises(UsageError, match="no state of an Evaluator"):
        evaluator.load_state({})


def test_rules_of_ones_own() -> None:
    preds, target = one_image()
    evaluator = Evaluator(replace(COCO, thresholds=(0.3, 0.5), max_detections=(5,)))
    evaluator.update([preds], [target])
    found = evaluator.compute()
    assert found["map"] > 0.99
    assert found["mar_5"] == 1
    assert found["map_75"] == -1
