"""Functions that go wrong: each costs only its own cells, with an error row that names metric, frame and remedy."""

import numpy as np
import pytest
from photos import write_photos

import gpu_quality as gq
from gpu_quality import registry
from gpu_quality.errors import ErrorBudgetError

PLUGIN = '''
import gpu_quality as gq, torch
from gpu_quality.types import Masked


@gq.metric(unit="1")
def too_long(sizes):
    """One value too many."""
    return torch.zeros(len(sizes.width) + 1, dtype=torch.float64)


@gq.metric(unit="1")
def half(sizes):
    """Numbers of a type that is not stored."""
    return torch.zeros(len(sizes.width), dtype=torch.float16)


@gq.metric(unit="1")
def a_list(sizes):
    """No tensor."""
    return [0.0] * len(sizes.width)


@gq.metric(unit="1")
def a_reason(sizes):
    """Undefined for a reason that does not exist."""
    width = sizes.width.double()
    return Masked(width, width > 0, "because")


@gq.metric(unit="1")
def not_finite(sizes):
    """NaN for wide frames, infinite for wider ones."""
    width = sizes.width.double()
    return torch.where(width > 50, torch.inf, torch.where(width > 45, torch.nan, width))


@gq.metric(unit="1")
def raises_for_some(sizes):
    """Fails for wide frames."""
    if (sizes.width > 45).any():
        raise ArithmeticError("too wide")
    return sizes.width.double()


@gq.metric(unit="1", per="object")
def object_too_long(objects):
    """One value too many for the objects."""
    return torch.zeros(len(objects) + 1, dtype=torch.float64)


@gq.metric(unit="1", over="dataset")
def later_not_finite(width):
    """NaN in the table pass."""
    return torch.where(width > 45, torch.nan, width.double())


@gq.metric(unit="1", over="dataset")
def later_raises(width):
    """Fails in the table pass."""
    raise KeyError("no film")
'''
WIDTHS = [40, 40, 48, 40, 64, 40]
ALWAYS = {
    "too_long": (r"too_long returned shape \(2,\), expected \(1,\)", "MetricError"),
    "half": ("half returned torch.float16, expected float64, float32, int64 or bool", "MetricError"),
    "a_list": ("a_list returned list, expected a tensor with one value per frame", "MetricError"),
    "a_reason": ("a_reason gives the reason 'because'; there are too_small", "MetricError"),
    "later_raises": ("metric later_raises raised KeyError: 'no film'", "KeyError"),
}
SOME = {
    "not_finite": ("not_finite is (nan|inf); return types.Masked where it is undefined", "non_finite"),
    "raises_for_some": ("metric raises_for_some raised ArithmeticError: too wide", "internal"),
    "later_not_finite": ("later_not_finite is nan; return types.Masked where it is undefined", "non_finite"),
}


@pytest.fixture
def run(tmp_path):
    """A run of the given metrics over six photos, two of them wide."""
    (tmp_path / "plugin.py").write_text(f"{PLUGIN}# {tmp_path}\n")  # a file of its own is declared anew
    for i, width in enumerate(WIDTHS):
        write_photos(tmp_path / "one", 1, seed=i, size=(width, 30))
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "one" / "photo000.png").rename(tmp_path / "in" / f"f{i}.png")

    def go(metrics, out="out", budget="100%"):
        settings = {"engine": {"kind": "inline"}, "max_errors": budget}
        return gq.run(tmp_path / "in", out=tmp_path / out, metrics=metrics, plugins=[tmp_path / "plugin.py"], settings=settings)

    return go


@pytest.mark.parametrize("metric", ALWAYS)
def test_a_metric_that_always_fails(run, metric):
    said, exc_type = ALWAYS[metric]
    store = run([metric, "brightness"])
    errors = store.errors()
    assert errors["frame"].tolist() == [f"f{i}.png" for i in range(6)]
    assert set(errors["metric"]) == {metric}
    assert errors["detail"].str.contains(said).all(), errors["detail"].tolist()
    assert set(errors["exc_type"]) == {exc_type}
    assert store.column(metric).isna().all()
    assert store.column("brightness").notna().all()
    assert store.status()["scored"] == 6


@pytest.mark.parametrize("metric", SOME)
def test_a_metric_that_fails_for_some_frames(run, metric):
    said, reason = SOME[metric]
    store = run([metric, "brightness"])
    errors = store.errors()
    assert errors["frame"].tolist() == ["f2.png", "f4.png"]
    assert set(errors["metric"]) == {metric}
    assert set(errors["reason"]) == {reason}
    assert errors["detail"].str.fullmatch(said).all(), errors["detail"].tolist()
    assert store.column(metric).isna().tolist() == [False, False, True, False, True, False]
    assert np.isfinite(store.column(metric).dropna()).all()


def test_the_other_columns_are_those_of_a_run_without_it(run):
    good = ["brightness", "contrast", "is_dark_issue"]
    alone = run(good, "alone").table("frame", good)
    beside = run([*good, *ALWAYS, *SOME], "beside")
    assert beside.table("frame", good).equals(alone)
    assert set(beside.errors()["metric"]) == {*ALWAYS, *SOME}


def test_an_object_metric_names_its_objects(tmp_path):
    from tests.authoring.labelled import labelled_store

    (tmp_path / "plugin.py").write_text(f"{PLUGIN}# {tmp_path}\n")  # a file of its own is declared anew
    registry.load_plugin(tmp_path / "plugin.py")
    store = gq.open_store(labelled_store(tmp_path, metrics=("object_too_long", "object_area")))
    errors = store.errors()
    assert len(errors) == store.input.count("objects")
    assert errors["object"].notna().all()
    assert errors["detail"].str.contains("object_too_long returned shape").all()
    assert store.column("object_area", "object").notna().all()


def test_beyond_the_budget_the_metric_is_named(run):
    with pytest.raises(ErrorBudgetError, match="not_finite failed on 2 of 6 frames"):
        run(["not_finite", "brightness"], budget="1")
