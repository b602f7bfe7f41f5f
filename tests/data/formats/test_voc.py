"""Pascal VOC files: worked boxes, real ones, those of other tools, and every mistake one can hold."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data.formats.folder import list_images
from gpu_quality.data.formats.voc import looks_like_voc, read
from gpu_quality.errors import UsageError
from gpu_quality.types import KINDS

BOX = "<bndbox><xmin>8</xmin><ymin>12</ymin><xmax>352</xmax><ymax>498</ymax></bndbox>"


def load(labels: Path, images: Path | None = None, **predictions: Path) -> Dataset:
    builder = Builder()
    if images is not None:
        list_images(images, builder)
    read(labels, builder, "labels")
    for name, path in predictions.items():
        read(path, builder, name)
    return builder.build()


def annotation(*objects: str, head: str = "<filename>a.jpg</filename>") -> str:
    return f"<annotation>{head}{''.join(f'<object>{o}</object>' for o in objects)}</annotation>"


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str, name: str = "Annotations/a.xml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_the_worked_example(written, tmp_path: Path) -> None:
    size = "<size><width>353</width><height>500</height><depth>3</depth></size>"
    dog = f"<name>dog</name><pose>Left</pose><truncated>1</truncated><difficult>0</difficult>{BOX}"
    man = f"<name> person </name><difficult>1</difficult>{BOX}<part><name>head</name>{BOX}</part>"
    written(annotation(dog, man, head=f"<folder>x</folder><filename>a.jpg</filename>{size}"))
    written(annotation(head="<filename>b.jpg</filename>"), "Annotations/b.xml")
    made = load(tmp_path)
    rows = made.objects.to_pylist()
    assert [r["box"] for r in rows] == [[7, 11, 352, 498]] * 2  # pixels 8..352 counted from 1
    assert [made.classes[r["class_id"]] for r in rows] == ["dog", "person"]
    assert [r["difficult"] for r in rows] == [False, True]
    assert [(r["object"], r["file"], r["record"]) for r in rows] == [("labels/a/0", "a.xml", 0), ("labels/a/1", "a.xml", 1)]
    frames = [(f["frame"], f["width"], f["height"], f["labelled"]) for f in made.frames.to_pylist()]
    assert frames == [("a.jpg", 353, 500, True), ("b.jpg", None, None, True)]
    name = tmp_path.name
    assert made.notes == (f"{name}: part of 1 objects is not kept", f"{name}: truncated of 1 objects is not kept")
    assert made.errors.num_rows == 0


@pytest.mark.parametrize(
    ("bad", "reason", "message"),
    [
        (BOX, "orphan_category_id", "no name"),
        (f"<name> </name>{BOX}", "orphan_category_id", "no name"),
        ("<name>x</name>", "missing_geometry", "no bndbox"),
        ("<name>x</name><bndbox><xmin>1</xmin></bndbox>", "missing_geometry", "bndbox has no ymin"),
        (f"<name>x</name>{BOX.replace('352', 'wide')}", "non_finite_geometry", "not finite"),
        (f"<name>x</name>{BOX.replace('352', 'inf')}", "non_finite_geometry", "not finite"),
        (f"<name>x</name>{BOX.replace('352', '1e30')}", "non_finite_geometry", "beyond"),
        (f"<name>x</name>{BOX}<polygon><x1>1</x1><y1>1</y1></polygon>", "missing_geometry", "2 numbers"),
    ],
)
def test_a_bad_object_is_an_error_row(written, tmp_path: Path, bad: str, reason: str, message: str) -> None:
    written(annotation(f"<name>x</name>{BOX}", bad, f"<name>x</name>{BOX}"))
    made = load(tmp_path)
    assert made.objects.column("object").to_pylist() == ["labels/a/0", "labels/a/2"]
    (error,) = made.errors.to_pylist()
    assert (error["uri"], error["line"], error["reason"], error["object"]) == ("a.xml", 1, reason, "labels/a/1")
    assert message in error["detail"]


def test_a_box_turned_inside_out_is_kept_and_told(written, tmp_path: Path) -> None:
    written(annotation(f"<name>x</name>{BOX.replace('352', '7')}"))
    made = load(tmp_path)
    assert made.objects.column("box").to_pylist() == [[7, 11, 7, 498]]
    assert made.errors.column("reason").to_pylist() == ["degenerate_bbox"]


def test_bad_files_are_error_rows_and_the_others_are_read(written, tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotation><filename>&b;</filename></annotation>'
    for name, text in (("b", bomb), ("c", "<annotation><object>"), ("d", ""), ("e", "<html><p/></html>")):
        written(text, f"Annotations/deeper/{name}.xml")
    written(annotation(f"<name>x</name>{BOX}"))
    made = load(tmp_path)
    assert made.objects.num_rows == 1
    errors = {e["uri"]: e["detail"] for e in made.errors.to_pylist()}
    assert sorted(errors) == [f"deeper/{name}.xml" for name in "bcde"]
    assert "declares an entity" in errors["deeper/b.xml"]
    assert "root is <html>" in errors["deeper/e.xml"]


def test_images_are_found_by_name_and_by_stem(written, tmp_path: Path) -> None:
    photos = tmp_path / "JPEGImages"
    photos.mkdir()
    for name in ("a.jpg", "b.png", "c.jpg"):
        Image.new("RGB", (4, 3)).save(photos / name)
    written(annotation(head="<filename>C:\\photos\\a.jpg</filename>"))
    written(annotation(head=""), "Annotations/b.xml")
    written(annotation(head="<filename>gone.jpg</filename>"), "Annotations/c.xml")
    made = load(tmp_path)
    assert {f["frame"]: (f["labelled"], f["size_bytes"] > 0) for f in made.frames.to_pylist()} == {
        "a.jpg": (True, True),
        "b.png": (True, True),
        "c.jpg": (False, True),
        "gone.jpg": (True, False),
    }
    assert load(tmp_path / "Annotations", photos).frames.equals(made.frames)


def test_predictions_with_and_without_a_score(written, tmp_path: Path) -> None:
    written(annotation(f"<name>x</name>{BOX}"))
    scores = ("<confidence>0.5</confidence>", "<score>1</score>", "", "<score>high</score>")
    other = written(annotation(*(f"<name>x</name>{BOX}{s}" for s in scores)), "net/a.xml").parent
    written(annotation(head="<filename>unknown.jpg</filename>"), "net/b.xml")
    made = load(tmp_path / "Annotations", net=other)
    assert [r["score"] for r in made.objects.to_pylist() if r["origin"] == 1] == [0.5, 1.0, None]
    assert made.errors.column("reason").to_pylist() == ["dt_score_out_of_range"]
    assert [f["labelled"] for f in made.frames.to_pylist()] == [True, False]


def test_polygons(written, tmp_path: Path) -> None:
    three = "<x1>1</x1><y1>1</y1><x2>5</x2><y2>1</y2><x3>5</x3><y3>9</y3>"
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((1, 1), (5, 1), (5, 9)))
    written(annotation(*(f"<name>x</name>{BOX}<polygon>{p}</polygon>" for p in (three, points))))
    rows = load(tmp_path).objects.to_pylist()
    assert [r["polygon"] for r in rows] == [[[0, 0, 4, 0, 4, 8]]] * 2
    assert [(KINDS[r["kind"]], r["area"]) for r in rows] == [("polygon", 16)] * 2


def test_real_files(test_data: Path) -> None:
    folder = test_data / "detection" / "voc_toy" / "gts_vocpascal_format"
    made = load(folder)
    assert (made.frames.num_rows, made.objects.num_rows, made.errors.num_rows) == (10, 12, 0)
    assert made.classes == ("cat",)
    assert made.frames.column("width").null_count == 0
    (row,) = (r for r in made.objects.to_pylist() if r["frame"] == "2007_000549.jpg")
    text = (folder / "2007_000549.xml").read_text()
    corners = [int(text.partition(f"<{c}>")[2].partition("<")[0]) for c in ("xmin", "ymin", "xmax", "ymax")]
    assert row["box"] == [corners[0] - 1, corners[1] - 1, *corners[2:]]


def test_files_written_by_supervision(tmp_path: Path) -> None:
    import supervision

    Image.new("RGB", (40, 30)).save(tmp_path / "p.png")
    found = supervision.Detections(xyxy=np.array([[1.0, 2, 11, 12]]), class_id=np.array([0]))
    data = supervision.DetectionDataset(
        classes=["cat"], images=[str(tmp_path / "p.png")], annotations={str(tmp_path / "p.png"): found}
    )
    data.as_pascal_voc(annotations_directory_path=str(tmp_path / "voc"))
    made = load(tmp_path / "voc")
    assert made.objects.column("box").to_pylist() == [[1, 2, 11, 12]]
    assert [(f["frame"], f["width"], f["height"]) for f in made.frames.to_pylist()] == [("p.png", 40, 30)]
    assert made.classes == ("cat",)


def test_the_format_is_recognised(written, tmp_path: Path) -> None:
    file = written(annotation())
    assert looks_like_voc(file)
    assert looks_like_voc(tmp_path)
    assert looks_like_voc(file.parent)
    assert not looks_like_voc(written("<annotations/>", "cvat/a.xml"))
    assert not looks_like_voc(tmp_path / "cvat")
    (tmp_path / "empty").mkdir()
    assert not looks_like_voc(tmp_path / "empty")
    assert load(file).frames.column("frame").to_pylist() == ["a.jpg"]
    with pytest.raises(UsageError, match=r"holds no \.xml file"):
        load(tmp_path / "empty")


def test_equal_names_in_two_folders_are_two_images(written, tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/1.jpg", "c.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(tmp_path / "photos" / name)
    one = f"<name>dog</name>{BOX}"
    written(annotation(one, head="<filename>1.jpg</filename>"), "Annotations/a/1.xml")
    written(annotation(one, one, head="<filename>b/1.jpg</filename>"), "Annotations/b/1.XML")
    written(annotation(head="<filename>c.jpg</filename>"), "Annotations/c.xml")  # saved as another kind of image since
    for images in (None, tmp_path / "photos"):
        made = load(tmp_path / "Annotations", images)
        assert made.objects.column("frame").to_pylist() == ["a/1.jpg", "b/1.jpg", "b/1.jpg"]
    assert made.frames.column("frame").to_pylist() == ["a/1.jpg", "b/1.jpg", "c.png"]


def test_images_beside_the_files_are_listed(written, tmp_path: Path) -> None:
    written(annotation(f"<name>dog</name>{BOX}"), "a.xml")
    Image.new("RGB", (4, 3)).save(tmp_path / "a.jpg")
    Image.new("RGB", (4, 3)).save(tmp_path / "b.jpg")
    made = load(tmp_path)
    assert [(f["frame"], f["labelled"]) for f in made.frames.to_pylist()] == [("a.jpg", True), ("b.jpg", False)]
