"""Label tables: columns by their names, in Parquet, Arrow and CSV alike; every row ends as an object, an answer or an error."""

from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gpu_quality import registry
from gpu_quality.annotations import Builder
from gpu_quality.data.formats import table
from gpu_quality.errors import UsageError

ROWS = {
    "frame": ["a.jpg", "a.jpg", "b.jpg"],
    "x1": [1.0, 2.0, 3.0],
    "y1": [1, 2, 3],
    "x2": [11.0, 12.5, 13.0],
    "y2": [21, 22, 23],
    "class": ["cat", "dog", "cat"],
    "score": [0.5, 1.0, 0.25],
    "track": [7, 8, 7],
}


def read(path: Path, origin: str = "labels", builder: Builder | None = None):
    builder = builder or Builder()
    assert table.looks_like_table(path)
    table.read(path, builder, origin)
    return builder.build()


def write(tmp_path: Path, suffix: str, columns: dict[str, list]) -> Path:
    path, frame = tmp_path / f"labels{suffix}", pd.DataFrame(columns)
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_feather(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather", ".arrow"])
def test_the_same_rows_in_every_form(tmp_path, suffix):
    made = read(write(tmp_path, suffix, ROWS), "yolo")
    first = 2 if suffix == ".csv" else 0
    found = [
        (o["frame"], o["box"], made.classes[o["class_id"]], o["score"], o["track"], o["record"])
        for o in made.objects.to_pylist()
    ]
    assert found == [
        ("a.jpg", [1, 1, 11, 21], "cat", 0.5, 7, first),
        ("a.jpg", [2, 2, 12.5, 22], "dog", 1.0, 8, first + 1),
        ("b.jpg", [3, 3, 13, 23], "cat", 0.25, 7, first + 2),
    ]
    assert made.errors.num_rows == 0
    assert made.frames["labelled"].to_pylist() == [False, False]


@pytest.mark.parametrize(
    "names",
    [
        {"xmin": 1, "ymin": 2, "xmax": 11, "ymax": 22},
        {"x_min": 1, "y_min": 2, "x_max": 11, "y_max": 22},
        {"left": 1, "top": 2, "right": 11, "bottom": 22},
        {"x": 1, "y": 2, "width": 10, "height": 20},
        {"x": 1, "y": 2, "w": 10, "h": 20},
        {"bbox": [1.0, 2.0, 10.0, 20.0]},
        {"box": [1.0, 2.0, 11.0, 22.0]},
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_boxes_by_any_name(tmp_path, names, suffix):
    made = read(write(tmp_path, suffix, {"file_name": ["a.jpg"], "label": ["cat"], **{k: [v] for k, v in names.items()}}))
    (found,) = made.objects.to_pylist()
    assert (found["box"], found["score"], found["source_id"]) == ([1, 2, 11, 22], None, str(found["record"]))
    assert made.frames["labelled"].to_pylist() == [True]


def test_sizes_flags_and_facts(tmp_path):
    columns = {
        "filename": ["a.jpg", "b.jpg"],
        "width": [640, 0],
        "height": [480, 0],
        "class": [3.0, 4.0],
        "xmin": [1, 1],
        "ymin": [1, 1],
        "xmax": [5, 5],
        "ymax": [5, 5],
        "area": [10.0, None],
        "iscrowd": [True, False],
        "difficult": [0, 1],
        "annotator": ["ann", None],
        "annotation_seconds": [2.5, None],
        "id": ["x", "y"],
        "odd": [1, 2],
    }
    for suffix in (".csv", ".parquet"):
        builder = Builder()
        made = read(write(tmp_path, suffix, columns), builder=builder)
        first, second = made.objects.to_pylist()
        assert made.classes == ("3", "4")
        assert [first[k] for k in ("area", "crowd", "difficult", "annotator", "annotation_seconds", "source_id")] == [
            *(10.0, True, False, "ann", 2.5, "x")
        ]
        assert (second["area"], second["crowd"], second["difficult"], second["annotator"]) == (16.0, False, True, None)
        assert made.frames["width"].to_pylist() == [640, None]
        assert "odd" in made.notes[0]


def test_classes_of_whole_images(tmp_path):
    made = read(write(tmp_path, ".csv", {"image": ["a.jpg", "b.jpg", "c.jpg"], "label": ["cat", "dog", ""]}))
    answers = [(a["frame"], a["question"], made.classes[a["class_id"]]) for a in made.classifications.to_pylist()]
    assert answers == [("a.jpg", "class", "cat"), ("b.jpg", "class", "dog")]
    assert made.frames["labelled"].to_pylist() == [True] * 3
    made = read(
        write(tmp_path, ".parquet", {"image": ["a.jpg"], "question": ["weather"], "class": ["rain"], "score": [0.75]}), "p"
    )
    (answer,) = made.classifications.to_pylist()
    assert (answer["question"], answer["score"], answer["origin"]) == ("weather", 0.75, 1)


def test_a_row_without_box_and_class_says_that_the_image_is_empty(tmp_path):
    columns = {"image": ["a.jpg", "b.jpg"], "bbox": ["[1, 2, 3, 4]", ""], "class": ["cat", ""]}
    made = read(write(tmp_path, ".csv", columns))
    assert made.objects.num_rows == 1
    assert made.frames["labelled"].to_pylist() == [True, True]
    assert made.errors.num_rows == 0


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_bad_rows_are_errors_with_their_place(tmp_path, suffix):
    columns = {
        "frame": ["a.jpg", None, "c.jpg", "d.jpg", "e.jpg", "f.jpg", "g.jpg"],
        "x1": ["1", "1", "one", "1", None, "inf", "5"],
        "y1": ["1"] * 4 + [None] + ["1"] * 2,
        "x2": ["9"] * 4 + [None] + ["9", "5"],
        "y2": ["9"] * 4 + [None] + ["9"] * 2,
        "class": ["cat", "cat", "cat", None, "cat", "cat", "cat"],
    }
    made = read(write(tmp_path, suffix, columns))
    first = 2 if suffix == ".csv" else 0
    assert [o["frame"] for o in made.objects.to_pylist()] == ["a.jpg", "g.jpg"]
    assert [(e["line"] - first, e["reason"], e["uri"]) for e in made.errors.to_pylist()] == [
        (i, reason, f"labels{suffix}")
        for i, reason in enumerate(
            (
                *("orphan_image_id", "bad_annotation", "orphan_category_id"),
                *("missing_geometry", "non_finite_geometry", "degenerate_bbox"),
            ),
            1,
        )
    ]


def test_lines_of_another_length_are_errors(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("frame,x1,y1,x2,y2,class\na.jpg,1,1,2,2,cat\nb.jpg,1\n\nc.jpg,1,1,2,2,cat,more\n")
    made = read(path)
    assert made.objects.num_rows == 1
    assert [e["line"] for e in made.errors.to_pylist()] == [3, 5]


def test_what_is_no_label_table(tmp_path):
    (tmp_path / "a.csv").write_text("time,value\n1,2\n")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nonsense")
    (tmp_path / "c.csv").write_bytes(b"")
    pl.DataFrame({"image": [b"bytes"], "label": [1]}).write_parquet(tmp_path / "d.parquet")
    for name in ("a.csv", "b.parquet", "c.csv", "d.parquet", "none.csv"):
        assert not table.looks_like_table(tmp_path / name), name
        with pytest.raises(UsageError, match=name):
            table.read(tmp_path / name, Builder(), "labels")


def test_a_damaged_table_is_one_error(tmp_path):
    path = write(tmp_path, ".parquet", {name: values * 1000 for name, values in ROWS.items()})
    data = bytearray(path.read_bytes())
    data[50:400] = bytes(350)
    path.write_bytes(bytes(data))
    with pytest.raises(UsageError, match=r"labels\.parquet"):
        table.read(path, Builder(), "labels")


def test_tables_of_other_libraries(tmp_path):
    frames = {
        "dictionary": pa.table({**ROWS, "class": pa.array(ROWS["class"]).dictionary_encode()}),
        "view": pa.table({**ROWS, "frame": pa.array(ROWS["frame"], pa.string_view())}),
        "large": pa.table({**ROWS, "frame": pa.array(ROWS["frame"], pa.large_string())}),
    }
    for name, content in frames.items():
        with pa.ipc.new_file(str(tmp_path / f"{name}.arrow"), content.schema) as writer:
            writer.write_table(content)
        assert read(tmp_path / f"{name}.arrow", "p").objects["score"].to_pylist() == ROWS["score"]


def test_the_reader_is_known_by_name():
    registry.load_built_in()
    assert registry.find_reader("table").function is table.read


@pytest.mark.parametrize(("sign", "suffix"), [(";", ".csv"), ("\t", ".tsv")])
def test_other_separators_and_decimal_commas(tmp_path, sign, suffix):
    rows = ["image,label,xmin,ymin,xmax,ymax", "a b.jpg,cat,1|5,-2,3|25,4E0", '"c,1.jpg",dog,1,2,30,40']
    text = "\r\n".join(row.replace(",", sign).replace('"c;1', '"c,1').replace('"c\t1', '"c,1') for row in rows)
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("|", "," if sign == ";" else ".").encode())
    made = read(path)
    assert [(o["frame"], o["box"]) for o in made.objects.to_pylist()] == [
        ("a b.jpg", [1.5, -2, 3.25, 4]),
        ("c,1.jpg", [1, 2, 30, 40]),
    ]


def test_boxes_that_may_be_relative_are_told(tmp_path):
    made = read(write(tmp_path, ".csv", ROWS | {name: [0.1, 0.2, 1.0] for name in ("x1", "y1", "x2", "y2")}))
    assert [note for note in made.notes if "taken for pixels" in note]
    assert not [note for note in read(write(tmp_path, ".csv", ROWS)).notes if "taken for pixels" in note]
