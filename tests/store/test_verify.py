"""Damage at rest is found, nothing else is, and repair brings the same bytes back."""

import random
import shutil
from pathlib import Path

import pytest

from gpu_quality.errors import CorruptError, StoreError
from gpu_quality.store.layout import seal, unseal
from gpu_quality.store.store import Store
from gpu_quality.store.verify import Finding
from tests.store.small import LAYER, create, digests, run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole") / "run").path


@pytest.fixture
def store(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return Store.open(tmp_path / "run")


def data_files(path):
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name != ".lock")


def mutate(path, chance, older):
    """Damage one file of a store in one of six ways; returns what to put back."""
    files = data_files(path)
    file = chance.choice(files)
    before = {file: file.read_bytes()}
    data = bytearray(before[file])
    kind = chance.choice(["flip", "truncate", "grow", "swap", "older", "delete"])
    # Without complete.json a layer is one whose run was killed before it wrote it: in progress, and said to be.
    if kind == "delete" and file.name != "complete.json":
        file.unlink()
    elif kind == "truncate":
        file.write_bytes(data[: chance.randrange(len(data))])
    elif kind == "grow":
        file.write_bytes(bytes(data) + bytes([chance.randrange(256)]))
    elif kind == "swap":
        other = chance.choice([one for one in files if one.read_bytes() != data])
        before[other] = other.read_bytes()
        file.write_bytes(before[other])
        other.write_bytes(bytes(data))
    elif kind == "older" and (copy := older / file.relative_to(path)).is_file() and copy.read_bytes() != data:
        file.write_bytes(copy.read_bytes())
    else:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
    return kind, file, before


def findings(path, *, read_data=False):
    try:
        return Store.open(path).verify(read_data=read_data).findings
    except StoreError as error:
        return (error,)


@pytest.mark.faults
def test_500_mutations_are_found_and_no_alarm_is_false(store, tmp_path):
    older = run(tmp_path / "older", frames=10).path
    chance, path = random.Random(0), store.path
    expected = digests(path)
    for trial in range(500):
        kind, file, before = mutate(path, chance, older)
        assert findings(path), f"{kind} of {file} was not found (trial {trial})"
        for name, data in before.items():
            name.write_bytes(data)
        assert not findings(path, read_data=trial % 25 == 0), f"false alarm after trial {trial}"
    assert digests(path) == expected


def test_whole_shards_out_of_place_are_found(store, tmp_path):
    older = run(tmp_path / "older", frames=10).path / "layers" / LAYER / "00001"
    layer = store.path / "layers" / LAYER
    shutil.move(layer / "00000", tmp_path / "aside")
    assert [(f.kind, f.shard) for f in store.verify().findings] == [("missing", "00000")]
    shutil.move(layer / "00001", layer / "00000")
    shutil.move(tmp_path / "aside", layer / "00001")
    assert {(f.kind, f.shard) for f in store.verify().findings} >= {("changed", "00000"), ("changed", "00001")}
    shutil.rmtree(layer / "00001")
    shutil.copytree(older, layer / "00001")
    assert ("changed", "00001") in {(f.kind, f.shard) for f in store.verify().findings}


def test_a_shard_that_was_redone_behind_a_complete_layer_is_found(store):
    folder = store.path / "layers" / LAYER / "00002"
    manifest = {**unseal((folder / "shard.json").read_bytes(), folder / "shard.json"), "extra": {"encoder_batch": 1}}
    del manifest["seal"]
    (folder / "shard.json").write_bytes(seal(manifest, "shard.json"))
    assert [finding.file for finding in store.verify().findings] == [f"layers/{LAYER}/complete.json"]


def test_findings_say_where_and_what(store):
    layer = f"layers/{LAYER}"
    (store.path / layer / "00000" / "frames.parquet").unlink()
    (store.path / layer / "00001" / "stray.txt").write_bytes(b"")
    (store.path / "input" / "stray.txt").write_bytes(b"")
    (store.path / "results" / "coco.json").write_bytes(b"{}")
    (store.path / "layers" / "stray.txt").write_bytes(b"")
    (store.path / layer / "99999").mkdir()
    found = store.verify().findings
    assert Finding("missing", f"{layer}/00000/frames.parquet", LAYER, "00000") in found
    assert Finding("extra", f"{layer}/00001/stray.txt", LAYER, "00001") in found
    assert Finding("changed", "results/coco.json") in found
    assert {"input/stray.txt", "layers/stray.txt", f"{layer}/99999"} <= {finding.file for finding in found}
    assert not store.verify().ok


def test_staged_remains_are_no_alarm(store):
    for place in (store.path, store.path / "layers", store.path / "layers" / LAYER, store.path / "results"):
        (place / ".stage-1-1").mkdir()
    (store.path / "layers" / "begun").mkdir()
    assert store.verify().ok


@pytest.mark.parametrize(
    "name",
    [
        f"layers/{LAYER}/00001/frames.parquet",
        f"layers/{LAYER}/00001/embedding.npy",
        f"layers/{LAYER}/00001/shard.json",
        f"layers/{LAYER}/complete.json",
        f"layers/{LAYER}/layer.json",
        "results/coco.json",
        "results/sums.json",
    ],
)
def test_repair_and_a_run_bring_the_same_bytes_back(store, whole, name):
    data = bytearray((store.path / name).read_bytes())
    data[len(data) // 2] ^= 4
    (store.path / name).write_bytes(data)
    assert not store.verify().ok
    assert store.repair() == ()
    assert store.verify().ok
    assert digests(run(store.path).path) == digests(whole)


def test_repair_keeps_good_shards_and_removes_strays(store):
    layer = store.path / "layers" / LAYER
    (layer / "00001" / "stray").write_bytes(b"")
    (layer / "00000" / "errors.parquet").write_bytes(b"")
    (layer / "00002" / "frames.parquet").unlink()
    assert store.repair() == ()
    assert store.done(LAYER) == {"00000", "00001"}
    assert store.verify().ok


def test_a_damaged_input_cannot_be_repaired(store):
    (store.path / "input" / "frames.parquet").write_bytes(b"")
    (left,) = store.repair()
    assert (left.kind, left.file) == ("changed", "input/frames.parquet")
    with pytest.raises(CorruptError, match=r"frames\.parquet"):
        store.table()


def test_reading_notices_damage_too(store):
    file = store.path / "layers" / LAYER / "00000" / "frames.parquet"
    data = bytearray(file.read_bytes())
    data[60] ^= 1
    file.write_bytes(data)
    with pytest.raises(CorruptError):
        store.table()


def test_read_data_finds_a_file_that_was_wrong_when_it_was_hashed(tmp_path, monkeypatch):
    monkeypatch.setattr("gpu_quality.store.shards.array_parts", lambda array: (b"no", b"array"))
    store = run(tmp_path)
    assert store.verify().ok
    assert {finding.kind for finding in store.verify(read_data=True).findings} == {"damaged"}


def test_a_store_in_progress_is_whole(tmp_path):
    assert create(tmp_path).verify(read_data=True).findings == ()


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"seal": 1}', b"\xff", b"[" * 100_000])
def test_what_has_no_seal_is_damaged(text):
    with pytest.raises(CorruptError, match="damaged"):
        unseal(text, Path("run.json"))
