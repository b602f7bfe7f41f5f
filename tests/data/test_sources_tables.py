"""Tables with images: Parquet, Arrow and Hugging Face data sets; the right column, the labels beside it, and damage."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photos import write_photos

from gpu_quality.annotations import Builder
from gpu_quality.data.arrow_images import image_column
from gpu_quality.data.formats.folder import list_images
from gpu_quality.data.loader import LoaderSettings, load
from gpu_quality.data.sources import open_source
from gpu_quality.errors import EmptyInputError, FrameError, UsageError

LIMIT = 1_000_000
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def listed(source: str | Path, **options: object):
    builder = Builder()
    root = list_images(source, builder, **options)
    return root, builder.build()


def opened(root: Path, made):
    rows = made.frames.to_pylist()
    return open_source(root, [r["uri"] for r in rows], [(r["size_bytes"], r["mtime_ns"]) for r in rows])


def reason(source, row: int, limit: int = LIMIT) -> str:
    with pytest.raises(FrameError) as caught:
        source.read(row, limit)
    return caught.value.reason


@pytest.fixture
def photos(tmp_path: Path) -> list[bytes]:
    return [(tmp_path / "in" / name).read_bytes() for name in write_photos(tmp_path / "in", 23)]


def hugging_face(features: dict[str, object]) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def forms(photos: list[bytes]) -> dict[str, pa.Array]:
    return {
        "struct": pa.array([{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(photos)], IMAGE),
        "binary": pa.array(photos, pa.binary()),
        "large": pa.array(photos, pa.large_binary()),
        "view": pa.array(photos, pa.binary_view()),
    }


def write(path: Path, table: pa.Table, rows: int) -> None:
    """One table in one of three forms; the extension and the first letter of the name say which."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows)
        return
    make = pa.ipc.new_stream if path.stem.startswith("stream") else pa.ipc.new_file
    with make(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


@pytest.mark.parametrize("form", ["struct", "binary", "large", "view"])
@pytest.mark.parametrize("name", ["a.parquet", "stream.arrow", "file.feather"])
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_every_row_is_a_frame(tmp_path, photos, form, name, rows):
    write(tmp_path / name, pa.table({"id": range(23), "image": forms(photos)[form]}), rows)
    root, made = listed(tmp_path / name)
    assert made.frames["frame"].to_pylist() == [f"{name}#{i:06d}" for i in range(23)]
    source = opened(root, made)
    order = [*range(23), 22, 3, 14, 0]
    assert [source.read(i, LIMIT) for i in order] == [photos[i] for i in order]
    for i in (0, 11, 22):  # careful mode opens the source anew for every frame
        assert opened(root, made).read(i, LIMIT) == photos[i]
    assert "columns of tables that are neither images nor labels: id" in made.notes[0]
    assert reason(source, 5, len(photos[5]) - 1) == "too_many_bytes"


def test_threads_read_the_rows_of_a_batch(tmp_path, photos):
    write(tmp_path / "a.parquet", pa.table({"image": photos}), 4)
    root, made = listed(tmp_path / "a.parquet")
    rows = []
    for batch in load(opened(root, made), range(23), LoaderSettings(batch=6, threads=5)):
        assert batch.failures == []
        rows += batch.rows
    assert rows == list(range(23))


def test_listing_reads_no_image(tmp_path, monkeypatch):
    images = pa.array([os.urandom(200_000) for _ in range(40)])
    write(tmp_path / "a.parquet", pa.table({"image": images, "label": range(40)}), 10)
    wanted: list[list[str]] = []
    real = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda self, *a, **k: wanted.append(k["columns"]) or real(self, *a, **k)
    )
    assert listed(tmp_path / "a.parquet")[1].frames.num_rows == 40
    assert wanted == [["label"]]


def test_a_far_row_reads_its_row_group_alone(tmp_path, photos, monkeypatch):
    write(tmp_path / "a.parquet", pa.table({"image": photos * 10}), 10)
    root, made = listed(tmp_path / "a.parquet")
    groups: list[list[int]] = []
    real = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda self, *a, **k: groups.append(k["row_groups"]) or real(self, *a, **k)
    )
    assert opened(root, made).read(225, LIMIT) == photos[225 % 23]
    assert groups == [[22]]


@pytest.mark.parametrize(
    ("columns", "asked", "found"),
    [
        ({"image": "b"}, None, "image"),
        ({"mask": "b", "IMAGE": "b"}, None, "IMAGE"),
        ({"payload": "b", "label": "s"}, None, "payload"),
        ({"image": "s", "thumb": "b"}, None, "thumb"),
        ({"file_name": "s", "caption": "s"}, None, "file_name"),
        ({"left": "b", "right": "b"}, "right", "right"),
        ({"left": "b", "right": "b"}, None, UsageError),
        ({"caption": "s"}, None, UsageError),
        ({"caption": "i"}, None, UsageError),
        ({"image": "b"}, "img", UsageError),
    ],
)
def test_which_column_is_meant(columns, asked, found):
    types = {"b": pa.binary(), "s": pa.string(), "i": pa.int64()}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    if found is UsageError:
        with pytest.raises(UsageError):
            image_column(schema, asked)
    else:
        assert image_column(schema, asked) == found


def test_an_unclear_column_is_told_and_can_be_named(tmp_path, photos):
    write(tmp_path / "a.parquet", pa.table({"left": photos, "right": photos[::-1]}), 10)
    with pytest.raises(UsageError, match=r"a\.parquet: several columns .* left, right") as caught:
        listed(tmp_path / "a.parquet")
    assert "source.image_column" in caught.value.hint
    root, made = listed(tmp_path / "a.parquet", image_column="right")
    assert opened(root, made).read(0, LIMIT) == photos[-1]
    assert made.frames["frame"][0].as_py() == "a.parquet#000000"


def test_classes_of_a_hugging_face_set(tmp_path, photos):
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = pa.table({"image": forms(photos)["struct"], "label": [0, 1, -1, 2] + [None] * 19})
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    write(folder / "data" / "train-00000-of-00001.parquet", table.replace_schema_metadata(hugging_face(features)), 10)
    _, made = listed(folder)
    assert set(made.frames["split"].to_pylist()) == {"train"}
    answers = made.classifications.to_pylist()
    assert [(a["frame"][-1], a["question"], made.classes[a["class_id"]]) for a in answers] == [
        ("0", "class", "cat"),
        ("1", "class", "dog"),
    ]
    assert made.frames["labelled"].to_pylist() == [True, True, False, True] + [False] * 19
    assert [(e["reason"], e["line"]) for e in made.errors.to_pylist()] == [("orphan_category_id", 3)]


@pytest.mark.parametrize("nesting", ["struct of lists", "list of structs"])
def test_objects_of_a_hugging_face_set(tmp_path, photos, nesting):
    bad = float("nan")
    boxes = [[[1.0, 2.0, 10.0, 20.0], [0.0, 0.0, 5.0, 5.0]], [], [[1.0, 2.0, 3.0]], [[bad, 0.0, 1.0, 1.0]]]
    classes = [[1, 0], [], [0], [1]]
    names = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    if nesting == "struct of lists":
        objects = [{"bbox": b, "category": c} for b, c in zip(boxes, classes, strict=True)]
        feature: object = {"bbox": {"feature": {}}, "category": {"feature": names}}
    else:
        objects = [
            [{"bbox": one, "category": c} for one, c in zip(b, cs, strict=True)] for b, cs in zip(boxes, classes, strict=True)
        ]
        feature = [{"bbox": {}, "category": names}]
    table = pa.table({"image": photos[:4], "objects": objects}).replace_schema_metadata(hugging_face({"objects": feature}))
    write(tmp_path / "a.parquet", table, 2)
    _, made = listed(tmp_path / "a.parquet")
    found = [(o["frame"][-1], o["box"], made.classes[o["class_id"]], o["record"]) for o in made.objects.to_pylist()]
    assert found == [("0", [1, 2, 11, 22], "dog", 0), ("0", [0, 0, 5, 5], "cat", 0)]
    assert [e["reason"] for e in made.errors.to_pylist()] == ["missing_geometry", "non_finite_geometry"]
    assert made.frames["labelled"].to_pylist() == [True] * 4
    assert any("x, y, width, height" in note for note in made.notes)


def test_a_saved_data_set_with_splits(tmp_path, photos):
    root = tmp_path / "set"
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        write(root / split / "stream.arrow", pa.table({"image": photos[:3]}), 2)
        write(root / split / "cache-123.arrow", pa.table({"image": photos}), 2)
        (root / split / "state.json").write_text(json.dumps({"_data_files": [{"filename": "stream.arrow"}]}))
    (root / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    found, made = listed(root)
    assert made.frames["frame"].to_pylist() == [f"{s}/stream.arrow#{i:06d}" for s in ("test", "train") for i in range(3)]
    assert made.frames["split"].to_pylist() == ["test"] * 3 + ["train"] * 3
    assert opened(found, made).read(4, LIMIT) == photos[1]
    (root / "train" / "state.json").write_text('{"_data_files": [{"filename": "../../in/photo000.png"}, {"filename": 5}]}')
    assert [e["reason"] for e in listed(root)[1].errors.to_pylist()] == ["outside_root"]


def test_a_column_of_paths_makes_each_file_a_frame(tmp_path, photos):
    paths = ["in/photo001.png", str(tmp_path / "in" / "photo000.png"), None, "in/none.png", "../x.png", "in/photo001.png"]
    write(tmp_path / "a.parquet", pa.table({"path": paths, "label": list("abcdef")}), 10)
    root, made = listed(tmp_path / "a.parquet")
    assert made.frames["frame"].to_pylist() == ["../x.png", "in/none.png", "in/photo000.png", "in/photo001.png"]
    source = opened(root, made)
    assert [reason(source, 0), reason(source, 1)] == ["outside_root", "missing"]
    assert [source.read(2, LIMIT), source.read(3, LIMIT)] == photos[:2]
    assert [(e["reason"], e["line"]) for e in made.errors.to_pylist()] == [("missing", 2)]
    assert made.classifications.num_rows == 5
    assert any("1 rows name an image" in note for note in made.notes)


def test_rows_without_an_image_are_errors(tmp_path, photos):
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "beside.png").write_bytes(photos[3])
    images = [
        None,
        {"bytes": b"", "path": "a"},
        {"bytes": None, "path": None},
        {"bytes": None, "path": "beside.png"},
        {"bytes": None, "path": "../secret.png"},
        {"bytes": None, "path": str(tmp_path / "secret.png")},
        {"bytes": None, "path": "https://example.org/a.png"},
    ]
    write(folder / "a.parquet", pa.table({"image": pa.array(images, IMAGE)}), 3)
    source = opened(*listed(folder / "a.parquet"))
    assert source.read(3, LIMIT) == photos[3]
    reasons = [reason(source, i) for i in (0, 1, 2, 4, 5, 6)]
    assert reasons == ["missing", "empty", "missing", "outside_root", "outside_root", "missing"]


@pytest.mark.parametrize("name", ["a.parquet", "stream.arrow", "file.feather"])
def test_damage_ends_as_rows_or_as_one_error(tmp_path, photos, name):
    write(tmp_path / name, pa.table({"image": photos * 20, "label": range(460)}), 50)
    data = (tmp_path / name).read_bytes()
    random = np.random.default_rng(0)
    seen = set()
    for trial in range(40):
        broken = bytearray(data)
        if trial % 2:
            broken = broken[: random.integers(0, len(data))]
        else:
            for place in random.integers(0, len(data), 30):
                broken[place] = random.integers(0, 256)
        (tmp_path / name).write_bytes(bytes(broken))
        try:
            root, made = listed(tmp_path / name)
        except (UsageError, EmptyInputError) as error:
            seen.add(type(error).__name__)
            continue
        source = opened(root, made)
        for i in range(0, made.frames.num_rows, 37):
            try:
                assert isinstance(source.read(i, LIMIT), bytes)
            except FrameError as error:
                seen.add(error.reason)
    assert seen


def test_a_changed_table_is_noticed(tmp_path, photos):
    write(tmp_path / "a.parquet", pa.table({"image": photos}), 10)
    root, made = listed(tmp_path / "a.parquet")
    write(tmp_path / "a.parquet", pa.table({"image": photos[::-1], "more": photos}), 10)
    assert reason(opened(root, made), 0) == "changed_since_listing"


def test_tables_beside_images_are_labels_and_told(tmp_path, photos):
    write(tmp_path / "in" / "labels.parquet", pa.table({"frame": ["a"]}), 10)
    _, made = listed(tmp_path / "in")
    assert made.frames.num_rows == 23
    assert "1 .parquet" in made.notes[0]
