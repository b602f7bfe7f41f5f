"""Configurations: unknown keys, YAML traps, budgets."""

from pathlib import Path

import pytest

from gpu_quality.config import RunConfig, load_yaml, parse_predictions
from gpu_quality.errors import ConfigError, UsageError


def load(tmp_path: Path, text: str) -> RunConfig:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return RunConfig.load(path)


def test_presets_load():
    for path in sorted((Path(__file__).parents[1] / "configs").glob("*.yaml")):
        assert RunConfig.load(path).out


def test_paths_beside_the_file_win(tmp_path):
    (tmp_path / "photos").mkdir()
    config = load(tmp_path, "source: {images: photos, labels: elsewhere.json}\n")
    assert config.source.images == str(tmp_path / "photos")
    assert config.source.labels.path == "elsewhere.json"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrcs: [brightness]", "'metrics'"),
        ("decode: {btch: 3}", "'batch'"),
        ("decode: {batch: 0}", "decode.batch"),
        ("a: &x [1]\nb: *x", "alias"),
        ("seed: 1\nseed: 2", "twice"),
        ("seed: !!python/object/apply:os.system ['true']", "not readable YAML"),
        ("[1, 2]", "expected keys"),
        ("max_errors: many", "5%"),
        ("a: " + "[" * 40 + "]" * 40, "levels deep"),
        ("source: {images: [1]}", "source.images"),
        ("? {a: 1}\n: 2", "key must be a name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert said in f"{caught.value}"
    assert "run.yaml" in str(caught.value)


def test_missing_and_huge_files(tmp_path):
    with pytest.raises(ConfigError, match="is not a file"):
        load_yaml(tmp_path / "none.yaml")
    big = tmp_path / "big.yaml"
    big.write_text("#" * 1_000_001)
    with pytest.raises(ConfigError, match="larger"):
        load_yaml(big)


def test_error_budget():
    assert RunConfig(max_errors="5%").error_budget(200) == 10
    assert RunConfig.of({"max_errors": 7}).error_budget(200) == 7


def test_predictions_by_name():
    assert parse_predictions(("a=x.json", "y.json")) == {"a": "x.json", "predictions": "y.json"}
    for bad in (("a=x", "a=y"), ("labels=x",), ("a b=x",)):
        with pytest.raises(UsageError):
            parse_predictions(bad)


@pytest.mark.parametrize("name", ["b-$x", "labels", "frames", "1st", "", "größe", "x" * 81])
def test_a_prediction_set_has_a_name_that_files_and_columns_can_have(name):
    with pytest.raises(ConfigError, match="cannot name a prediction set"):
        RunConfig.of({"source": {"labels": "l.json", "predictions": {name: "p.json"}}})
    with pytest.raises(UsageError, match="cannot name a prediction set"):
        parse_predictions((f"{name}=p.json",))
