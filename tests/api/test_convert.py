"""The verb convert: any format that is read into any that is written, with everything that got lost said."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpu_quality.api.convert import convert
from gpu_quality.cli.main import program
from gpu_quality.data.formats import panoptic, voc  # noqa: F401  readers and a writer declare themselves
from gpu_quality.errors import UnknownNameError, UsageError

VOC = """<annotation><filename>{0}.jpg</filename><size><width>40</width><height>30</height></size><object><name>cat</name>
<difficult>1</difficult><bndbox><xmin>{1}</xmin><ymin>3</ymin><xmax>12</xmax><ymax>20</ymax></bndbox></object></annotation>"""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    folder = tmp_path / "voc"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.xml").write_text(VOC.format(i, 2))
    return folder


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the program in this process; returns exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gpu-quality", *map(str, arguments)])
        code = program()
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def test_voc_to_coco(labels: Path, tmp_path: Path) -> None:
    done = convert(labels, to="coco", out=tmp_path / "out" / "c.json")
    assert (done.frames, done.objects, done.answers, done.errors) == (3, 3, 0, ())
    assert done.remarks == ("labels: read voc as voc",)
    assert done.lost == ("3 annotations are numbered from 1, as not every id was an integer",)
    data = json.loads(done.out.read_text())
    assert [(i["id"], i["file_name"]) for i in data["images"]] == [(i, f"{i}.jpg") for i in range(3)]
    assert [a["bbox"] for a in data["annotations"]] == [[1, 2, 11, 18]] * 3
    assert [p.name for p in done.out.parent.iterdir()] == ["c.json"]


def test_nothing_is_overwritten_without_force(labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    out.write_text("precious")
    with pytest.raises(UsageError, match=r"c\.json exists") as error:
        convert(labels, to="coco", out=out)
    assert "--force" in error.value.hint
    assert out.read_text() == "precious"
    convert(labels, to="coco", out=out, force=True)
    assert json.loads(out.read_text())["categories"] == [{"id": 1, "name": "cat"}]


def test_a_folder_beside_the_file_is_not_overwritten_either(tmp_path: Path) -> None:
    text = {"size": [4, 5], "counts": [0, 4, 16]}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": text}
    data = {"images": [{"id": 1, "file_name": "1.jpg"}], "categories": [{"id": 1, "name": "x"}], "annotations": [annotation]}
    (tmp_path / "in.json").write_text(json.dumps(data))
    (tmp_path / "pan").mkdir()
    (tmp_path / "pan" / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="pan exists"):
        convert(tmp_path / "in.json", to="panoptic", out=tmp_path / "pan.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.json", "pan"]
    convert(tmp_path / "in.json", to="panoptic", out=tmp_path / "pan.json", force=True)
    assert [p.name for p in (tmp_path / "pan").iterdir()] == ["1.png"]
    assert np.asarray(Image.open(tmp_path / "pan" / "1.png"))[:, 0, 0].tolist() == [1] * 4


def test_a_failing_writer_leaves_what_was_there(labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_quality import registry

    def broken(_dataset: object, _origin: str, path: Path) -> list[str]:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(registry._writers, "coco", registry.Writer("coco", broken))
    out = tmp_path / "c.json"
    out.write_text("precious")
    with pytest.raises(Exception, match="No space left on device"):
        convert(labels, to="coco", out=out, force=True)
    assert out.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.json", "voc"]


def test_predictions(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "coco_photos"
    sets = {"net": folder / "centernet_predictions.json"}
    done = convert(folder / "instances.json", to="coco", out=tmp_path / "r.json", predictions=sets, origin="net")
    assert (done.frames, done.objects, done.origin, done.lost) == (56, 4076, "net", ())
    written = {(r["image_id"], r["category_id"], *r["bbox"], r["score"]) for r in json.loads(done.out.read_text())}
    given = json.loads(sets["net"].read_text())
    assert written == {(r["image_id"], r["category_id"], *r["bbox"], r["score"]) for r in given}
    with pytest.raises(UsageError, match="no origin 'yolo'") as error:
        convert(folder / "instances.json", to="coco", out=tmp_path / "x.json", predictions=sets, origin="yolo")
    assert "labels, net" in error.value.hint


def test_predictions_alone(labels: Path, tmp_path: Path) -> None:
    done = convert(None, to="coco", out=tmp_path / "r.json", predictions={"net": labels})
    assert (done.origin, done.objects) == ("net", 3)
    with pytest.raises(UsageError, match="nothing to convert"):
        convert(None, to="coco", out=tmp_path / "x.json")


def test_formats_that_are_not_there(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no format is written under the name 'coca'") as error:
        convert(labels, to="coca", out=tmp_path / "x")
    assert "coco" in error.value.hint
    with pytest.raises(UnknownNameError):
        convert(labels, to="coco", out=tmp_path / "x", labels_format="voca")
    with pytest.raises(UsageError, match="does not exist"):
        convert(tmp_path / "absent", to="coco", out=tmp_path / "x")


def test_the_verb(call, labels: Path, tmp_path: Path) -> None:
    code, out, err = call("convert", "--labels", labels, "--to", "coco", "--out", tmp_path / "c.json")
    assert (code, out) == (0, "")
    assert "labels: read voc as voc" in err
    assert "not held by coco: 3 annotations are numbered from 1" in err
    assert f"wrote 3 frames, 3 objects, 0 answers of labels as coco to {tmp_path / 'c.json'}" in err
    code, out, err = call("convert", "--labels", labels, "--to", "coco", "--out", tmp_path / "c.json", "--json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "USAGE"


def test_the_verb_with_records_that_break_a_rule(call, labels: Path, tmp_path: Path) -> None:
    (labels / "1.xml").write_text(VOC.format(1, "x"))
    (labels / "2.xml").write_text("<annotation>")
    base = ("convert", "--labels", labels, "--labels-format", "voc", "--to", "coco", "--out", tmp_path / "c.json", "--force")
    code, out, err = call(*base)
    assert (code, out) == (3, "")
    assert "1.xml:0 non_finite_geometry: box is not finite" in err
    assert "2 records break a rule (1 bad_annotation, 1 non_finite_geometry); --json lists them" in err
    code, out, err = call(*base, "--json")
    answer = json.loads(out)
    assert (code, err) == (3, "")
    assert (answer["errors"], answer["objects"], answer["origin"], answer["format"]) == (2, 1, "labels", "coco")
    assert [row["uri"] for row in answer["error_rows"]] == ["2.xml", "1.xml"]
    assert answer["reasons"] == {"bad_annotation": 1, "non_finite_geometry": 1}
    assert call(*base, "--quiet") == (3, "", "")


def test_frames_that_match_nothing_are_told(labels: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(2):
        Image.new("RGB", (40, 30)).save(photos / f"{i}.jpg")
    (tmp_path / "p.csv").write_text("frame,x1,y1,x2,y2,class,score\n0.jpg,1,2,3,4,cat,1\nx.jpg,1,2,3,4,cat,1\n")
    sets = {"p": tmp_path / "p.csv"}
    done = convert(labels, to="coco", out=tmp_path / "p.json", images=photos, predictions=sets, origin="p")
    told = [remark for remark in done.remarks if "with objects" in remark]
    assert told == [
        "p: 1 frame with objects, not among the images: x.jpg",
        "p: 1 frame with objects, not known to the labels: x.jpg",
    ]
    done = convert(labels, to="coco", out=tmp_path / "l.json", images=photos)
    assert done.remarks[-1] == "labels: 1 frame with objects, not among the images: 2.jpg"
