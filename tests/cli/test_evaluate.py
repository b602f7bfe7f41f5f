"""`gpu-quality evaluate` and `compare`: what is printed, what is JSON, which exit code; published figures to the digit."""

import json
from pathlib import Path

import pytest

from gpu_quality.cli import main as cli

FIGURES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
LABELS = {
    "images": [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(3)],
    "categories": [{"id": 0, "name": "cat"}, {"id": 7, "name": "犬"}],
    "annotations": [
        {"id": 0, "image_id": 0, "category_id": 0, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0},
        {"id": -1, "image_id": 1, "category_id": 7, "bbox": [0, 0, 20, 20], "area": 400, "iscrowd": 0},
    ],
}
RESULTS = [
    {"image_id": 0, "category_id": 0, "bbox": [0, 0, 10, 10], "score": 0.9},
    {"image_id": 1, "category_id": 7, "bbox": [0, 0, 20, 20], "score": 0.8},
    {"image_id": 2, "category_id": 7, "bbox": [0, 0, 20, 20], "score": 0.3},
]


@pytest.fixture
def program(monkeypatch, capsys, tmp_path):
    """The command line in this process: exit code, stdout, stderr. Values that are no text become JSON files."""

    def call(*words):
        written = []
        for number, word in enumerate(words):
            if not isinstance(word, str | Path):
                path = tmp_path / f"{number}.json"
                path.write_text(json.dumps(word))
                word = path
            written.append(str(word))
        monkeypatch.setattr("sys.argv", ["gpu-quality", *written])
        code = cli.program()
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def files(program):
    """The same on these labels and results, with more flags."""

    def call(*flags, labels=LABELS, results=RESULTS):
        return program("evaluate", "--labels", labels, "--predictions", results, *flags)

    return call


def test_json_is_one_object_with_the_twelve_figures(files):
    code, out, err = files("--json", "--bootstrap", "100", "--tide", "--lrp", "--calibration", "--fail-on", "AP/犬>=0.5")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["stats"] == [told["metrics"][name] for name in FIGURES]
    assert told["metrics"]["APs"] == told["metrics"]["AP"] == pytest.approx(1)
    assert told["metrics"]["APm"] is None
    assert {"version", "protocol", "params", "per_class", "tide", "lrp", "calibration", "intervals", "warnings"} <= set(told)
    assert told["gates"] == [{"condition": "AP/犬>=0.5", "figure": "AP/犬", "value": pytest.approx(1), "passed": True}]


def test_a_gate_ends_with_5_and_json_stays_one_object(files):
    code, out, err = files("--json", "--fail-on", "map>=0.4", "--fail-on", "fp/犬>0")
    told = json.loads(out)
    assert code == 5
    assert [gate["passed"] for gate in told["gates"]] == [True, False]
    assert told["error"]["code"] == "GATE"
    assert told["metrics"]["AP"] == pytest.approx(1)
    assert "fp/犬 is 1.0000" in err
    code, out, err = files("--quiet", "--fail-on", "APm>=0.1")
    assert code == 5
    assert "undefined" in err
    assert len(out.splitlines()) == 12


def test_an_unknown_gate_is_refused_before_anything_is_printed(files):
    code, out, _ = files("--json", "--fail-on", "mapp>=0.4")
    assert code == 2
    assert "mapp" in json.loads(out)["error"]["message"]
    assert files("--fail-on", "AP/dog>=0.4")[:2] == (2, "")


def test_rows_that_cannot_be_used_end_with_3(files):
    results = [*RESULTS, {**RESULTS[0], "image_id": 99}, {**RESULTS[0], "score": 1.5}]
    code, _, err = files(results=results)
    assert code == 3
    assert "no image has the id 99" in err
    assert "score 1.5 is outside 0..1" in err
    assert "annotation id 0" in err
    assert files("--errors-ok", results=results)[0] == 0
    assert files("--fail-on", "AP<2", results=results)[0] == 5


@pytest.mark.parametrize(
    ("flags", "labels", "results", "said"),
    [
        ((), LABELS, [{"image_id": 0, "category_id": 0, "bbox": [0, 0, 1, 1]}], "--missing-score 1"),
        ((), LABELS, [{**RESULTS[0], "image_id": "x"}], "none of the 1 predictions"),
        (("--kind", "mask"), LABELS, RESULTS, "segmentation must be"),
        (("--kind", "keypoints"), LABELS, RESULTS, "keypoints must be"),
        (("--kind", "line"), LABELS, RESULTS, "--kind line"),
        (("--kind", "boxes"), LABELS, RESULTS, "did you mean 'box'"),
        (("--kind", "class"), LABELS, RESULTS, "no classifications"),
        (("--kind", "class", "--tide"), LABELS, RESULTS, "--tide"),
        ((), RESULTS, LABELS, "swapped"),
        ((), {**LABELS, "images": []}, RESULTS, "list no images"),
        (("--protocol", "cooc"), LABELS, RESULTS, "did you mean 'coco'"),
        (("--iou", "50"), LABELS, RESULTS, "from 0 to 1"),
        (("--classes", "cta"), LABELS, RESULTS, "did you mean 'cat'"),
        (("--slices", "area < 3"), LABELS, RESULTS, "slices need a store"),
        (("--labels-format", "nope"), LABELS, RESULTS, "nope"),
    ],
)
def test_what_is_wrong_is_one_message_and_2(files, flags, labels, results, said):
    code, out, err = files(*flags, labels=labels, results=results)
    assert (code, out) == (2, "")
    assert said in err
    assert "bug" not in err


def test_files_that_are_no_json_are_named(program, tmp_path):
    (tmp_path / "cut.json").write_text(json.dumps(LABELS)[:-9])
    code, _, err = program("evaluate", "--labels", tmp_path / "cut.json", "--predictions", RESULTS)
    assert code == 2
    assert "cut.json is no JSON" in err
    assert "cut off" in err
    assert program("evaluate")[0] == 2
    assert program("evaluate", "--labels-format", "coco")[0] == 2
    assert program("evaluate", tmp_path / "nothing")[0] == 10


def test_nothing_to_find_and_nothing_found_are_told(files):
    code, out, err = files(results=[])
    assert code == 0
    assert "there are no predictions" in err
    assert out.splitlines()[0].endswith("= 0.000")
    code, out, err = files(labels={**LABELS, "annotations": []})
    assert code == 0
    assert "there are no labels" in err
    assert out.splitlines()[0].endswith("= -1.000")
    _, _, err = files(labels={**LABELS, "annotations": LABELS["annotations"][:1]})
    assert "1 class (犬) of 2 predictions occur in no label" in err


def test_classes_of_one_name_stay_two(files):
    labels = {**LABELS, "categories": [{"id": 0, "name": "x"}, {"id": 7, "name": "x"}]}
    code, out, _ = files("--json", labels=labels)
    assert code == 0
    assert [row["class"] for row in json.loads(out)["per_class"]] == ["x (id 0)", "x (id 7)"]


def test_classifications(program, tmp_path):
    (tmp_path / "l.csv").write_text("image,class\na.jpg,cat\nb.jpg,dog\n")
    (tmp_path / "p.csv").write_text("image,class,score\nb.jpg,dog,.9\na.jpg,dog,.8\n")
    words = ("evaluate", "--labels", tmp_path / "l.csv", "--predictions", tmp_path / "p.csv", "--kind", "class")
    code, out, err = program(*words, "--fail-on", "accuracy>=0.9", "--fail-on", "recall/dog>=1")
    assert code == 5
    assert "accuracy is 0.5000" in err
    assert "accuracy 0.5000" in out
    code, out, _ = program(*words, "--json", "--fail-on", "recall/dog>=1")
    assert code == 0
    assert json.loads(out)["questions"][0]["metrics"]["accuracy"] == 0.5


def test_compare(program):
    worse = [{**row, "score": 1 - row["score"]} for row in RESULTS]
    words = ("compare", "--labels", LABELS, "--predictions", RESULTS, "--predictions", worse, "--bootstrap", "100")
    code, out, _ = program(*words)
    assert code == 0
    assert "AP50" in out
    code, out, err = program(*words, "--json")
    assert (code, err) == (0, "")
    figures = {row["figure"]: row for row in json.loads(out)["figures"]}
    assert figures["AP"]["difference"] < 0
    assert program(*words[:-4])[0] == 2


@pytest.mark.parametrize(("protocol", "shape"), [("voc07", "11pt"), ("voc12", "every")])
@pytest.mark.parametrize("iou", [".5", ".75"])
def test_published_voc_figures(program, test_data, protocol, shape, iou):
    """Labels as XML, which say what their numbers are, or as COCO; predictions as text, which do not."""
    figures = json.loads((test_data / "expected_figures.json").read_text())
    toy, case = test_data / "detection" / "voc_toy", test_data / "detection" / "voc_case1"
    flags = ("--protocol", protocol, "--iou", iou, "--inclusive", "--json")
    found = [
        program("evaluate", "--labels", labels, "--predictions", predictions, *forms, *flags)
        for labels, predictions, *forms in (
            (toy / "gts_vocpascal_format", toy / "dets_classname_abs_xyx2y2", "--predictions-format", "boxes_xyxy"),
            (toy / "gts_coco_format" / "toy_example_coco.JSON", toy / "dets_coco_format" / "coco_dets.json"),
            (case / "gts", case / "dets", "--labels-format", "boxes_xywh", "--predictions-format", "boxes_xywh"),
        )
    ]
    values = [json.loads(out)["metrics"]["mAP"] for code, out, _ in found if code == 0]
    wanted = figures["voc_toy (published)"][shape][iou]
    assert values[:2] == pytest.approx([wanted, wanted], abs=1e-9)
    assert values[2] == pytest.approx(figures["voc_case1 (published; +1-pixel convention)"][shape][iou], abs=1e-9)


def test_published_figures_of_every_class(program, test_data):
    folder = test_data / "detection" / "indoor85_coco"
    wanted = json.loads((folder / "expected0_5.json").read_text())
    words = ("--labels", folder / "groundtruths_coco.json", "--predictions", folder / "detections_coco.json")
    code, out, _ = program("evaluate", *words, "--protocol", "voc12", "--inclusive", "--json")
    found = {row["class"]: row for row in json.loads(out)["per_class"]}
    assert code == 0
    counted = [name for name in wanted if name in found and found[name]["labels"]]
    assert len(counted) >= 29
    for name in counted:
        assert found[name]["AP"] == pytest.approx(wanted[name]["ap"], abs=1e-12)
        assert (found[name]["tp"], found[name]["fp"]) == (wanted[name]["tp"], wanted[name]["fp"])


def test_a_seed_that_no_generator_takes_is_refused_in_words(files):
    for seed in ("-1", str(2**32)):
        code, _, err = files("--bootstrap", "100", "--seed", seed)
        assert code == 2
        assert f"seed {seed} is not from 0" in err
