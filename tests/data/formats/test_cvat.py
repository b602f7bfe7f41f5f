"""CVAT XML: worked shapes of image tasks, tracks of video tasks, and every mistake a file can hold."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data.formats import cvat
from gpu_quality.data.formats.cvat import looks_like_cvat, read
from gpu_quality.data.formats.folder import list_images
from gpu_quality.errors import UsageError
from gpu_quality.types import KINDS

LABELS = """<labels><label><name>car</name><attributes>
<attribute><name>color</name><input_type>select</input_type></attribute>
<attribute><name>plate</name><input_type>text</input_type></attribute></attributes></label>
<label><name>person</name></label><label><name>knee</name><parent>person</parent></label></labels>"""


def load(labels: Path, images: Path | None = None, **predictions: Path) -> Dataset:
    builder = Builder()
    if images is not None:
        list_images(images, builder)
    read(labels, builder, "labels")
    for name, path in predictions.items():
        read(path, builder, name)
    return builder.build()


@pytest.fixture
def written(tmp_path: Path):
    def write(children: str, name: str = "task.xml", meta: str = "") -> Path:
        path = tmp_path / name
        task = f"<task><id>3</id><name>night</name>{meta}{LABELS}</task>"
        head = f"<version>1.1</version><meta>{task}<source>drive.mp4</source></meta>" if meta else f"<meta>{task}</meta>"
        path.write_text(f"<?xml version='1.0' encoding='utf-8'?><annotations>{head}{children}</annotations>")
        return path

    return write


def image(*shapes: str) -> str:
    return f'<image id="0" name="d/a.jpg" width="40" height="30">{"".join(shapes)}</image>'


def test_shapes_of_images(written) -> None:
    made = load(
        written(
            image(
                '<box label="car" xtl="1.5" ytl="2" xbr="11.5" ybr="6" occluded="1" z_order="2"/>',
                '<box label="car" xtl="1" ytl="2" xbr="11" ybr="6" rotation="90.0"/>',
                '<polygon label="person" points="1,2;5,2;5,8.5"/>',
                '<polyline label="person" points="1,2;5,2;5,8"/>',
                '<points label="person" points="3,4"/>',
                '<points label="person" points="3,4;5,6"/>',
                '<mask label="car" rle="1, 2, 3" left="4" top="5" width="3" height="2"/>',
                '<ellipse label="car" cx="10" cy="10" rx="4" ry="2"/>',
            )
        )
    )
    rows = made.objects.to_pylist()
    kinds = ["box", "rotated_box", "polygon", "polyline", "point", "keypoints", "mask", "polygon"]
    assert [KINDS[r["kind"]] for r in rows] == kinds
    assert [r["source_id"] for r in rows] == [f"0/{i}" for i in range(8)]
    assert rows[0]["box"] == [1.5, 2, 11.5, 6]
    assert np.allclose(rows[1]["polygon"], [[8, -1, 8, 9, 4, 9, 4, -1]])  # turned clockwise on the screen, around (6, 4)
    assert rows[1]["angle"] == math.pi / 2
    assert np.allclose(rows[1]["box"], [4, -1, 8, 9])
    assert (rows[2]["box"], rows[2]["area"]) == ([1, 2, 5, 8.5], 13)
    assert rows[5]["keypoints"] == [3, 4, 2, 5, 6, 2]
    bits = np.zeros((30, 40), np.uint8)
    bits[5, 5:7] = 1  # 0 1 1 / 0 0 0 at (4, 5)
    assert rows[6]["rle"]["counts"] == coco_mask.encode(np.asfortranarray(bits))["counts"]
    assert rows[7]["area"] == pytest.approx(math.pi * 8, rel=2e-3)
    assert made.classes == ("car", "person")
    assert [(f["frame"], f["width"], f["height"], f["sequence"]) for f in made.frames.to_pylist()] == [("d/a.jpg", 40, 30, "")]
    assert made.notes == (
        "task.xml: occluded of 1 shapes is not kept",
        "task.xml: the exact outline (64 corners stand for it) of 1 shapes is not kept",
        "task.xml: z_order of 1 shapes is not kept",
    )
    assert made.errors.num_rows == 0


def test_skeletons(written) -> None:
    points = '<points label="{}" outside="{}" occluded="{}" points="{}"/>'
    first = points.format("knee", 0, 0, "1,2") + points.format("hip", 0, 1, "3,4") + points.format("eye", 1, 0, "9,9")
    second = points.format("hip", 0, 0, "5,6")
    made = load(written(image(*(f'<skeleton label="person">{p}</skeleton>' for p in (first, second)))))
    assert [r["keypoints"] for r in made.objects.to_pylist()] == [[1, 2, 2, 3, 4, 1, 0, 0, 0], [0, 0, 0, 5, 6, 2, 0, 0, 0]]
    assert made.objects.column("box").to_pylist() == [[1, 2, 3, 4], [5, 6, 5, 6]]


def test_tags_and_attributes_are_answers(written) -> None:
    attributes = (
        '<attribute name="color">red</attribute><attribute name="plate">AB 12</attribute><attribute name="age">7</attribute>'
    )
    box = f'<box label="car" xtl="1" ytl="2" xbr="3" ybr="4">{attributes}</box>'
    made = load(written(image(box, '<tag label="night"><attribute name="sky">clear</attribute></tag>', "<tag/>")))
    answers = [(a["object"], a["question"], made.classes[a["class_id"]]) for a in made.classifications.to_pylist()]
    assert answers == [("labels/0/0", "color", "red"), (None, "tag", "night"), (None, "sky", "clear")]
    assert [n for n in made.notes if "attribute" in n] == [
        "task.xml: attribute 'age' of 1 shapes is not kept",
        "task.xml: attribute 'plate' of 1 shapes is not kept",
    ]
    assert [(e["line"], e["reason"]) for e in made.errors.to_pylist()] == [(2, "orphan_category_id")]


@pytest.mark.parametrize(
    ("bad", "reason", "message"),
    [
        ('<box xtl="1" ytl="2" xbr="3" ybr="4"/>', "orphan_category_id", "no label"),
        ('<box label="car" xtl="1" ytl="2" xbr="3"/>', "missing_geometry", "<box> has no ybr"),
        ('<box label="car" xtl="x" ytl="2" xbr="3" ybr="4"/>', "non_finite_geometry", "not finite"),
        ('<box label="car" xtl="1" ytl="2" xbr="3" ybr="4" rotation="nan"/>', "non_finite_geometry", "not finite"),
        ('<polygon label="car" points="1,2;3,4"/>', "missing_geometry", "4 numbers"),
        ('<polygon label="car" points="1,2;3"/>', "missing_geometry", "its points are '1,2;3'"),
        ('<polygon label="car"/>', "missing_geometry", "its points are None"),
        ('<polygon label="car" points="1,2;3,nan;5,6"/>', "non_finite_geometry", "not finite"),
        ('<polyline label="car" points="1,2"/>', "missing_geometry", "one point"),
        ('<cuboid label="car" xtl1="1"/>', "bad_annotation", "cuboid"),
        ('<skeleton label="car"/>', "missing_geometry", "without points"),
        ('<skeleton label="car"><points label="1" points="1,2;3,4"/></skeleton>', "missing_geometry", "'1,2;3,4'"),
        ('<mask label="car" rle="1,2" left="0" top="0" width="2" height="2"/>', "invalid_rle", "do not sum to 2 x 2"),
        ('<mask label="car" rle="1,x" left="0" top="0" width="2" height="2"/>', "invalid_rle", "no count"),
        (f'<mask label="car" rle="{10**30}" left="0" top="0" width="2" height="2"/>', "invalid_rle", "no count"),
        ('<mask label="car" rle="4" left="39" top="0" width="2" height="2"/>', "invalid_rle", "leads out"),
        ('<mask label="car" rle="4" left="1e300" top="0" width="2" height="2"/>', "invalid_rle", "place and size"),
        ('<mask label="car" rle="4" left="0" top="0" width="2"/>', "missing_geometry", "<mask> has no height"),
        ('<ellipse label="car" cx="1" cy="1" rx="inf" ry="1"/>', "non_finite_geometry", "not finite"),
    ],
)
def test_a_bad_shape_is_an_error_row(written, bad: str, reason: str, message: str) -> None:
    good = '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4"/>'
    made = load(written(image(good, bad, good)))
    assert made.objects.column("source_id").to_pylist() == ["0/0", "0/2"]
    (error,) = made.errors.to_pylist()
    assert (error["uri"], error["line"], error["reason"], error["object"]) == ("task.xml", 1, reason, "labels/0/1")
    assert message in error["detail"]


def test_a_mask_in_a_frame_of_unknown_size(written) -> None:
    made = load(written('<image id="0" name="a.jpg"><mask label="car" rle="4" left="0" top="0" width="2" height="2"/></image>'))
    assert "whose width and height the file says" in made.errors.to_pylist()[0]["detail"]


def test_an_image_without_name(written) -> None:
    made = load(written(f'<image id="0"><tag/></image>{image()}'))
    assert made.errors.column("detail").to_pylist() == ["an image without name; none of its shapes is kept"]
    assert made.frames.column("frame").to_pylist() == ["d/a.jpg"]


VIDEO = (
    "<mode>interpolation</mode><start_frame>2</start_frame><stop_frame>8</stop_frame><frame_filter>step=2</frame_filter>"
    "<size>4</size><original_size><width>640</width><height>480</height></original_size>"
)


def track(number: str, *frames: str, label: str = "car") -> str:
    box = '<box {} keyframe="0" xtl="1" ytl="2" xbr="3" ybr="4"/>'
    return f'<track id="{number}" label="{label}">{"".join(box.format(f) for f in frames)}</track>'


def test_tracks_of_a_video(written) -> None:
    made = load(written(track("0", 'frame="2"', 'frame="4"', 'frame="6" outside="1"') + track("7", 'frame="4"'), meta=VIDEO))
    frames = [(f["frame"], f["sequence"], f["position"], f["width"], f["labelled"]) for f in made.frames.to_pylist()]
    assert frames == [(f"drive.mp4#{i:06d}", "drive.mp4", i, 640, True) for i in (2, 4, 6, 8)]  # empty frames count
    rows = [(r["object"], r["frame"], r["track"]) for r in made.objects.to_pylist()]
    assert rows == [
        ("labels/track-0/2", "drive.mp4#000002", 0),
        ("labels/track-0/4", "drive.mp4#000004", 0),
        ("labels/track-7/4", "drive.mp4#000004", 7),
    ]
    assert made.errors.num_rows == 0


def test_bad_tracks_are_error_rows(written) -> None:
    made = load(written(track("x", 'frame="2"') + track("1", "", 'frame="-1"', 'frame="1e300"', 'frame="3"'), meta=VIDEO))
    assert made.objects.column("source_id").to_pylist() == ["track-1/3"]
    assert [e["line"] for e in made.errors.to_pylist()] == [0, 1, 2, 3]
    assert "frame None of track '1' is no number" in made.errors.to_pylist()[1]["detail"]


def test_a_task_cannot_claim_any_number_of_frames(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvat, "MOST_FRAMES", 1000)
    meta = VIDEO.replace("<stop_frame>8<", f"<stop_frame>{10**15}<")
    made = load(written(track("0", 'frame="2"'), meta=meta))
    assert made.frames.num_rows == 1
    assert "claims 500,000,000,000,000 frames" in made.notes[0]


def test_frames_of_a_video_are_the_images_that_cvat_exports(written, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for i in (2, 4, 6, 8):
        Image.new("RGB", (4, 3)).save(tmp_path / "images" / f"frame_{i:06d}.PNG")
    made = load(written(track("0", 'frame="4"'), meta=VIDEO), tmp_path / "images")
    frames = [(f["frame"], f["sequence"], f["position"], f["size_bytes"] > 0) for f in made.frames.to_pylist()]
    assert frames == [(f"frame_{i:06d}.PNG", "drive.mp4", i, True) for i in (2, 4, 6, 8)]
    assert made.objects.column("frame").to_pylist() == ["frame_000004.PNG"]


def test_predictions_have_the_score_that_is_their_attribute(written) -> None:
    box = '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4">{}</box>'
    other = written(image(box.format('<attribute name="score">0.25</attribute>'), box.format("")), "net.xml")
    made = load(written(image()), net=other)
    assert [r["score"] for r in made.objects.to_pylist()] == [0.25, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object/></annotation>", "its root is <annotation>, not <annotations>"),
        ("<annotations><image", "not readable XML"),
        ('<!DOCTYPE a [<!ENTITY a "b">]><annotations><image name="&a;"/></annotations>', "declares an entity"),
        ("", "not readable XML"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load(tmp_path / "a.xml")


def test_the_format_is_recognised(written, tmp_path: Path) -> None:
    assert looks_like_cvat(written(image()))
    assert not looks_like_cvat(tmp_path)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load(tmp_path / "absent.xml")


def test_the_folder_of_an_export_lists_its_images(written, tmp_path: Path) -> None:
    (tmp_path / "images" / "d").mkdir(parents=True)
    for name in ("d/a.jpg", "frame_000001.PNG"):
        Image.new("RGB", (40, 30)).save(tmp_path / "images" / name)
    box = '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4"/>'
    shot = f'<image id="1" name="frame_000001" width="40" height="30">{box}</image>'  # as of a task that was a video
    written(image(box) + shot, "annotations.xml")
    assert looks_like_cvat(tmp_path)
    made = load(tmp_path)
    assert [(f["frame"], f["size_bytes"] > 0) for f in made.frames.to_pylist()] == [
        ("d/a.jpg", True),
        ("frame_000001.PNG", True),
    ]
    assert made.objects.column("frame").to_pylist() == ["d/a.jpg", "frame_000001.PNG"]
