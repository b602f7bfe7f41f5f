"""`gq.duplicates` on real stores: groups, leaks, two runs, what is missing, what is kept in the store."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from photos import write_photos
from PIL import Image, ImageEnhance

from gpu_quality import api
from gpu_quality.api.duplicates import duplicates
from gpu_quality.api.duplicates_result import made_from, saved
from gpu_quality.errors import CorruptError, NotAStoreError, UsageError
from gpu_quality.store.lock import writer_lock

HASHES = ["content_hash", "phash", "dhash", "phash_d4", "dhash_d4", "near_duplicate_group", "sharpness", "width", "height"]
PLUGIN = '''
import torch
from jaxtyping import Float16, Float64
from torch import Tensor
from gpu_quality.registry import metric

@metric(over="dataset", unit="length")
def vector_length(embedding: Float16[Tensor, "n d"]) -> Float64[Tensor, " n"]:
    """How long a vector is."""
    return embedding.double().norm(dim=1).nan_to_num(0.0)
'''


def edited(folder: Path, *, size: tuple[int, int] = (160, 120)) -> list[str]:
    """Four photos, of the first a copy in another format, a half, a mirror and a quarter turn, and a flat frame twice."""
    write_photos(folder, 4, size=size)
    first = Image.open(folder / "photo000.png")
    first.save(folder / "copy.bmp")
    first.resize((size[0] // 2, size[1] // 2), Image.Resampling.LANCZOS).save(folder / "half.png")
    first.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "mirror.png")
    first.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png")
    Image.new("RGB", size, (9, 9, 9)).save(folder / "flat0.png")
    Image.new("RGB", size, (9, 9, 12)).save(folder / "flat1.png")
    return ["copy.bmp", "half.png", "mirror.png", "photo000.png", "turned.png"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One store of edited photos with every hash, made once."""
    folder = tmp_path_factory.mktemp("duplicates")
    edited(folder / "in")
    api.run(folder / "in", out=folder / "a", metrics=HASHES)
    return folder


@pytest.fixture
def store(home, tmp_path):
    """A copy of it to write into."""
    shutil.copytree(home / "a", tmp_path / "a")
    return tmp_path / "a"


def names(group):
    return sorted(member["frame"] for member in group["members"])


def test_copies_halves_mirrors_and_turns_are_one_group(store):
    found = duplicates(store)
    assert [names(group) for group in found.groups] == [["copy.bmp", "half.png", "mirror.png", "photo000.png", "turned.png"]]
    group = found.groups[0]
    kinds = {member["frame"]: member["kind"] for member in group["members"]}
    assert group["keep"] == "copy.bmp" == group["members"][0]["frame"]
    assert kinds["photo000.png"] == "exact"
    assert {kinds[name] for name in ("half.png", "mirror.png", "turned.png")} == {"hash"}
    assert all(0.875 <= member["similarity"] <= 1 for member in group["members"])
    assert found.facts["kinds"] == ["exact", "hash"]
    assert found.facts["left_out"] == {"exact": 0, "hash": 2}, "the flat frames"
    assert found.facts["missing"] == {"embedding": "--metrics singularity --encoder default"}
    assert any("not compared by embedding" in note for note in found.notes)
    assert found.facts["counts"] == {"frames": 10, "groups": 1, "members": 5, "surplus": 4}


@pytest.mark.parametrize(
    ("kind", "at_least", "expected"),
    [
        ("exact", None, ["copy.bmp", "photo000.png"]),
        ("hash", None, ["copy.bmp", "half.png", "mirror.png", "photo000.png", "turned.png"]),
        ("hash", 1.0, ["copy.bmp", "photo000.png"]),
    ],
)
def test_one_kind_and_another_threshold(store, kind, at_least, expected):
    found = duplicates(store, kind=kind, at_least=at_least)
    assert set(expected) <= set(names(found.groups[0]))
    assert {member["kind"] for member in found.groups[0]["members"]} == {kind}
    if at_least is None:
        assert names(found.groups[0]) == expected
    else:
        assert all(member["similarity"] >= at_least for member in found.groups[0]["members"])


def test_the_answer_is_kept_in_the_store_and_verifies(store):
    found = duplicates(store)
    opened = api.open_store(store)
    assert json.loads((store / "results" / "duplicates.json").read_text()) == found.to_dict()
    table = opened.query("select frame, keep, kind from duplicates order by frame")
    assert table["frame"].tolist() == names(found.groups[0])
    assert table["keep"].sum() == 1
    assert opened.verify().findings == ()
    duplicates(store, kind="exact")
    assert opened.verify(read_data=True).findings == ()
    assert len(json.loads((store / "results" / "duplicates.json").read_text())["groups"][0]["members"]) == 2


def test_a_store_that_somebody_writes_to_still_answers(store):
    with writer_lock(store):
        found = duplicates(store)
    assert found.groups
    assert "not kept in the store" in found.notes[-1]
    assert not (store / "results" / "duplicates.json").exists()


def test_no_group_makes_empty_tables(tmp_path):
    write_photos(tmp_path / "in", 3, size=(64, 48))
    found = duplicates(api.run(tmp_path / "in", out=tmp_path / "a", metrics=HASHES))
    assert found.groups == []
    assert len(found.table()) == 0
    assert len(pd.read_parquet(tmp_path / "a" / "results" / "duplicates.parquet")) == 0


def test_two_runs(home, store, tmp_path):
    other = tmp_path / "other"
    write_photos(other, 1, seed=9, size=(160, 120))
    Image.open(other / "photo000.png").save(other / "new.png")  # twice in the other run alone: none of our business
    Image.open(home / "in" / "photo002.png").save(other / "same.png")
    Image.open(home / "in" / "photo003.png").resize((80, 60)).save(other / "small.png")
    second = api.run(other, out=tmp_path / "b", metrics=HASHES)
    found = duplicates(store, against=second)
    assert [names(group) for group in found.groups] == [["photo002.png", "same.png"], ["photo003.png", "small.png"]]
    runs = [[member["run"] for member in sorted(g["members"], key=lambda m: m["frame"])] for g in found.groups]
    assert runs == [[str(store), str(tmp_path / "b")]] * 2
    assert found.groups[1]["keep"] == "photo003.png"
    pairs = [(pair["frame"], pair["other"], pair["kind"]) for pair in found.leaks["pairs"]]
    assert pairs == [("photo002.png", "same.png", "exact"), ("photo003.png", "small.png", "hash")]
    assert found.leaks["counts"] == [{"runs": [str(store), str(tmp_path / "b")], "frames": [2, 2], "pairs": 2}]
    assert (store / "results" / "duplicates_against.json").is_file()
    assert not (store / "results" / "duplicates.json").exists()
    assert not (tmp_path / "b" / "results").exists()
    with pytest.raises(UsageError, match="the same store"):
        duplicates(store, against=store)


def test_leaks_between_splits(tmp_path):
    write_photos(tmp_path / "made", 6, size=(64, 48))
    for split, numbers in (("train", (0, 1, 2)), ("val", (0, 3)), ("test", (1, 4, 5))):
        folder = tmp_path / "in" / split / "cat"
        folder.mkdir(parents=True)
        for number in numbers:
            shutil.copy(tmp_path / "made" / f"photo{number:03d}.png", folder / f"{split}{number}.png")
    labels = {"path": str(tmp_path / "in"), "format": "imagefolder"}
    found = duplicates(api.run(tmp_path / "in", labels=labels, out=tmp_path / "a", metrics=HASHES))
    assert found.leaks["between"] == "splits"
    counted = {tuple(sorted(row["splits"])): (row["frames"], row["pairs"]) for row in found.leaks["counts"]}
    assert counted == {("train", "val"): ([1, 1], 1), ("test", "train"): ([1, 1], 1)}
    pairs = {frozenset([pair["split"], pair["other_split"]]): pair for pair in found.leaks["pairs"]}
    assert {pairs[frozenset(["train", "val"])][key] for key in ("frame", "other")} == {
        "train/cat/train0.png",
        "val/cat/val0.png",
    }
    assert {member["split"] for group in found.groups for member in group["members"]} == {"train", "val", "test"}


def test_a_run_without_hashes_tells_what_to_run(tmp_path):
    write_photos(tmp_path / "in", 2)
    store = api.run(tmp_path / "in", out=tmp_path / "a", metrics=["brightness"])
    with pytest.raises(UsageError, match="nothing to compare by exact, hash, embedding is stored") as caught:
        duplicates(store)
    assert (
        "--metrics content_hash,phash,dhash,phash_d4,dhash_d4,near_duplicate_group,singularity --encoder default"
        in caught.value.hint
    )
    with pytest.raises(UsageError, match="nothing to compare by hash is stored") as caught:
        duplicates(store, kind="hash")
    assert "--metrics phash,dhash,phash_d4,dhash_d4" in caught.value.hint


def test_some_hashes_are_better_than_none_and_that_is_said(tmp_path):
    edited(tmp_path / "in")
    found = duplicates(api.run(tmp_path / "in", out=tmp_path / "a", metrics=["phash"]))
    assert {"copy.bmp", "half.png", "photo000.png"} <= set(names(found.groups[0]))
    assert any("compared without dhash, phash_d4, dhash_d4" in note for note in found.notes)
    assert any("how flat frames are is not stored" in note for note in found.notes)


def test_the_way_to_hashes_leaves_nothing_to_be_told(tmp_path):
    write_photos(tmp_path / "in", 2)
    store = api.run(tmp_path / "in", out=tmp_path / "a", metrics=["brightness"])
    with pytest.raises(UsageError) as caught:
        duplicates(store, kind="hash")
    names = caught.value.hint.split("--metrics ")[1].split(";")[0].split(",")
    found = duplicates(api.run(tmp_path / "in", out=tmp_path / "a", metrics=names), kind="hash")
    assert found.notes == ()


def test_an_answer_tells_what_it_was_made_from_and_is_read_back(store):
    assert saved(api.open_store(store)) is None
    found = duplicates(store)
    assert saved(api.open_store(store)) == found
    assert found.facts["made_from"] == made_from(api.open_store(store))
    assert set(found.facts["made_from"]) == {"content_hash", "phash", "dhash", "phash_d4", "dhash_d4", "thumbnail_range"}
    (store / "results" / "duplicates.json").write_text("{}")
    with pytest.raises(CorruptError, match="is not what was written"):
        saved(api.open_store(store))


def test_values_nobody_knows_are_refused_before_anything_is_read(store, tmp_path):
    with pytest.raises(UsageError, match="no such kind") as caught:
        duplicates(tmp_path / "nowhere", kind="hsah")
    assert "hash" in caught.value.hint
    for at_least in (0.0, 1.5, -1, float("nan")):
        with pytest.raises(UsageError, match="similarity is above 0 and at most 1"):
            duplicates(store, at_least=at_least)
    with pytest.raises(NotAStoreError):
        duplicates(tmp_path / "nowhere")


def test_frames_that_failed_are_no_copies_of_each_other(tmp_path):
    write_photos(tmp_path / "in", 2, broken=3)
    found = duplicates(api.run(tmp_path / "in", out=tmp_path / "a", metrics=HASHES, settings={"max_errors": 5}))
    assert found.groups == []
    assert found.facts["compared"] == {"exact": 2, "hash": 2}


# Real photos with the embedded default encoder.


def edits(photo: Image.Image) -> dict[str, Image.Image]:
    x, y = round(photo.width * 0.05), round(photo.height * 0.05)
    return {
        "a.png": photo,
        "half.png": photo.resize((photo.width // 2, photo.height // 2)),
        "bright.png": ImageEnhance.Brightness(photo).enhance(1.3),
        "mirror.png": photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "crop.png": photo.crop((x, y, photo.width - x, photo.height - y)),
    }


@pytest.fixture(scope="module")
def photos(test_data, tmp_path_factory):
    """Twelve bridges, ten other photos, and six edits of each of four of them; embedded."""
    folder = tmp_path_factory.mktemp("photos")
    shutil.copytree(test_data / "near_duplicates" / "bridge_mods", folder / "in" / "bridge")
    for place, path in enumerate(sorted((test_data / "coco_photos" / "images").glob("*.jpg"))[:10]):
        photo = Image.open(path).convert("RGB")
        (folder / "in" / path.stem).mkdir()
        for name, edit in (edits(photo) if place < 4 else {"a.png": photo}).items():
            edit.save(folder / "in" / path.stem / name)
        if place < 4:
            photo.save(folder / "in" / path.stem / "small.jpg", quality=30)
    (folder / "plugin.py").write_text(PLUGIN)
    api.run(folder / "in", out=folder / "a", metrics=[*HASHES, "vector_length"], plugins=[folder / "plugin.py"])
    return folder


def test_edits_end_with_their_original_and_no_group_mixes_photos(photos):
    found = duplicates(photos / "a")
    folders = [{name.split("/")[0] for name in names(group)} for group in found.groups]
    assert [len(one) for one in folders] == [1] * 5
    assert [len(group["members"]) for group in found.groups] == [12, 6, 6, 6, 6]
    assert found.facts["kinds"] == ["exact", "hash", "embedding"]
    by_hash = duplicates(photos / "a", kind="hash")
    alone = [name for group in by_hash.groups for name in names(group) if name.endswith("crop.png")]
    assert len(alone) < 4, "crops are what both signs together are for"
    assert all(np.isfinite(group["least_embedding"]) for group in found.groups)


def test_bridges_are_one_group_by_hash_and_not_by_vectors_alone(photos):
    by_hash = duplicates(photos / "a", kind="hash")
    assert [name for name in names(by_hash.groups[0]) if name.startswith("bridge")] == names(by_hash.groups[0])
    assert len(by_hash.groups[0]["members"]) == 12
    by_vector = duplicates(photos / "a", kind="embedding")
    bridges = next(group for group in by_vector.groups if "bridge/aaa-orig.jpg" in names(group))
    lost = {"bridge/shrink-a-lot.jpg", "bridge/square-128x128.jpg", "bridge/square-256x256.jpg", "bridge/square-512x512.jpg"}
    assert lost.isdisjoint(names(bridges)), "badly shrunk and squashed pictures need a hash"
    assert len(bridges["members"]) == 8


def test_runs_of_different_encoders_are_compared_by_hash_only(photos, tmp_path):
    shutil.copytree(photos / "a", tmp_path / "b")
    changed = 0
    for path in (tmp_path / "b" / "layers").glob("*/layer.json"):
        text = path.read_text()
        if '"encoder"' in text:
            from gpu_quality.store.layout import seal, unseal

            content = unseal(text.encode(), path)
            content.pop("seal")
            content["encoder"]["card"], content["encoder"]["meaning"] = "another", {"model": "x"}
            for facts in content["columns"].values():
                if "encoder" in facts:
                    facts["encoder"] = content["encoder"]
            path.write_bytes(seal(content, path.name))
            changed += 1
    assert changed
    found = duplicates(photos / "a", against=tmp_path / "b")
    assert found.facts["kinds"] == ["exact", "hash"]
    assert any("different encoders (default and another)" in note for note in found.notes)
    assert len(found.leaks["pairs"]) >= 42
