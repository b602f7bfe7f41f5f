"""Rows of the canonical tables as the dictionaries that class-form metrics read."""

import math
from pathlib import Path

import numpy as np
import pytest
from shapely import Polygon
from shapely.affinity import rotate

from gpu_quality.annotations import OBJECTS
from gpu_quality.authoring.iterator import DatasetIterator
from gpu_quality.authoring.labels import answer_label, object_label
from gpu_quality.authoring.metric import AnnotationType
from gpu_quality.types import KINDS
from tests.authoring.labelled import gray_store, labelled_store, sequence_store

SIZE = (40, 30)


def row_of(kind, **given):
    """A row of the objects table."""
    blank = dict.fromkeys(OBJECTS.names)
    return {**blank, "object": "labels/1", "frame": "a", "origin": 0, "row": 3, "kind": KINDS.index(kind), **given}


def label_of(kind, **given):
    return object_label(row_of(kind, **given), 17, "", SIZE, "Guide Dog")


def test_every_kind_of_shape_has_its_name_and_coordinates():
    square = [4.0, 3.0, 8.0, 3.0, 8.0, 6.0, 4.0, 6.0]
    speck = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    box = label_of("box", box=[4.0, 3.0, 8.0, 6.0])
    assert (box["shape"], box["boundingBox"]) == ("bounding_box", {"x": 0.1, "y": 0.1, "w": 0.1, "h": 0.1})
    polygon = label_of("polygon", polygon=[speck, square])
    assert polygon["shape"] == AnnotationType.OBJECT.POLYGON
    assert polygon["polygon"] == {
        str(i): {"x": x, "y": y} for i, (x, y) in enumerate([(0.1, 0.1), (0.2, 0.1), (0.2, 0.2), (0.1, 0.2)])
    }
    assert len(polygon["polygons"]) == 2
    assert label_of("polyline", polygon=[speck])["polyline"]["1"] == {"x": 1 / 40, "y": 0.0}
    assert label_of("point", polygon=[[20.0, 15.0]])["point"] == {"0": {"x": 0.5, "y": 0.5}}
    skeleton = label_of("keypoints", keypoints=[4.0, 3.0, 2.0, 0.0, 0.0, 0.0, 8.0, 3.0, 1.0])
    assert skeleton["shape"] == "skeleton"
    assert skeleton["skeleton"] == {"0": {"x": 0.1, "y": 0.1, "visible": True}, "2": {"x": 0.2, "y": 0.1, "visible": False}}
    mask = label_of("mask", rle={"height": 30, "width": 40, "counts": b"PP2"})
    assert mask["bitmask"] == {"top": 0, "left": 0, "width": 40, "height": 30, "rleString": "PP2"}
    assert {kind.value for kind in AnnotationType.OBJECT} == {
        label["shape"] for label in (box, polygon, skeleton, mask, label_of("polyline", polygon=[speck]))
    } | {"rotatable_bounding_box", "point"}


@pytest.mark.parametrize("degrees", [0.0, 30.0, -45.0, 90.0, 100.0])
def test_a_rotated_box_is_turned_back_by_theta(degrees):
    upright = Polygon([(10, 8), (22, 8), (22, 14), (10, 14)])
    turned = rotate(upright, degrees)
    corners = np.array(turned.exterior.coords)[:4].reshape(-1).tolist()
    found = label_of("rotated_box", polygon=[corners])["rotatableBoundingBox"]
    x, y, w, h = found["x"] * 40, found["y"] * 30, found["w"] * 40, found["h"] * 30
    again = rotate(Polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]), found["theta"])
    assert again.symmetric_difference(turned).area < 1e-9
    assert math.cos(math.radians(found["theta"] - degrees)) == pytest.approx(1)


def test_what_a_label_says_beside_its_shape():
    label = label_of("box", box=[0, 0, 1, 1], annotator="ann@example.org", score=0.25, origin=1)
    assert label["name"] == "Guide Dog"
    assert label["value"] == "guide_dog"
    assert label["confidence"] == 0.25
    assert label["lastEditedBy"] == label["createdBy"] == "ann@example.org"
    assert label["createdAt"] is None
    assert not label["manualAnnotation"]
    assert len(label["objectHash"]) == len(label["featureHash"]) == 12
    answer = {
        "frame": "a",
        "object": None,
        "origin": 0,
        "question": "Weather?",
        "class_id": 0,
        "score": None,
        "annotator": None,
    }
    said = answer_label(answer, 3, 5, "Light rain")
    assert (said["name"], said["value"]) == ("Weather?", "light_rain")
    assert said["answers"] == [{"name": "Light rain", "value": "light_rain", "featureHash": said["answers"][0]["featureHash"]}]


def test_an_iterator_says_where_it_is(tmp_path):
    iterator = DatasetIterator(sequence_store(tmp_path, [5, 3], [[(7, 0.0)], [(7, 4.0)]]))
    assert len(iterator) == iterator.length == 2
    seen = []
    for unit, image in iterator.iterate(desc="Walking"):
        assert image is None  # the labels name no image
        seen.append((iterator.frame, unit["data_title"], unit["labels"]["objects"][0]["objectHash"]))
        assert iterator.num_frames == 2
    assert [frame for frame, *_ in seen] == [3, 5]
    assert seen[0][2] == seen[1][2]  # one track, one hash
    row = iterator.label_rows[iterator.label_hash]
    assert list(iterator.label_rows) == [iterator.label_hash]
    assert row["data_type"] == "video"
    (unit,) = row["data_units"].values()
    assert list(unit["labels"]) == ["3", "5"]
    assert iterator.get_identifier(unit["labels"]["3"]["objects"][0], 3).endswith(f"_00003_{seen[0][2]}")
    assert [o.name for o in iterator.project.ontology.objects] == ["car"]


def test_positions_that_repeat_are_replaced_by_places(tmp_path):
    iterator = DatasetIterator(sequence_store(tmp_path, [0, 0, 0], [[], [], []]))
    assert [iterator.frame for _ in iterator.iterate()] == [0, 1, 2]


def test_two_objects_of_a_frame_on_one_track_have_two_hashes(tmp_path):
    iterator = DatasetIterator(sequence_store(tmp_path, [0], [[(7, 0.0), (7, 4.0)]]))
    ((unit, _),) = iterator.iterate()
    assert len({obj["objectHash"] for obj in unit["labels"]["objects"]}) == 2


def test_a_part_of_the_data(tmp_path):
    folder = gray_store(tmp_path, [1, 2, 3])
    iterator = DatasetIterator(folder, subset_size=2)
    units = [(unit["width"], unit["height"], np.asarray(image).max()) for unit, image in iterator.iterate()]
    assert units == [(8, 6, 1), (8, 6, 2)]
    assert len(iterator.label_rows) == 2


def test_sizes_come_from_the_labels_where_nothing_was_measured(tmp_path):
    path = labelled_store(tmp_path)
    for file in Path(tmp_path / "in").glob("*.png"):
        file.unlink()
    iterator = DatasetIterator(path)
    (unit, image), *_ = iterator.iterate()
    assert (unit["width"], unit["height"]) == SIZE
    assert unit["labels"]["objects"][0]["boundingBox"] == {"x": 0.1, "y": 0.1, "w": 0.5, "h": 0.5}
    with pytest.raises(Exception, match="missing"):
        image.load()
