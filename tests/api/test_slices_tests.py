"""Model test cases: what passes, fails or is undecided, and what a malformed file is told."""

import pytest

from gpu_quality.api.slices import save_slice
from gpu_quality.api.slices_tests import Case, read_tests, run_tests
from gpu_quality.errors import ConfigError, GateError, UnknownNameError
from tests.api.sliced import sliced_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = sliced_store(tmp_path_factory.mktemp("tests"))
    save_slice(made, "little", "object_area < 900")
    return made


def outcome(store, expect, condition="object_area < 900", **more):
    """What becomes of one expectation."""
    return run_tests(store, [Case("it", condition, (expect,))], **more).verdicts[0]


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ("recall >= 0.05", "passed"),
        ("recall > 0.6", "failed"),
        ("RECALL <= 0.5", "passed"),
        ("recall < 0.05", "failed"),
        ("fn >= 10", "passed"),
        ("tp > 100000", "failed"),
    ],
)
def test_an_interval_on_one_side_decides(store, expect, told):
    assert outcome(store, expect).outcome == told


def test_an_interval_around_the_limit_decides_nothing(store):
    value = outcome(store, "recall > 0").value
    near = outcome(store, f"recall >= {value:.6f}")
    assert near.low < value < near.high
    assert (near.outcome, near.message) == ("undecided", "undecided: the interval holds the limit")
    strict = outcome(store, f"recall >= {value:.6f}", pessimistic=True)
    assert (strict.outcome, strict.message) == ("failed", "failed: the interval holds the limit")


def test_few_rows_decide_nothing(store):
    case = Case("it", "object_area < 900", ("recall > 0.9",), min_count=100_000)
    assert "100000 needed" in run_tests(store, [case]).verdicts[0].message
    assert outcome(store, "recall > 0.5", "false").message == "undecided: 0 labels, 20 needed"
    assert run_tests(store, [Case("it", "false", ("recall > 0.5",), 0)]).verdicts[0].message.endswith("is not defined")


def test_resamples_are_made_where_they_are_needed(store):
    by_value, ranged = outcome(store, "AP > 0.05", resamples=0), outcome(store, "AP > 0.05", resamples=50)
    assert by_value.low is None
    assert ranged.low < by_value.value < ranged.high
    assert run_tests(store, [Case("it", "true", ("recall > 0.1",))]).params["resamples"] == 0


def test_a_file_names_saved_slices_and_conditions(store, tmp_path):
    (tmp_path / "t.yaml").write_text(
        "tests:\n- {slice: little, expect: [recall >= 0.05, recall > 0.9]}\n"
        "- {where: class = 'kite', name: all kites, expect: fn > 0, min_count: 5}\n"
    )
    found = run_tests(store, tmp_path / "t.yaml")
    assert [(one.name, one.condition, one.outcome) for one in found.verdicts] == [
        ("little", "object_area < 900", "passed"),
        ("little", "object_area < 900", "failed"),
        ("all kites", "class = 'kite'", "passed"),
    ]
    assert found.to_dict()["counts"] == {"passed": 2, "failed": 1, "undecided": 0}
    with pytest.raises(GateError, match=r"little: recall is 0\.\d+ \[0\.\d+, 0\.\d+\]: recall > 0.9 failed"):
        found.refuse()
    run_tests(store, [Case("little", "little", ("recall > 0.01",), saved=True)]).refuse()


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("", "holds NoneType", ""),
        ("[]", "holds list", ""),
        ("a: [", "not readable YAML", ""),
        ("tests: {}", "no list of tests", "tests:"),
        ("tests: []", "no list of tests", ""),
        ("test: []", "unknown key 'test'", ""),
        ("tests: [3]", "tests[0] is no mapping", "slice: NAME"),
        ("tests: [{slice: a, expect: [recall > 1]}, {slice: a, expct: [x]}]", "tests[1] has the unknown key 'expct'", "expect"),
        ("tests: [{expect: [recall > 1]}]", "tests[0] needs either slice: NAME or where", ""),
        ("tests: [{slice: a, where: b, expect: [recall > 1]}]", "one of them", ""),
        ("tests: [{slice: 3, expect: [recall > 1]}]", "as text", ""),
        ("tests: [{slice: a}]", "tests[0] needs expect", ""),
        ("tests: [{slice: a, expect: []}]", "tests[0] needs expect", ""),
        ("tests: [{slice: a, expect: [3]}]", "tests[0] needs expect", ""),
        ("tests: [{slice: a, expect: [recall is good]}]", "'recall is good' is no condition", "recall >= 0.6"),
        ("tests: [{slice: a, expect: [recall > 1], min_count: many}]", "min_count is 'many'", ""),
        ("tests: [{slice: a, expect: [recall > 1], min_count: true}]", "min_count", ""),
        ("tests: [{slice: a, slice: b}]", "given twice", ""),
        ("tests: [{slice: a, expect: [recall > 1 and AP > 2]}]", "tests[0]: 'recall > 1 and AP > 2' is no condition", ""),
        ("tests: [{slice: a, expect: [recall > 1], name: [1]}]", "tests[0]: name is '[1]', not a text", ""),
        ("tests: [{slice: a, expect: [recall > 1], name: ''}]", "tests[0]: name is '', not a text", ""),
        ("tests: [{slice: a, expect: [recall > 1], name: null}]", "tests[0]: name is 'None', not a text", ""),
        ("a: &x [1]\nb: *x", "aliases", ""),
    ],
)
def test_a_malformed_file_is_told_where(tmp_path, text, what, hint):
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_tests(path)
    assert what in str(caught.value)
    assert "t.yaml" in str(caught.value)
    assert hint in caught.value.hint


def test_names_nobody_knows_have_close_ones(store):
    with pytest.raises(UnknownNameError, match="no slice 'litle'") as caught:
        run_tests(store, [Case("x", "litle", ("recall > 0",), saved=True)])
    assert "little" in caught.value.hint
    with pytest.raises(UnknownNameError, match="recal") as caught:
        outcome(store, "recal > 0.2")
    assert "recall" in caught.value.hint


@pytest.mark.parametrize("expect", ["AP > {}", "mAP > {}", "map>{}"])
def test_a_figure_has_its_interval_under_every_name(store, expect):
    """A figure without an interval would decide where the interval holds the limit."""
    exact = outcome(store, "AP > 0", resamples=0).value
    found = outcome(store, expect.format(f"{exact - 0.001:.6f}"), resamples=50)
    assert (found.figure, found.outcome) == ("AP", "undecided")
    assert found.low < exact < found.high


def test_an_empty_slice_passes_nothing_but_its_size(store):
    """A mistyped value holds no row, and no row fails."""
    told = run_tests(store, [Case("it", "class = 'persn'", ("fn < 1", "fp < 1", "AP > 0", "labels < 1", "frames < 1"))])
    assert [one.outcome for one in told.verdicts] == ["undecided"] * 3 + ["passed"] * 2
    assert not [note for note in told.notes if "slice '" in note]


@pytest.mark.parametrize("expect", ["recal > 0.2", "recall_low > 0.2", "recall/kite > 0.2", "slice > 1", "olrp < 1"])
def test_what_is_no_figure_is_told_with_its_place(store, expect):
    with pytest.raises(UnknownNameError, match=r"^little ones: ") as caught:
        run_tests(store, [Case("little ones", "object_area < 900", (expect,))])
    assert repr(expect) in str(caught.value)
    assert len(caught.value.hint) > 10
