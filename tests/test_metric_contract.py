"""What every declared metric must do, whoever wrote it: built-in metrics, installed plugins and the example run through it.

A new metric is tested here without a line of test code.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import gpu_quality as gq
from gpu_quality import registry
from gpu_quality.engine.stream import Stream

EXAMPLE = Path(__file__).parents[1] / "configs" / "examples" / "glare.py"
registry.load_built_in()
NAMES = [*registry.metrics(), "glare"]
DTYPES = {"float64": "float", "float32": "float", "int64": "int", "bool": "bool"}
SIZES = [(40, 30), (40, 30), (24, 36), (64, 48), (33, 17), (1, 1), (40, 30), (60, 20)]
OFTEN_THE_SAME = {"frames", "seed", "sequence", "position", "seconds", "facts"}
"""Needs through which a frame's name, place or file may enter a number."""


@pytest.fixture(scope="module")
def _declared():
    """The registry with the example in it, and without it again when these tests are done."""
    nodes, outputs = dict(registry._nodes), dict(registry._outputs)
    registry.load_plugin(EXAMPLE)
    assert "glare" in registry.metrics()
    yield dict(registry._nodes), dict(registry._outputs)
    registry._nodes.clear()
    registry._nodes.update(nodes)
    registry._outputs.clear()
    registry._outputs.update(outputs)


@pytest.fixture(autouse=True)
def _example_is_declared(_declared, monkeypatch):
    monkeypatch.setattr(registry, "_nodes", dict(_declared[0]))
    monkeypatch.setattr(registry, "_outputs", dict(_declared[1]))


def write_frames(folder, names):
    """Frames of many sizes in two folders: photos, noise, black, white, one pixel, one color."""
    rng = np.random.default_rng(7)
    for i, ((w, h), name) in enumerate(zip(SIZES, names, strict=True)):
        low = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(low).resize((w, h), Image.Resampling.BICUBIC)).copy()
        image = {1: image // 9, 2: rng.integers(0, 256, (h, w, 3), dtype=np.uint8), 3: image * 0, 4: image * 0 + 255}.get(
            i, image
        )
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(folder / name)


def write_objects(folder, names, objects):
    """COCO labels and results over the frames; boxes reach over borders, cover one another, and have polygons."""
    images = [
        {"id": i, "file_name": n, "width": w, "height": h} for i, (n, (w, h)) in enumerate(zip(names, SIZES, strict=True))
    ]
    classes = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (folder / "labels.json").write_text(json.dumps({"images": images, "annotations": objects, "categories": classes}))
    results = [
        {"image_id": o["image_id"], "category_id": o["category_id"], "bbox": o["bbox"], "score": 0.25 + k % 4 / 8}
        for k, o in enumerate(objects[::2])
    ]
    (folder / "results.json").write_text(json.dumps(results))


def objects_of_frames():
    objects = []
    for image, (w, h) in enumerate(SIZES[:-1]):
        for x, y, a, b in ((0.1, 0.1, 0.5, 0.6), (0.12, 0.1, 0.5, 0.6), (0.6, 0.5, 0.7, 0.9), (0.5, 0.5, 0.02, 0.02)):
            box = [x * w, y * h, a * w, b * h]
            ring = [box[0], box[1], box[0] + box[2], box[1], box[0] + box[2] / 2, box[1] + box[3]]
            more = {"segmentation": [ring]} if (len(objects) % 3) == 2 else {}
            kind, track = 1 + len(objects) % 2, len(objects) % 4
            base = {"id": len(objects), "image_id": image, "category_id": kind, "track_id": track, "iscrowd": 0}
            objects.append({**base, "bbox": box, "area": box[2] * box[3], **more})
    return objects


def score(folder, *, batch=64, objects=True, reverse=False):
    """A run of everything these data allow; `reverse` turns the order of the frames round."""
    order = range(len(SIZES))
    names = [f"{'a' if i < 4 else 'b'}/f{(9 - i) if reverse else i}.png" for i in order]
    if reverse:
        names = [name.replace("a/", "x/").replace("b/", "a/") for name in names]
    write_frames(folder / "in", names)
    write_objects(folder, names, objects_of_frames() if objects else [])
    store = gq.run(
        folder / "in",
        out=folder / "out",
        labels=str(folder / "labels.json"),
        predictions={"yolo": str(folder / "results.json")},
        plugins=[EXAMPLE],
        settings={
            "engine": {"kind": "inline"},
            "decode": {"batch": batch},
            "source": {"sequences": "folders"},
            "encoder": {"objects": ["labels", "predictions"]},
            "max_errors": "100%",
        },
    )
    return Run(store, names)


class Run:
    """A finished store with its tables in memory, and the names of its frames in the order in which they were made."""

    def __init__(self, store, names):
        self.store, self.names, self.columns = store, names, store.columns()
        self.tables = {}
        for per in ("frame", "object"):
            own = [name for name, facts in self.columns.items() if facts["per"] == per and not facts.get("vector")]
            known = store.input.columns(f"{per}s")
            self.tables[per] = store.table(per, [*(name for name in known if name not in own), *own])


@pytest.fixture(scope="module")
def touched():
    """Names of the steps that changed what they were given."""
    return set()


@pytest.fixture(scope="module")
def base(_declared, tmp_path_factory, touched):
    """One run of everything, every step of which is watched."""
    real = Stream._guarded

    def watched(self, step, env, work, indices):
        given = [env[need] for need in step.needs]
        before = [fingerprint(value) for value in given]
        result = real(self, step, env, work, indices)
        if [fingerprint(value) for value in given] != before:
            touched.add(step.name)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "_guarded", watched)
        return score(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def alone(_declared, tmp_path_factory):
    return score(tmp_path_factory.mktemp("alone"), batch=1)


@pytest.fixture(scope="module")
def reverse(_declared, tmp_path_factory):
    return score(tmp_path_factory.mktemp("reverse"), reverse=True)


@pytest.fixture(scope="module")
def bare(_declared, tmp_path_factory):
    return score(tmp_path_factory.mktemp("bare"), objects=False)


def fingerprint(value):
    """What a value holds: tensors byte for byte, structs part by part."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.detach().cpu().contiguous().numpy().tobytes()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(fingerprint(getattr(value, part.name)) for part in dataclasses.fields(value))
    return None


def values_of(run, name):
    """Each column of a metric, with nulls, by table and name; empty where these data cannot have it."""
    return {
        (facts["per"], column): run.tables[facts["per"]][column]
        for column, facts in run.columns.items()
        if facts["metric"] == name
    }


def needed(name):
    """Every root, resource, feature and metric that a metric needs, directly or not."""
    found, waiting = set(), [name]
    while waiting:
        node = registry.find_need(waiting.pop(), "the contract")
        for need in node.needs:
            if need not in found:
                found.add(need)
                if need in registry._nodes or need in registry._outputs:
                    waiting.append(need)
    return found


def in_table_pass(name):
    return any(registry.find_need(n, "the contract").over != "batch" for n in [name, *needed(name)] if n in registry._nodes)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_its_number_is(name):
    node = registry.find_metric(name)
    assert node.unit
    assert node.summary
    assert node.version >= 1
    assert node.dtype in DTYPES
    assert node.bad in ("low", "high", "neither")
    assert node.bounds is None or node.bounds[0] < node.bounds[1]
    json.dumps(dict(node.options))


@pytest.mark.parametrize("name", NAMES)
def test_its_values_are_one_per_row_of_the_declared_type_and_inside_the_bounds(name, base):
    node = registry.find_metric(name)
    found = values_of(base, name)
    if not found:
        pytest.skip("these data lack what it needs")
    for (per, column), values in found.items():
        assert len(values) == base.store.input.count(f"{per}s")
        given = values.dropna()
        if given.empty:  # nothing here is repeated, or tracked for long enough
            continue
        assert DTYPES[node.dtype] in str(values.dtype).lower() or values.isna().any(), column
        numbers = given.astype("float64").to_numpy()
        assert np.isfinite(numbers).all()
        if node.bounds is not None:
            assert node.bounds[0] <= numbers.min() <= numbers.max() <= node.bounds[1]


def test_nothing_fails_and_every_null_has_its_reason(base):
    store, own = base.store, base.store.errors()
    assert own[own["metric"].notna()].to_dict("records") == []
    told = {
        (row["frame"], row["object"] if isinstance(row["object"], str) else None, row["metric"])
        for row in store.nulls().to_dict("records")
    }
    for per in ("frame", "object"):
        ids = base.tables[per]
        for column, facts in base.columns.items():
            if facts["per"] == per and not facts.get("hidden") and column != "file_hash":
                empty = ids[column].isna().to_numpy()
                for row in np.flatnonzero(empty).tolist():
                    key = ids["frame"][row], None if per == "frame" else ids["object"][row], column
                    assert key in told, key


def same(one, other):
    """Equal value for value, nulls included."""
    one, other = one.reset_index(drop=True), other.reset_index(drop=True)
    assert one.isna().tolist() == other.isna().tolist()
    pd.testing.assert_series_equal(one.dropna(), other.dropna(), check_exact=True, check_names=False, check_dtype=False)


@pytest.mark.parametrize("name", NAMES)
def test_batch_mates_do_not_matter(name, base, alone):
    found, single = values_of(base, name), values_of(alone, name)
    assert found.keys() == single.keys()
    for key, values in found.items():
        same(values, single[key])


@pytest.mark.parametrize("name", NAMES)
def test_order_does_not_matter(name, base, reverse):
    if in_table_pass(name) or needed(name) & OFTEN_THE_SAME:
        pytest.skip("its number may depend on a frame's name, file or neighbors")
    found, turned = values_of(base, name), values_of(reverse, name)
    assert found.keys() == turned.keys()
    for (per, column), values in found.items():
        same(pd.Series(by_frame(base, per, values)), pd.Series(by_frame(reverse, per, turned[per, column])))


def by_frame(run, per, values):
    """Values in the order in which the frames were made, whatever they are called; objects by their place in the labels."""
    objects = run.tables[per]
    place = objects["frame"].map({name: i for i, name in enumerate(run.names)}).to_numpy()
    if per == "object":
        last = objects["source_id"].str.extract(r"(\d+)")[0].astype(int).to_numpy()
        return values.iloc[np.lexsort((last, objects["origin"].to_numpy(), place))].to_list()
    return values.iloc[np.argsort(place)].to_list()


@pytest.mark.parametrize("name", NAMES)
def test_what_it_is_given_stays_as_it_is(name, base, touched):
    assert name not in touched


def test_features_change_nothing_either(base, touched):
    assert touched == set()


@pytest.mark.parametrize("name", NAMES)
def test_frames_without_any_object_are_scored(name, bare):
    errors = bare.store.errors()
    assert errors["metric"].isna().all(), errors["detail"].tolist()
    for (per, _), values in values_of(bare, name).items():
        assert len(values) == (len(SIZES) if per == "frame" else 0)


def test_every_metric_that_needs_no_rare_facts_was_tried(base):
    rare = {"track", "annotation_seconds", "classifications", "probabilities", "keypoints", "seconds"}
    rare |= {"answers", "split", "words", "reference", "umap"}
    untried = {name for name in NAMES if not values_of(base, name)}
    assert {name for name in untried if not needed(name) & rare} == set()
