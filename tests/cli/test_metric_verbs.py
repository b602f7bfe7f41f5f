"""The verbs of metrics of one's own: run a file of classes, import values computed elsewhere."""

import json
from pathlib import Path

import pytest
from photos import write_photos

from gpu_quality.store.store import Store
from tests.authoring.labelled import labelled_store

EXAMPLES = Path(__file__).parents[2] / "configs" / "examples"
CLASSES = """
import numpy as np
from gpu_quality.authoring.metric import DataType, Metric, MetricType, SimpleMetric


class Base(Metric):
    def __init__(self, title):
        super().__init__(title, "Short.", "", MetricType.HEURISTIC, DataType.IMAGE)


class Height(Base):
    def __init__(self):
        super().__init__("My Height")

    def execute(self, iterator, writer):
        for data_unit, image in iterator.iterate():
            if image is not None:
                writer.write(image.height)


class Level(SimpleMetric):
    def __init__(self):
        super().__init__("My Level", "Short.", "", MetricType.HEURISTIC, DataType.IMAGE)

    def execute(self, image):
        return image.mean()


class Scaled(Height):
    def __init__(self, factor):
        super().__init__()
"""


@pytest.fixture
def store(tmp_path):
    return labelled_store(tmp_path)


def test_the_class_example_runs_on_labels_and_on_predictions(call, store):
    example = EXAMPLES / "box_height.py"
    code, out, _ = call("metric", "run", example, store)
    assert code == 0
    assert "Box Height: 4 scores, box_height" in out
    code, out, _ = call("metric", "run", example, store, "--predictions", "yolo", "--json")
    assert code == 0
    (told,) = json.loads(out)["metrics"]
    assert told["columns"] == ["box_height_yolo", "box_height_yolo_description"]
    assert (told["rows"], told["errors"], told["fresh"]) == (3, 0, True)
    assert "stored before" in call("metric", "run", example, store)[1]
    code, out, _ = call("show", store, "--per", "object", "--json")
    assert "box_height" in {row["metric"] for row in json.loads(out)["distributions"]}
    rows = json.loads(call("query", store, "select max(box_height) as top from objects", "--json")[1])["rows"]
    assert rows == [{"top": 0.5}]
    assert "box_height" in call("show", store, "--sort", "box_height")[1]


def test_the_function_example_runs(call, tmp_path):
    write_photos(tmp_path / "in", 3)
    plugin = tmp_path / "glare.py"
    plugin.write_text((EXAMPLES / "glare.py").read_text() + f"# {tmp_path}\n")  # another test may have declared the example
    code, _, err = call(
        "run", tmp_path / "in", "--plugin", plugin, "--metrics", "glare", "--out", tmp_path / "out", "--engine", "inline"
    )
    assert code == 0, err
    assert Store.open(tmp_path / "out").column("glare").between(0, 1).all()
    assert "lens faces the sun" in call("metric", "show", "glare", "--plugin", plugin)[1]


def test_every_class_of_a_file_that_needs_no_argument_runs_on_a_folder(call, tmp_path):
    write_photos(tmp_path / "in", 2, broken=1)
    (tmp_path / "mine.py").write_text(CLASSES)
    code, out, err = call("metric", "run", tmp_path / "mine.py", tmp_path / "in")
    assert code == 3  # a photo is broken
    assert "My Height: 2 scores, 1 errors, my_height" in out
    assert "Scaled is passed over: it needs factor" in err
    found = Store.open(tmp_path / "in" / ".gpu-quality").table("frame", ["my_height", "my_level"])
    assert found["my_height"].tolist()[:2] == [30, 30]
    assert found["my_level"].isna().tolist() == [False, False, True]


def test_changed_code_needs_replace(call, store, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CLASSES)
    assert call("metric", "run", path, store)[0] == 0
    path.write_text(CLASSES.replace("image.mean()", "image.max()"))
    code, _, err = call("metric", "run", path, store)
    assert code == 13
    assert "--replace" in err
    assert call("metric", "run", path, store, "--replace")[0] == 0


def test_imported_values_are_told_stored_and_shown(call, store, tmp_path):
    path = tmp_path / "values.csv"
    path.write_text("frame,my score\nphoto000.png,1.5\nphoto001.png,2.5\nnobody.png,1\n")
    code, out, err = call("metric", "import", store, path)
    assert code == 3
    assert "custom/my score: 2 values, arithmetic mean, column my_score" in out
    assert "line 4: no frame is called 'nobody.png'" in err
    told = json.loads(call("metric", "import", store, path, "--json")[1])
    assert told["metrics"][0]["overall"] == 2
    assert told["bad"][0][0] == 4
    assert "my_score" in call("show", store)[1]
    assert "values.csv:4" in call("errors", store)[1].replace(" ", "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("metric", "run", "{tmp}/none.py", "{store}"), 2, "none.py"),
        (("metric", "run", "{tmp}/empty.py", "{store}"), 2, "--plugin"),
        (("metric", "run", "{tmp}/broken.py", "{store}"), 2, "broken.py does not import"),
        (("metric", "run", "{tmp}/raises.py", "{store}"), 1, "'My Height' raised ValueError at frame 'photo000.png': no film"),
        (("metric", "run", "{tmp}/mine.py", "{tmp}/nowhere"), 2, "folder of images"),
        (("metric", "run", "{tmp}/mine.py", "{store}", "--predictions", "yolo9"), 2, "'yolo'"),
        (("metric", "import", "{store}", "{tmp}/none.csv"), 2, "none.csv"),
        (("metric", "import", "{store}", "{tmp}/mine.py"), 2, ".ndjson"),
        (("metric", "import", "{tmp}", "{tmp}/none.csv"), 10, "not a store"),
    ],
)
def test_mistakes_get_one_clear_message(call, store, tmp_path, arguments, code, said):
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "mine.py").write_text(CLASSES)
    (tmp_path / "raises.py").write_text(CLASSES.replace("writer.write(image.height)", "raise ValueError('no film')"))
    places = {"{tmp}": str(tmp_path), "{store}": str(store)}
    for place, path in places.items():
        arguments = tuple(argument.replace(place, path) for argument in arguments)
    found, _, err = call(*arguments)
    assert found == code, err
    assert said in err
    assert "gpu-quality: error [" in err
    assert "Traceback" not in err


def test_the_verbs_have_help_with_an_example(call):
    for verb in ("run", "import"):
        code, out, _ = call("metric", verb, "--help")
        assert code == 0
        assert "Example: gpu-quality metric" in out
