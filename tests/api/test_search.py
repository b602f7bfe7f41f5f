"""Searching a store: by its own frames and objects, by pictures, by words; what cannot be compared is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gpu_quality as gq
from gpu_quality.api.search import find, search
from gpu_quality.cards import ModelCard
from gpu_quality.encoders.encoder import load_encoder
from gpu_quality.errors import CorruptError, IncompatibleError, RefusedError, UnknownNameError, UsageError
from gpu_quality.index import faiss as door
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store
from tests.encoders.tiny import write_tiny
from tests.reports.planted import BROKEN, NAMES, planted_store, write_images

LAYER, DIM = "00000000deadbeef", 32
COLUMN = {"hidden": False, "unit": "", "vector": True, "version": 1}


def facts_of(made_by: ModelCard, **changed: object) -> dict[str, object]:
    """What a run tells about its encoder."""
    facts = {"card": made_by.name, "dim": made_by.dim, "sha256": made_by.expected(), "meaning": made_by.meaning()}
    return {**facts, "text": made_by.text, "precision": "float32", "batch": 4, "device": "cpu", **changed}


def embed(store: Store, facts: dict[str, object], frames: np.ndarray, objects: np.ndarray, leave: str = "") -> None:
    """Add a layer of vectors by hand, as a run does; the shard `leave` is not finished."""
    columns = {"embedding": {**COLUMN, "per": "frame"}, "object_embedding": {**COLUMN, "per": "object"}}
    with writer_lock(store.path):
        store.begin_layer(LAYER, {"kind": "stream", "columns": columns, "encoder": facts})
        for shard in store.shards():
            if shard.name == leave:
                continue
            mine, rows = store.input.span(shard.name, "objects"), slice(shard.rows.start, shard.rows.stop)
            arrays = {"embedding": frames[rows], "objects.object_embedding": objects[mine.start : mine.stop]}
            failed = [row for row in shard.rows if row == BROKEN]
            errors = {
                "frame": [store.frames(["frame"]).column("frame")[row].as_py() for row in failed],
                "stage": ["decode"] * len(failed), "reason": ["truncated"] * len(failed), "detail": ["cut"] * len(failed),
            }  # fmt: skip
            store.commit(LAYER, shard.name, {"errors": errors} if failed else {}, arrays)


def vectors(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float16)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of cards and weights with one tiny model that knows words."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "models").mkdir()
    (folder / "weights").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPU_QUALITY_HOME", str(folder))
        patch.delenv("GPU_QUALITY_WEIGHTS", raising=False)
        write_tiny(folder / "models", folder / "weights", text=True)
    return folder


@pytest.fixture
def card(home: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    monkeypatch.setenv("GPU_QUALITY_HOME", str(home))
    monkeypatch.delenv("GPU_QUALITY_WEIGHTS", raising=False)
    return ModelCard.find("tiny")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_images(folder)
    return folder


@pytest.fixture(scope="module")
def bare(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished store without vectors."""
    return planted_store(tmp_path_factory.mktemp("runs") / "bare", images).path


def copied(bare: Path, out: Path) -> Store:
    shutil.copytree(bare, out)
    return Store.open(out)


@pytest.fixture
def store(bare: Path, card: ModelCard, tmp_path: Path) -> Store:
    """Random vectors; of a broken frame and of the prediction there are none."""
    made = copied(bare, tmp_path / "a")
    frames, objects = vectors(12), vectors(4, seed=1)
    frames[BROKEN], objects[3] = np.nan, np.nan
    embed(made, facts_of(card), frames, objects)
    return made


def ranking(query: np.ndarray, stored: np.ndarray, own: int = -1) -> tuple[list[int], list[float]]:
    """The twin: cosines in float64, sorted."""
    q, x = query.astype(np.float64), stored.astype(np.float64)
    cosine = x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q)
    rows = [row for row in np.argsort(-cosine, kind="stable").tolist() if row != own and not np.isnan(cosine[row])]
    return rows, cosine[rows].tolist()


def ids(store: Store, per: str = "frame") -> list[str]:
    return list(store.table(per, [per])[per])


@pytest.mark.parametrize("index", ["auto", "exact", "flat", "ivf", "hnsw", "pq"])
def test_a_frame_finds_its_neighbors_and_not_itself(store, index):
    stored, known = store.array("embedding").whole(), ids(store)
    rows, cosines = ranking(stored[9], stored, own=9)
    table = search(store, frame=known[9], count=4, index=index)
    assert list(table.columns) == ["rank", "frame", "similarity", "uri"]
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert table["frame"].tolist() == [known[row] for row in rows[:4]]
    assert table["similarity"].to_numpy() == pytest.approx(cosines[:4], abs=1e-6)
    assert "12 vectors of 32 components" in table.attrs["index"]
    assert table.attrs["notes"] == ["1 of 12 frames have no vector and cannot be found"]
    assert len(search(store, frame=known[9], count=100, index=index)) == 10


def test_an_object_finds_objects_with_their_class_and_frames_when_asked(store):
    stored, known = store.array("object_embedding", "object").whole(), ids(store, "object")
    rows, cosines = ranking(stored[2], stored, own=2)
    table = search(store, object=known[2])
    assert list(table.columns) == ["rank", "frame", "object", "similarity", "class", "origin", "uri"]
    assert len(rows) == 2
    assert table["object"].tolist() == [known[row] for row in rows]
    assert set(table["class"]) == {"cat", "<u>dog</u>"}
    assert set(table["origin"]) == {"labels"}
    assert table["similarity"].to_numpy() == pytest.approx(cosines, abs=1e-6)
    frames = store.array("embedding").whole()
    across = search(str(store.path), object=known[2], among="frames", count=3)
    assert across["frame"].tolist() == [ids(store)[row] for row in ranking(stored[2], frames)[0][:3]]
    back = search(store, frame=ids(store)[0], among="objects", count=9)
    assert back["object"].tolist() == [known[row] for row in ranking(frames[0], stored)[0]]


def test_equal_vectors_come_in_input_order(bare, card, tmp_path):
    made = copied(bare, tmp_path / "a")
    embed(made, facts_of(card), np.ones((12, DIM), np.float16), vectors(4))
    for index in ("exact", "flat"):
        table = search(made, frame=ids(made)[5], index=index)
        assert table["frame"].tolist() == [name for row, name in enumerate(ids(made)) if row != 5]
        assert table["similarity"].tolist() == pytest.approx([1.0] * 11, abs=1e-6)


def embedded_by(card: ModelCard, paths: list[Path]) -> np.ndarray:
    """Vectors of pictures, by the encoder itself, all in one call."""
    from gpu_quality.geometry.regions import regions_of
    from gpu_quality.types import Sizes
    from tests.encoders.tiny import batch_of

    pixels, _ = batch_of([torch.from_numpy(np.array(Image.open(path))) for path in paths])
    encoder = load_encoder(card, precision="float32", batch=4)
    return encoder(encoder.prepare(pixels, regions_of(None, Sizes(pixels.width, pixels.height)))).half().numpy()


def test_a_picture_finds_its_own_copy_first(bare, images, card, tmp_path):
    made, some = copied(bare, tmp_path / "a"), [row for row in range(12) if row != BROKEN]
    frames = np.full((12, DIM), np.nan, np.float16)
    frames[some] = embedded_by(card, [images / NAMES[row] for row in some])
    embed(made, facts_of(card), frames, vectors(4))
    path = images / NAMES[8]
    table = search(made, image=path, count=5)
    assert table["frame"][0] == ids(made)[8]
    assert table["similarity"][0] == 1
    assert table["frame"].tolist() == [ids(made)[row] for row in ranking(frames[8], frames)[0][:5]]
    array = np.array(Image.open(path))
    for same in (path.read_bytes(), Image.open(path), array, torch.from_numpy(array).permute(2, 0, 1)):
        assert search(made, image=same, count=5)["frame"].tolist() == table["frame"].tolist()
    assert len(search(made, image=path, among="objects")) == 4
    turned = tmp_path / "turned.png"
    Image.fromarray(np.rot90(array)).save(turned)
    assert search(made, image=turned, count=1)["similarity"][0] < 1
    assert find(made, image=path).query.rgb.shape == array.shape


def test_words_find_pictures(store, card):
    stored = store.array("embedding").whole()
    text = load_encoder(card, precision="float32").encode_text(["a truck at night"])[0].numpy()
    rows, cosines = ranking(text, stored)
    table = search(store, text="a truck at night", count=4)
    assert table["frame"].tolist() == [ids(store)[row] for row in rows[:4]]
    assert table["similarity"].to_numpy() == pytest.approx(cosines[:4], abs=1e-3)
    assert len(search(store, text="a truck at night", among="objects")) == 3


def test_the_answer_of_an_unfinished_run_is_of_what_is_there(bare, card, tmp_path):
    made, frames = copied(bare, tmp_path / "a"), vectors(12)
    embed(made, facts_of(card), frames, vectors(4), leave="00000")
    here = list(range(8, 12))
    for index in ("exact", "flat"):
        found = find(made, frame=ids(made)[9], index=index)
        assert found.hits.rows == tuple(row for row in ranking(frames[9], frames, 9)[0] if row in here)
        assert found.notes[0].startswith("8 of 12 frames have no vector")
    with pytest.raises(UsageError, match="has no vector: its shard is not finished"):
        search(made, frame=ids(made)[0])


def test_a_store_in_which_a_whole_shard_failed(bare, card, tmp_path):
    made, frames = copied(bare, tmp_path / "a"), vectors(12)
    embed(made, facts_of(card), frames, vectors(4), leave="00001")
    with writer_lock(made.path):
        made.commit(LAYER, "00001", {}, {"embedding": np.empty((4, 0), np.float16),
                                         "objects.object_embedding": np.empty((2, 0), np.float16)})  # fmt: skip
    for index in ("exact", "flat"):
        assert set(find(made, frame=ids(made)[0], index=index).hits.rows) == set(range(1, 8))


# Indexes on disk.


def test_an_index_is_kept_in_the_store_and_used_again(store, monkeypatch):
    first = find(store, frame=ids(store)[0], index="hnsw")
    folder = next((store.path / "index").iterdir())
    assert {path.name for path in folder.iterdir()} == {door.INDEX, door.IDS, door.META}
    assert store.verify().findings == ()
    with monkeypatch.context() as guard:
        guard.setattr(door, "build", lambda *_: pytest.fail("it was built again"))
        assert find(store, frame=ids(store)[0], index="hnsw").hits.rows == first.hits.rows
    data = bytearray((folder / door.INDEX).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / door.INDEX).write_bytes(data)
    assert find(store, frame=ids(store)[0], index="hnsw").hits.rows == first.hits.rows
    assert (folder / door.INDEX).read_bytes() != data


def test_an_index_of_fewer_shards_is_made_anew(bare, card, tmp_path):
    made, frames = copied(bare, tmp_path / "a"), vectors(12)
    embed(made, facts_of(card), frames, vectors(4), leave="00001")
    assert find(made, frame=ids(made)[0], index="flat").hits.known == 8
    with writer_lock(made.path):
        made.commit(LAYER, "00001", {}, {"embedding": frames[8:], "objects.object_embedding": vectors(2)})
    assert find(made, frame=ids(made)[0], index="flat").hits.known == 12
    assert len(list((made.path / "index").iterdir())) == 1


def test_a_store_that_is_being_written_is_searched_but_keeps_no_index(store):
    with writer_lock(store.path):
        found = find(store, frame=ids(store)[0], index="flat")
    assert len(found.table) == 10
    assert "the index is not kept in the store" in found.notes[-1]
    assert not (store.path / "index").exists()


# What is refused.


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "nothing to search for is given"),
        ({"text": "a", "frame": "b"}, "text and frame are given"),
        ({"text": "a", "among": "videos"}, "choose frames or objects"),
        ({"text": "a", "count": 0}, "count is 0"),
        ({"text": "a", "count": 10**6}, "count is 1000000"),
        ({"text": "a", "index": "tree"}, "there is no index 'tree'"),
        ({"text": "  "}, "is empty"),
        ({"text": "a" * 3000}, "3,000 characters"),
        ({"text": 7}, "text must be text, got int"),
        ({"image": 7}, "int"),
    ],
)
def test_questions_nobody_can_answer(store, asked, said):
    with pytest.raises(UsageError, match=said):
        search(store, **asked)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"no picture", b"\xff\xd8\xff\xe0" + bytes(50)])
def test_files_that_are_no_pictures(store, tmp_path, data):
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(UsageError, match=r"x\.jpg cannot be searched for"):
        search(store, image=tmp_path / "x.jpg")
    for path in (tmp_path, tmp_path / "gone.jpg", "a\0b"):
        with pytest.raises(UsageError, match="cannot be searched for"):
            search(store, image=path)


def test_pictures_beyond_the_limits_of_the_run_are_refused(store, tmp_path):
    Image.new("1", (9000, 9000)).save(tmp_path / "large.png")
    with pytest.raises(UsageError, match="too_many_pixels"):
        search(store, image=tmp_path / "large.png")


def test_unknown_ids_are_answered_with_close_ones(store):
    with pytest.raises(UnknownNameError, match=r"no frame 'plain_3\.jpg'") as caught:
        search(store, frame="plain_3.jpg")
    assert "plain_" in caught.value.hint
    with pytest.raises(UnknownNameError) as caught:
        search(store, frame=ids(store)[7].partition("/")[2])
    assert "night/" in caught.value.hint
    with pytest.raises(UnknownNameError, match="no object 'o9'"):
        search(store, object="o9")


def test_what_has_no_vector_is_told_with_the_reason(store):
    with pytest.raises(UsageError, match="has no vector: truncated, cut"):
        search(store, frame=ids(store)[BROKEN])
    with pytest.raises(UsageError, match=r"object 'o3' has no vector: it was not embedded; predictions are embedded where"):
        search(store, object="o3")


def test_a_store_without_vectors_says_how_to_add_them(bare, card):
    with pytest.raises(UsageError, match="holds no vectors of its frames") as caught:
        search(bare, text="a")
    assert "--metrics singularity --encoder default" in caught.value.hint, "an encoder alone embeds nothing"


def test_a_store_of_labels_alone_has_nothing_to_search(tmp_path):
    labels = {"images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}], "categories": [{"id": 1, "name": "cat"}]}
    labels["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    made = gq.run(labels=tmp_path / "labels.json", out=tmp_path / "a")
    for asked in ({"frame": "a.jpg"}, {"object": "labels/1"}):
        with pytest.raises(UsageError, match="made of labels without their images"):
            search(made, **asked)
    with pytest.raises(UsageError, match="no pictures to compare"):
        gq.duplicates(made)


def test_a_store_without_objects(images, card, tmp_path):
    made = planted_store(tmp_path / "a", images, objects=False)
    with pytest.raises(UsageError, match="has no objects"):
        search(made, text="a", among="objects")


def test_words_need_a_card_that_knows_some(bare, card, tmp_path):
    made = copied(bare, tmp_path / "a")
    embed(made, facts_of(card, text=False), vectors(12), vectors(4))
    with pytest.raises(UsageError, match="was embedded with tiny, which knows pictures but no words") as caught:
        search(made, text="a truck")
    assert caught.value.hint.startswith("run again with --encoder tiny")


def test_the_way_to_words_begins_with_fetching_weights(bare, card, tmp_path, monkeypatch):
    made = copied(bare, tmp_path / "a")
    embed(made, facts_of(card, text=False), vectors(12), vectors(4))
    monkeypatch.setenv("GPU_QUALITY_HOME", str(tmp_path / "nothing"))
    with pytest.raises(UsageError) as caught:
        search(made, text="a truck")
    assert caught.value.hint.startswith("gpu-quality model fetch clip-vit-b32-openai, run again")


@pytest.mark.parametrize("changed", [{"sha256": "0" * 64}, {"meaning": {"model": "another"}}])
def test_vectors_of_other_weights_are_not_compared(bare, images, card, tmp_path, changed):
    made = copied(bare, tmp_path / "a")
    embed(made, facts_of(card, **changed), vectors(12), vectors(4))
    for asked in ({"text": "a truck"}, {"image": images / NAMES[8]}):
        with pytest.raises(IncompatibleError, match="holds vectors of card tiny"):
            search(made, **asked)
    assert len(search(made, frame=ids(made)[0])) == 11


def test_another_card_is_refused_before_its_weights_are_looked_for(store, images):
    with pytest.raises(IncompatibleError, match="clip-vit-b32-openai is another model"):
        search(store, image=images / NAMES[8], card="clip-vit-b32-openai")


def test_weights_that_are_not_the_cards_are_refused(store, home, images, monkeypatch, tmp_path):
    other = tmp_path / "home"
    shutil.copytree(home, other)
    weights = other / "weights" / "tiny.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    monkeypatch.setenv("GPU_QUALITY_HOME", str(other))
    with pytest.raises(RefusedError, match="is not what card tiny names"):
        search(store, image=images / NAMES[8])


def test_a_card_that_is_not_found_by_name_may_be_named(store, home, images, monkeypatch, tmp_path):
    monkeypatch.setenv("GPU_QUALITY_HOME", str(tmp_path))
    monkeypatch.setenv("GPU_QUALITY_WEIGHTS", str(home / "weights"))
    with pytest.raises(UsageError, match="the card tiny, which is not known here"):
        search(store, image=images / NAMES[8])
    assert len(search(store, image=images / NAMES[8], card=str(home / "models" / "tiny.yaml"))) == 11


def test_a_store_names_no_file_to_open(bare, home, images, card, tmp_path):
    made = copied(bare, tmp_path / "a")
    embed(made, facts_of(card, card=str(home / "models" / "tiny.yaml")), vectors(12), vectors(4))
    with pytest.raises(UsageError, match="not known here"):
        search(made, image=images / NAMES[8])


@pytest.mark.parametrize("facts", [{"dim": "32"}, {"sha256": None}, {"dim": 64}])
def test_a_store_that_tells_nonsense_about_its_vectors(bare, card, tmp_path, facts):
    made = copied(bare, tmp_path / "a")
    embed(made, facts_of(card, **facts), vectors(12), vectors(4))
    with pytest.raises(CorruptError):
        search(made, frame=ids(made)[0])


def test_vectors_made_on_cuda_are_searched_on_the_cpu_with_a_remark(bare, images, card, tmp_path, monkeypatch):
    made = copied(bare, tmp_path / "a")
    embed(made, facts_of(card, device="cuda"), vectors(12), vectors(4))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "made on CUDA" in find(made, image=images / NAMES[8]).notes[0]
    assert json.dumps(find(made, frame=ids(made)[0]).table.attrs) == "{}"
