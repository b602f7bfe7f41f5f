"""Vectors in a run: made once, kept as arrays, found again whatever is asked later; every gap has its reason."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gpu_quality as gq
from gpu_quality.api.progress import Silent
from gpu_quality.api.state import state
from gpu_quality.cards import cards
from gpu_quality.errors import IncompatibleError, PlanError, UnknownNameError, UsageError
from tests.photos import data_files, write_photos

PLUGIN = '''
"""Metrics that only the tests know."""
import torch
import gpu_quality as gq
from gpu_quality.types import Answers, Index, Masked, Objects, Pixels
from jaxtyping import Float16, Float64, Int64
from torch import Tensor

@gq.feature(per="frame")
def halves(pixels: Pixels) -> Float16[Tensor, "b d"]:
    """Two numbers per frame; none at all for dark frames."""
    mean = torch.stack([pixels.frame(i).float().mean() for i in range(len(pixels.width))])
    x = torch.stack([mean, 255 - mean], 1).half()
    x[mean < 20] = torch.nan
    return x

@gq.metric(over="dataset", unit="cosine distance")
def lonely(halves: Float16[Tensor, "n d"], index: Index) -> Float64[Tensor, " n"] | Masked:
    """Distance to the nearest other frame."""
    d = index.neighbors(halves, 1)[0][:, 0].double()
    return Masked(d, d.isnan(), "no_neighbors")

@gq.metric(over="dataset", unit="cosine distance")
def near(embedding: Float16[Tensor, "n d"], index: Index) -> Float64[Tensor, " n"] | Masked:
    """Distance to the nearest other frame by the encoder."""
    d = index.neighbors(embedding, 1)[0][:, 0].double()
    return Masked(d, d.isnan(), "no_neighbors")

@gq.metric(over="dataset", unit="cosine distance")
def second(embedding: Float16[Tensor, "n d"], index: Index) -> Float64[Tensor, " n"] | Masked:
    """Distance to the second nearest other frame by the encoder."""
    d = index.neighbors(embedding, 2)[0][:, 1].double()
    return Masked(d, d.isnan(), "no_neighbors")

@gq.metric(per="object", over="dataset", unit="cosine distance")
def object_near(object_embedding: Float16[Tensor, "o d"], objects: Objects, index: Index) -> Float64[Tensor, " o"] | Masked:
    """Distance to the nearest other object of the origin."""
    d = index.neighbors(object_embedding, 1)[0][:, 0].double()
    return Masked(d, d.isnan(), "no_neighbors")

@gq.metric(per="classification", over="dataset", unit="count")
def asked(answers: Answers) -> Int64[Tensor, " c"] | Masked:
    """How many answers the question has; undefined for lone answers."""
    count = torch.bincount(answers.question)[answers.question]
    return Masked(count, count < 2, "no_neighbors")
'''


def photos_in(folder: Path, count: int) -> Path:
    """A folder with that many photos."""
    write_photos(folder, count)
    return folder


class Heard(Silent):
    """Remembers how many frames were to be streamed, and what was said."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.said: list[str] = []

    def begin(self, total: int, done: int, unit: str) -> None:
        """A stream layer begins."""
        self.begun.append(total - done)

    def say(self, text: str) -> None:
        """A sentence."""
        self.said.append(text)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A plugin with metrics on vectors."""
    path = tmp_path / "vectors.py"
    path.write_text(f"{PLUGIN}\n# {tmp_path.name}\n")  # a plugin of the same bytes is imported once
    return path


def inline(**more: object) -> dict[str, object]:
    """Settings of a run in this process."""
    return {"engine": {"kind": "inline", "device": "cpu", **more}}


def labels_of(folder: Path, boxes: dict[str, list[list[float]]]) -> Path:
    """COCO labels of the photos in a folder."""
    images = [{"id": i, "file_name": p.name, "width": 0, "height": 0} for i, p in enumerate(sorted(folder.iterdir()))]
    for image in images:
        image["width"], image["height"] = Image.open(folder / str(image["file_name"])).size
    ids = {image["file_name"]: image["id"] for image in images}
    annotations = [
        {"id": 1 + n, "image_id": ids[name], "category_id": 1, "bbox": box, "area": 1, "iscrowd": 0}
        for n, (name, box) in enumerate((name, box) for name, found in boxes.items() for box in found)
    ]
    path = folder.parent / "labels.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}))
    return path


def test_a_later_metric_opens_no_image_and_embeds_nothing(tmp_path: Path, plugin: Path) -> None:
    photos, out = photos_in(tmp_path / "photos", 4), tmp_path / "out"
    first, again = Heard(), Heard()
    gq.run(photos, out=out, metrics=["near"], plugins=[plugin], settings=inline(), progress=first)
    for photo in photos.iterdir():
        photo.chmod(0)
    store = gq.run(photos, out=out, metrics=["near", "second"], plugins=[plugin], settings=inline(), progress=again)
    assert first.begun == [4]
    assert again.begun == []
    near, second = store.column("near"), store.column("second")
    assert (second >= near).all()
    x = store.array("embedding").whole().astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    distance = 1 - x @ x.T
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_allclose(near, distance.min(1), atol=1e-6)
    assert store.array("embedding").whole().dtype == np.float16


def test_the_table_pass_is_counted_among_the_seconds(tmp_path: Path, plugin: Path) -> None:
    photos, out = photos_in(tmp_path / "photos", 2), tmp_path / "out"
    first = state(gq.run(photos, out=out, metrics=["near"], plugins=[plugin], settings=inline()))["seconds"]
    again = state(gq.run(photos, out=out, metrics=["near", "second"], plugins=[plugin], settings=inline()))["seconds"]
    assert again["table"] > first["table"] > 0
    assert again["total"] - first["total"] == pytest.approx(again["table"] - first["table"], abs=0.021)
    assert again["stream"] == first["stream"]


def test_vectors_are_the_same_for_any_batch_shard_and_thread(tmp_path: Path, plugin: Path) -> None:
    photos = photos_in(tmp_path / "photos", 7)
    ways = [
        {"engine": {"kind": "inline", "shard": 2}, "decode": {"batch": 1}},
        {"engine": {"kind": "inline", "shard": 8}, "decode": {"batch": 5}},
        {"engine": {"kind": "local", "shard": 3}, "decode": {"batch": 64, "threads": 2}},
    ]
    found = [
        gq.run(photos, out=tmp_path / f"{i}", metrics=["near"], plugins=[plugin], settings=way).array("embedding").whole()
        for i, way in enumerate(ways)
    ]
    one, *others = (x.astype(np.float64) for x in found)
    for other in others:
        cosine = (other * one).sum(1) / np.linalg.norm(other, axis=1) / np.linalg.norm(one, axis=1)
        assert cosine.min() > 0.99999


def test_gaps_have_a_reason(tmp_path: Path, plugin: Path) -> None:
    photos = photos_in(tmp_path / "photos", 3)
    names = sorted(p.name for p in photos.iterdir())
    (photos / names[1]).write_bytes(b"\xff\xd8 not a photo")
    boxes = {names[0]: [[0, 0, 8, 8], [500, 500, 3, 3]], names[1]: [[0, 0, 5, 5]], names[2]: [[1, 1, 9, 9], [2, 2, 0, 4]]}
    labels = tmp_path / "labels.json"
    images = [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(names)]
    rows = [(name, box) for name, found in boxes.items() for box in found]
    annotations = [
        {"id": i, "image_id": names.index(name), "category_id": 1, "bbox": box, "iscrowd": 0, "area": 9}
        for i, (name, box) in enumerate(rows)
    ]
    labels.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}))
    store = gq.run(
        photos, out=tmp_path / "out", labels=labels, metrics=["near", "object_near"], plugins=[plugin],
        settings={**inline(), "max_errors": "50%"},
    )  # fmt: skip
    x = store.array("object_embedding", "object").whole()
    assert np.isnan(x).all(1).tolist() == [False, True, True, False, True]
    assert np.isnan(store.array("embedding").whole()).all(1).tolist() == [False, True, False]
    nulls = store.nulls()
    why = nulls[nulls.metric == "object_embedding"]
    assert sorted(why.reason) == ["degenerate_geometry", "empty_region"]
    assert store.table("object", ["object_near"])["object_near"].notna().tolist() == [True, False, False, True, False]


def test_a_vector_that_is_not_finite_is_an_error_of_its_frame_alone(tmp_path: Path, plugin: Path) -> None:
    photos = photos_in(tmp_path / "photos", 4)
    names = sorted(p.name for p in photos.iterdir())
    Image.new("RGB", (16, 16)).save(photos / names[2], format="PNG")
    store = gq.run(photos, out=tmp_path / "out", metrics=["lonely"], plugins=[plugin], settings={**inline(), "max_errors": 2})
    errors = store.errors()
    assert errors[["frame", "metric", "reason"]].values.tolist() == [[names[2], "halves", "non_finite"]]
    assert store.column("lonely").notna().tolist() == [True, True, False, True]
    assert np.isnan(store.array("halves").whole()).any(1).tolist() == [False, False, True, False]


def test_predictions_are_embedded_where_that_is_asked_for(tmp_path: Path, plugin: Path) -> None:
    photos = photos_in(tmp_path / "photos", 2)
    names = sorted(p.name for p in photos.iterdir())
    labels = labels_of(photos, {name: [[0, 0, 9, 9]] for name in names})
    detections = tmp_path / "found.json"
    detections.write_text(json.dumps([{"image_id": i, "category_id": 1, "bbox": [1, 1, 8, 8], "score": 0.5} for i in range(2)]))
    given = {"labels": labels, "predictions": {"yolo": detections}, "metrics": ["object_near"], "plugins": [plugin]}
    alone = gq.run(photos, out=tmp_path / "a", settings=inline(), **given)
    both = gq.run(photos, out=tmp_path / "b", settings={**inline(), "encoder": {"objects": ["labels", "predictions"]}}, **given)
    origin = alone.table("object", ["origin"])["origin"].to_numpy()
    assert np.isnan(alone.array("object_embedding", "object").whole()).all(1).tolist() == (origin == 1).tolist()
    assert alone.table("object", ["object_near"])["object_near"].notna().tolist() == (origin == 0).tolist()
    assert not np.isnan(both.array("object_embedding", "object").whole()).any()
    assert both.table("object", ["object_near"])["object_near"].notna().all()


def test_answers_have_columns_of_their_own(tmp_path: Path, plugin: Path) -> None:
    root = tmp_path / "folders"
    for name, count in (("cat", 2), ("dog", 1)):
        write_photos(root / name, count)
    store = gq.run(root, out=tmp_path / "out", labels=root, metrics=["asked"], plugins=[plugin], settings=inline())
    assert store.table("classification", ["asked"])["asked"].tolist() == [3, 3, 3]
    assert store.verify().ok


def test_what_an_encoder_cannot_do_is_told_before_anything_is_written(tmp_path: Path, plugin: Path) -> None:
    photos, out = photos_in(tmp_path / "photos", 1), tmp_path / "out"
    with pytest.raises(UnknownNameError, match="defualt"):
        gq.run(photos, out=out, metrics=["near"], plugins=[plugin], settings={**inline(), "encoder": {"card": "defualt"}})
    with pytest.raises(UsageError, match="not here"):
        gq.run(photos, out=out, metrics=["near"], plugins=[plugin], settings={"encoder": {"card": "clip-vit-b32-openai"}})
    with pytest.raises(PlanError, match="--encoder"):
        gq.run(photos, out=out, metrics=["near"], plugins=[plugin], settings={**inline(), "encoder": {"card": "none"}})


def test_vectors_are_not_continued_on_another_kind_of_device(tmp_path: Path, plugin: Path) -> None:
    photos, out = photos_in(tmp_path / "photos", 4), tmp_path / "out"
    store = gq.run(photos, out=out, metrics=["near"], plugins=[plugin], settings=inline(shard=2))
    layer = next(layer for layer in store.layers() if layer.kind == "stream")
    assert layer.meta["encoder"]["device"] == "cpu"
    with pytest.raises(IncompatibleError, match="another meaning"):
        gq.run(
            photos, out=out, metrics=["near"], plugins=[plugin],
            settings={**inline(shard=2), "encoder": {"precision": "float32", "batch": 2}},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"precision": "float32"}, r"'embedding'.*\(precision: 'bfloat16' there, 'float32' asked\)"),
        ({"batch": 2}, r"'embedding'.*\(batch: 4 there, 2 asked\)"),
        ({"context": 0.5}, r"'object_embedding'.*\(context: 0.0 there, 0.5 asked\)"),
        ({"mask": True}, r"'object_embedding'.*\(mask: False there, True asked\)"),
        ({"card": "other"}, r"'embedding'.*\(card: 'default@\w+' there, 'other@\w+' asked\)"),
    ],
)
def test_a_store_names_what_makes_its_vectors_others(tmp_path: Path, plugin: Path, asked: dict[str, object], told: str) -> None:
    photos, out = photos_in(tmp_path / "photos", 2), tmp_path / "out"
    labels = labels_of(photos, {"photo000.png": [[1, 1, 9, 9]], "photo001.png": [[1, 1, 9, 9]]})
    encoder = {"precision": "bfloat16", "batch": 4}
    if "card" in asked:
        asked = {"card": str(another_card(tmp_path))}
    given = {"out": out, "labels": labels, "metrics": ["near", "object_near"], "plugins": [plugin]}
    gq.run(photos, settings={**inline(), "encoder": encoder}, **given)
    before = data_files(out)
    with pytest.raises(IncompatibleError, match=told) as caught:
        gq.run(photos, settings={**inline(), "encoder": {**encoder, **asked}}, **given)
    assert caught.value.exit_code == 13
    assert "as:" not in caught.value.hint
    assert data_files(out) == before


def another_card(folder: Path) -> Path:
    """The default encoder with other statistics of its input."""
    card = dict(cards())["default"]
    text = card.read_text().replace("name: default", "name: other").replace("mean: [0.5", "mean: [0.4")
    (folder / "other.yaml").write_text(text)
    (folder / "default.json").write_bytes(card.with_suffix(".json").read_bytes())
    return folder / "other.yaml"


def test_score_gives_metrics_of_vectors_by_name(plugin: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (40, 50, 3), np.uint8) for _ in range(3)]
    found = gq.score([*images, images[0]], metrics=["near"], plugins=[plugin])["near"]
    assert found.iloc[0] == pytest.approx(0, abs=1e-3)
    assert found.iloc[0] == found.iloc[3]
    assert torch.tensor(found.to_numpy()).isfinite().all()
