"""Values computed elsewhere: rows of both forms, limits, bad lines with their numbers, what is stored where."""

import json

import pytest
from photos import data_files, write_photos

import gpu_quality as gq
from gpu_quality.authoring.importing import import_values
from gpu_quality.errors import IncompatibleError, UsageError
from gpu_quality.store.store import Store
from tests.authoring.labelled import labelled_store

FRAMES = ["photo000.png", "photo001.png", "photo002.png"]


@pytest.fixture
def store(tmp_path):
    return labelled_store(tmp_path)


@pytest.fixture
def load(store, tmp_path):
    """Import text as a file of the given ending."""

    def go(text, ending="ndjson", **more):
        path = tmp_path / f"values.{ending}"
        path.write_text(text)
        return import_values(store, path, **more)

    return go


def line(frame=0, name="quality", value=0.5, **more):
    return json.dumps({"uuid": "u", "dataRow": {"globalKey": FRAMES[frame]}, "metricName": name, "metricValue": value, **more})


def result(store, found):
    return json.loads((store / "results" / found.result).read_text())


def test_a_new_name_is_stored_and_listed(load, store):
    found = load(line(0, "never seen before", 2) + "\n" + line(1, "never seen before", 4))
    assert [m.name for m in found.metrics] == ["never seen before"]
    opened = Store.open(store)
    assert opened.column("never_seen_before").tolist()[:2] == [2, 4]
    assert opened.columns()["never_seen_before"]["title"] == "never seen before"
    assert opened.query("select name from results")["name"].tolist() == [found.metrics[0].result]
    assert opened.verify(read_data=True).ok


@pytest.mark.parametrize(
    ("how", "expected"), [("ARITHMETIC_MEAN", 3.5), ("GEOMETRIC_MEAN", 3.464102), ("HARMONIC_MEAN", 3.428571), ("SUM", 7)]
)
def test_classes_make_the_value_of_a_row(load, store, how, expected):
    found = load("\n".join(line(0, value=v, featureName=n, aggregation=how) for n, v in (("dog", 4), ("cat", 3))))
    assert Store.open(store).column("quality")[0] == pytest.approx(expected, abs=5e-7)
    told = result(store, found.metrics[0])
    assert told["classes"] == {"cat": 3, "dog": 4}
    assert told["aggregation"] == how
    assert told["name"] == "custom/quality"


def test_nested_classes_and_null_keys(load, store):
    rows = [line(0, value=1, featureName="dog", subclassName=s) for s in ("poodle", "boxer")]
    rows += [line(1, value=8, featureName="dog", subclassName=None, aggregation=None), line(2, value=2, featureName=None)]
    found = load("\n".join(rows))
    told = result(store, found.metrics[0])
    assert told["subclasses"] == {"dog": {"boxer": 1, "poodle": 1}}
    assert told["classes"] == {"dog": 4.5}
    assert Store.open(store).column("quality").tolist() == [1, 8, 2]


def test_confusion_counts_are_added_up(load, store):
    found = load("\n".join([line(0, value=[6, 2, 0, 4], featureName="dog"), line(1, value=[0, 0, 10**10, 0])]))
    (metric,) = found.metrics
    assert metric.columns == ()
    assert metric.overall == {"counts": [6, 2, 10**10, 4], "precision": 0.75, "recall": 0.6, "f1": 12 / 18}
    assert result(store, metric)["classes"]["dog"]["counts"] == [6, 2, 0, 4]


def test_values_by_confidence_are_aggregated_each_for_itself(load, store):
    found = load("\n".join([line(0, value={"0.1": 1, "0.5": 3}), line(1, value={"0.1": 5, "0.9": 7})]))
    assert found.metrics[0].overall == {"0.1": 3, "0.5": 3, "0.9": 7}
    found = load(line(0, name="cm", value={"0.1": [1, 0, 0, 1], "0.5": [2, 0, 0, 0]}))
    assert found.metrics[0].overall["0.1"]["recall"] == 0.5
    assert result(store, found.metrics[0])["confidences"]["0.5"]["all"]["counts"] == [2, 0, 0, 0]


def test_objects_by_id_and_by_their_id_in_the_labels(load, store):
    rows = [
        {"object": "labels/1", "metricName": "fit", "metricValue": 0.25},
        {"object": "yolo/0", "metricName": "fit", "metricValue": 1},
    ]
    rows.append({"object": "3", "metricName": "fit", "metricValue": 0})
    found = load("\n".join(map(json.dumps, rows)))
    values = Store.open(store).table("object", ["object", "fit"]).set_index("object")["fit"]
    assert values["labels/1"] == 0.25
    assert found.metrics[0].overall is not None
    assert values.notna().sum() + len(found.bad) == 3


def test_a_csv_with_a_column_for_each_metric(load, store):
    text = "frame,My score,iou,width\nphoto000.png,-1.5e9,0.5,7\nphoto001.png,,0.25,\n\nphoto002.png,3,,\n"
    found = load(text, "csv")
    opened = Store.open(store)
    assert opened.column("my_score").tolist()[0] == -1.5e9
    assert opened.column("my_score").isna().tolist() == [False, True, False]
    assert opened.column("custom_iou").tolist()[:2] == [0.5, 0.25]  # a reserved name
    assert opened.column("custom_width").tolist()[0] == 7
    assert opened.column("width").notna().all()
    assert found.bad == ()


def test_a_csv_with_a_row_for_each_value(load, store):
    text = (
        "globalKey,metricName,metricValue,featureName,subclassName,aggregation\n"
        "photo000.png,total,4,dog,,SUM\nphoto000.png,total,3,cat,,SUM\n"
        'photo000.png,cm,"[1, 2, 3, 4]",,,\nphoto001.png,by,"{""0.1"": 1, ""0.2"": 2}",,,\nphoto001.png,total,much,,,SUM\n'
    )
    found = load(text, "csv")
    assert [m.name for m in found.metrics] == ["total", "cm", "by"]
    assert Store.open(store).column("total")[0] == 7
    assert found.bad[0][0] == 6
    assert "'much'" in found.bad[0][1]


def test_objects_in_a_csv(load, store):
    load("object,fit\nlabels/0,0.5\n", "csv")
    assert Store.open(store).column("fit", "object").dropna().tolist() == [0.5]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{not json", "not JSON"),
        ("[1]", "a JSON list"),
        (line(value=-1), "-1 is not a number from 0 to 1e+08"),
        (line(value=1.1e8), "1e+08"),
        (line(value=True), "True"),
        (line(value="0.5"), "is text"),
        (line(value=None), "None"),
        (line(value=[1, 2, 3]), "3 counts"),
        (line(value=[1, 2, 3, 4.5]), "count 4.5"),
        (line(value=[1, 2, 3, 10**10 + 1]), "10,000,000,000"),
        (line(value={"0.1": 1}), "1 confidences, expected 2 to 15"),
        (line(value={str(i / 20): 1 for i in range(16)}), "16 confidences"),
        (line(value={"0.1": 1, "1.5": 1}), "1.5"),
        (line(value={"0.1": 1, "0.10": 1}), "twice"),
        (line(value={"0.1": 1, "0.2": [1, 2, 3, 4]}), "in one value"),
        (line(value={"high": 1, "low": 1}), "'high'"),
        (line(aggregation="MEAN"), "'MEAN'"),
        (line(aggregation="CONFUSION_MATRIX"), "CONFUSION_MATRIX"),
        (line(name="cm", value=[1, 2, 3, 4], aggregation="SUM"), "CONFUSION_MATRIX"),
        (line(aggregation="SUM"), "ARITHMETIC_MEAN since line 1"),
        (line(value=[1, 2, 3, 4]), "since line 1"),
        (line(0), "second value"),
        (line(subclassName="poodle"), "without featureName"),
        (line(name=""), "metricName"),
        (line(name=7), "metricName"),
        (line(featurName="dog"), "'featureName'"),
        (json.dumps({"dataRow": {"id": "photo00.png"}, "metricName": "quality", "metricValue": 1}), "'photo000.png'"),
        (json.dumps({"dataRow": {}, "metricName": "quality", "metricValue": 1}), "names no frame"),
        (json.dumps({"object": "nobody", "metricName": "quality", "metricValue": 1}), "no object is called 'nobody'"),
        (json.dumps({"object": "labels/0", "metricName": "quality", "metricValue": 1, "featureName": "dog"}), "class already"),
        ('{"metricName": "quality", "metricValue": 1e999, "dataRow": {"id": "photo001.png"}}', "line 1"),
    ],
)
def test_a_bad_line_is_told_by_number_and_stops_nothing(load, store, row, said):
    found = load("\n".join([line(0), row, line(2)]))
    assert Store.open(store).column("quality")[[0, 2]].tolist() == [0.5, 0.5]
    assert said in found.bad[0][1]
    assert [number for number, _ in found.bad] == [2]
    errors = Store.open(store).errors()
    assert errors["line"].tolist() == [2]
    assert errors["uri"].tolist() == ["values.ndjson"]
    assert errors["reason"].tolist() == ["bad_annotation"]


@pytest.mark.parametrize(
    ("text", "ending", "said"),
    [
        ("", "ndjson", "no usable value in 0 rows"),
        ("nothing\n", "ndjson", "line 1: not JSON"),
        ("", "csv", "no column of ids"),
        ("name,score\na,1\n", "csv", "no column of ids"),
        ("frame,score,score\na,1,2\n", "csv", "the column 'score' twice"),
        ("frame,\na,1\n", "csv", "without a name"),
        ("frame,score\nnobody,1\n", "csv", "no frame is called 'nobody'"),
        ("frame,a b,a-b\nphoto000.png,1,2\n", "csv", "both be the column 'a_b'"),
        ("frame,score\nphoto000.png,1\n", "txt", ".csv nor .ndjson"),
    ],
)
def test_a_file_that_holds_nothing_is_told_and_changes_nothing(load, store, text, ending, said):
    before = data_files(store)
    with pytest.raises(UsageError) as caught:
        load(text, ending)
    assert said in str(caught.value)
    assert data_files(store) == before


def test_a_missing_file_is_told(store, tmp_path):
    with pytest.raises(UsageError, match=r"none\.csv"):
        import_values(store, tmp_path / "none.csv")


def test_an_unknown_frame_of_a_csv_is_told_once(load):
    found = load("frame,a,b,c\nphoto000.png,1,2,3\nnobody,1,2,3\nphoto001.png,1,2\n", "csv")
    assert [number for number, _ in found.bad] == [3, 4]
    assert "3 cells under 4 columns" in found.bad[1][1]


def test_the_same_again_does_nothing_other_values_need_replace(load, store):
    first = load(line(0))
    before = data_files(store)
    again = load(line(0) + "\n")
    assert (first.metrics[0].fresh, again.metrics[0].fresh) == (True, False)
    assert data_files(store) == before
    with pytest.raises(IncompatibleError, match="other values of 'quality'"):
        load(line(0, value=0.75))
    assert data_files(store) == before
    load(line(0, value=0.75), replace=True)
    opened = Store.open(store)
    assert opened.column("quality")[0] == 0.75
    assert opened.verify(read_data=True).ok


def test_what_was_stored_can_be_imported_again(load, store, tmp_path):
    rows = [
        line(0, value=4, featureName="dog"),
        line(1, value={"0.1": 1, "0.2": 2}, name="by"),
        line(2, name="cm", value=[1, 2, 3, 4]),
    ]
    found = load("\n".join(rows))
    for metric in found.metrics:
        again = import_values(store, store / "results" / metric.result.replace(".json", ".ndjson"))
        assert not again.metrics[0].fresh


def test_a_frame_is_found_by_the_last_part_of_its_name(tmp_path, store):
    from gpu_quality.authoring.finding import Ids

    ids = Ids(Store.open(store))
    assert ids.frame("photo001.png") == 1
    ids._frames = ({"a/x.png": 0, "b/x.png": 1, "b/y.png": 2}, {"x.png": -1, "y.png": 2})
    assert (ids.frame("y.png"), ids.frame("b/x.png")) == (2, 1)
    with pytest.raises(ValueError, match="several frames are called"):
        ids.frame("x.png")


def test_custom_metrics_of_labelbox_annotations_belong_to_their_objects(tmp_path):
    photo, box = FRAMES[0], {"top": 1, "left": 2, "height": 10, "width": 10}
    own = {"dataRow": {"globalKey": photo}, "name": "cat"}
    rows = [
        {**own, "uuid": "a", "bbox": box, "customMetrics": [{"name": "fit", "value": 0.5}, {"name": "iou", "value": 0.25}]},
        {**own, "uuid": "b", "bbox": box, "customMetrics": [{"name": "fit", "value": 1.5}, {"name": "fit", "value": -1}]},
        {**own, "uuid": "c", "point": {"x": 1, "y": 2}},  # nothing to import, and nothing wrong
        {**own, "uuid": "d", "name": "weather", "answer": {"name": "rain"}, "customMetrics": [{"name": "sure", "value": 3}]},
        {**own, "uuid": "e", "bbox": box, "customMetrics": {"fit": 1}},
        {**own, "uuid": "nobody", "bbox": box, "customMetrics": [{"name": "fit", "value": 1}]},
    ]
    path = tmp_path / "boxes.ndjson"
    path.write_text("\n".join(map(json.dumps, rows[:-1])))
    write_photos(tmp_path / "in", 3)
    settings = {"engine": {"kind": "inline"}}
    gq.run(tmp_path / "in", out=tmp_path / "out", predictions={"m": str(path)}, metrics=["width"], settings=settings)
    path.write_text("\n".join(map(json.dumps, rows)))
    found = import_values(tmp_path / "out", path)
    objects = Store.open(tmp_path / "out").table("object", ["object", "fit", "custom_iou"]).set_index("object")
    assert objects["fit"].dropna().to_dict() == {"m/a": 0.5, "m/b": 1.5}
    assert objects["custom_iou"].dropna().to_dict() == {"m/a": 0.25}
    assert Store.open(tmp_path / "out").column("sure").tolist()[0] == 3
    assert [(line, reason.partition(",")[0]) for line, reason in found.bad] == [
        (2, "a scalar is a number from 0 to 1e8"),
        (5, "customMetrics is a list of objects with name and value"),
        (6, "no object is called 'nobody'"),
    ]
