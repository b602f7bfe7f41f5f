"""The joint view on data with known answers, against scikit-learn, and what it says where it cannot be computed."""

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from gpu_quality.analysis import joint_model
from gpu_quality.analysis.importance import importance
from gpu_quality.analysis.joint import Joint, joint
from gpu_quality.analysis.joint_model import Question, dealt, fitted, losses, predicted
from gpu_quality.errors import UsageError
from gpu_quality.kernels.threads import set_threads

N = 2000
FAST = {"permutations": 99, "half_samples": 20}


def drawn(rng: np.random.Generator, logit: np.ndarray) -> np.ndarray:
    return rng.random(len(logit)) < 1 / (1 + np.exp(-logit))


def drops(found: Joint) -> pd.DataFrame:
    return found.table.set_index("metric")


def test_a_determining_metric_explains_everything() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    for y in (x > 0.3, np.abs(x) < 0.7):
        found = joint(pd.DataFrame({"noise": rng.normal(size=N), "x": x}), y)
        assert found.explained > 0.97
        assert found.auc > 0.999
        assert found.table.metric[0] == "x"
        assert drops(found)["drop"]["x"] == pytest.approx(found.explained, abs=0.01)
        assert abs(drops(found)["drop"]["noise"]) < 0.01
        assert (found.measure, found.message, found.n) == ("entropy", "", N)


def test_metrics_without_relation_explain_nothing() -> None:
    above = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        found = joint(pd.DataFrame(rng.normal(size=(400, 3))), rng.random(400) < 0.4, seed=seed)
        assert found.explained < 0.03
        assert abs(found.auc - 0.5) < 0.12
        assert found.table["drop"].abs().max() < 0.03
        above += (found.table["low"] > 0).tolist()
    assert np.mean(above) < 0.1


def test_the_share_is_that_of_the_true_probabilities() -> None:
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, 6000))
    y = drawn(rng, 2 * x - z)
    truth = 1 / (1 + np.exp(z - 2 * x))
    best = 1 + (y * np.log(truth) + ~y * np.log1p(-truth)).mean() / (np.log(2))  # half of the rows succeed
    found = joint(pd.DataFrame({"x": x, "z": z}), y)
    assert found.explained == pytest.approx(best, abs=0.04)
    assert found.low < best < found.high + 0.02
    assert found.high - found.low == pytest.approx(0.05, abs=0.025)
    assert drops(found).low["x"] > drops(found).high["z"] > drops(found).low["z"] > 0


def test_only_together_do_they_tell() -> None:
    rng = np.random.default_rng(2)
    a, b, noise = rng.normal(size=(3, N))
    metrics, y = pd.DataFrame({"a": a, "b": b, "noise": noise}), (a > 0) ^ (b > 0)
    alone = importance(metrics, y, **FAST).set_index("metric")
    found = joint(metrics, y)
    assert alone.importance.max() < 0.05
    assert found.explained > 0.9
    assert drops(found)["drop"][["a", "b"]].min() > 0.9
    assert drops(found)["drop"]["noise"] < 0.02


def test_a_confounded_pair_is_told_apart() -> None:
    rng = np.random.default_rng(3)
    cause = rng.normal(size=N)
    metrics = pd.DataFrame({"shadow": cause + rng.normal(size=N), "cause": cause})
    y = drawn(rng, 3 * cause)
    alone = importance(metrics, y, **FAST).set_index("metric")
    assert (alone.p == 0.01).all()
    assert alone.low.min() > 0.1
    found = drops(joint(metrics, y))
    assert found["drop"]["cause"] > 0.3
    assert found["drop"]["shadow"] < 0.03


def test_doubles_share_their_drop_and_name_each_other() -> None:
    rng = np.random.default_rng(4)
    x, other = rng.normal(size=(2, N))
    y = drawn(rng, 2 * x + other)
    alone = joint(pd.DataFrame({"x": x, "other": other}), y)
    metrics = pd.DataFrame({"x": x, "other": other, "minus": -np.exp(x), "again": x + 0.01 * rng.normal(size=N)})
    found = drops(joint(metrics, y))
    assert found.group.to_dict() == {
        "x": "x, minus, again", "minus": "x, minus, again", "again": "x, minus, again", "other": "other",
    }  # fmt: skip
    assert found.loc["x", ["drop", "low", "high"]].tolist() == found.loc["again", ["drop", "low", "high"]].tolist()
    assert found["drop"]["minus"] == pytest.approx(drops(alone)["drop"]["x"], abs=0.05)
    few = np.where(np.arange(N) < 40, x, np.nan)  # 40 rows are too few to call it a double
    assert drops(joint(metrics[["x"]].assign(few=few), y)).group["few"] == "few"


def test_a_numeric_outcome_has_a_share_of_variance() -> None:
    rng = np.random.default_rng(5)
    x, noise = rng.normal(size=(2, N))
    found = joint(pd.DataFrame({"x": x, "noise": noise}), 1e6 + x**2 + rng.normal(size=N))
    assert found.explained == pytest.approx(2 / 3, abs=0.06)  # the variance of a squared normal is 2
    assert found.low < 2 / 3 < found.high + 0.03
    assert (found.measure, np.isnan(found.auc)) == ("variance", True)
    assert found.table.metric[0] == "x"


def test_values_of_frames_move_between_frames() -> None:
    rng = np.random.default_rng(6)
    frame = np.repeat(np.arange(200), 10)
    bright, dull = rng.normal(size=(2, 200))
    y = drawn(rng, 2 * bright[frame])
    metrics = pd.DataFrame({"bright": bright[frame], "dull": dull[frame]})
    found = joint(metrics, y, level="F", frames=frame)
    assert found.explained > 0.15
    assert drops(found).low["bright"] > 0 > drops(found).low["dull"]
    # by frames the rows of one tell as much as one: the interval is wider than that of independent rows
    rows = joint(metrics, y)
    assert found.high - found.low > rows.high - rows.low
    frames_alone = joint(metrics, rng.random(200)[frame] < 0.5, level="F", frames=frame)  # every frame its own outcome
    assert frames_alone.explained < 0.05


def test_frames_are_never_in_both_parts() -> None:
    rng = np.random.default_rng(7)
    frame = rng.integers(0, 60, 900)
    identity = rng.normal(size=60)[frame]  # tells the frame, and so its outcome to who has seen it
    y = (rng.random(60) < 0.5)[frame]
    assert joint(pd.DataFrame({"id": identity}), y, frames=frame, level="F").explained < 0.1
    assert joint(pd.DataFrame({"id": identity}), y).explained > 0.8
    of = Question(identity[:, None], y * 1.0, frame, 60, True, {})
    fold = dealt(of, np.arange(900), rng)
    assert np.bincount(fold).tolist() == [12] * 5
    shares = [y[fold[frame] == number].mean() for number in range(5)]
    assert max(shares) - min(shares) < 0.25


@threadpool_limits.wrap(1, "openmp")  # else its threads wait for each other on busy cores
def test_scikit_learn_finds_the_same_drops() -> None:
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import log_loss, roc_auc_score

    rng = np.random.default_rng(8)
    x = rng.normal(size=(900, 2))
    y = drawn(rng, 2 * x[:, 0] + x[:, 1]) * 1.0
    of = Question(x, y, np.arange(900), 900, True, {})
    found = predicted(of, [[0], [1]], 3)
    fold = dealt(of, np.arange(900), np.random.default_rng(3))
    areas = []
    for number in range(5):
        row, others = fold == number, np.flatnonzero(fold != number)
        model = fitted(of, others, 3 + number)
        guess = model.predict_proba(x[row])[:, 1]
        assert found.loss[row].mean() == pytest.approx(log_loss(y[row], guess), rel=1e-9)
        peer = permutation_importance(model, x[row], y[row], scoring="neg_log_loss", n_repeats=30, random_state=0)
        np.testing.assert_allclose(found.harm[row].mean(axis=0), peer.importances_mean, rtol=0.25, atol=0.02)
        areas.append(roc_auc_score(y[row], guess))
    pairs, right = found.ranked.T
    np.testing.assert_allclose(right / pairs, areas, rtol=1e-12)


def test_a_wrong_certainty_costs_14_nats() -> None:
    of = Question(np.zeros((2, 1)), np.array([1.0, 0.0]), np.arange(2), 2, True, {})
    assert losses(of, of.y, np.array([0.0, 0.25])).tolist() == pytest.approx([np.log(1e6), -np.log(0.75)])


def test_heavy_ties_constants_and_99_percent_missing() -> None:
    rng = np.random.default_rng(9)
    n = 8000
    tied, x = rng.integers(0, 3, n), rng.normal(size=n)
    sparse = np.where(np.arange(n) % 100 == 0, x, np.nan)
    y = np.where(np.isnan(sparse), rng.random(n) < 0.2 + 0.6 * (tied == 1), sparse > 0)
    metrics = pd.DataFrame({"tied": tied, "sparse": sparse, "same": 3.0, "flat": np.where(x > 0, 1, np.nan), "none": np.nan})
    found = joint(metrics, y)
    table = drops(found)
    assert found.table.metric.tolist() == ["tied", "sparse", "same", "flat", "none"]
    assert table.message.to_dict() == {
        "tied": "", "sparse": "99 % of the values are missing", "same": "constant", "flat": "constant", "none": "no values",
    }  # fmt: skip
    assert table.low["tied"] > table["drop"]["sparse"] > 0
    assert table.loc[["same", "flat", "none"], ["drop", "low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("n", "outcome", "frames", "message"),
    [
        (0, lambda n: n > 0, None, "joint view not computed: 0 rows, 50 needed"),
        (30, lambda n: n % 2, None, "joint view not computed: 30 rows, 50 needed"),
        (60, lambda n: n * 0, None, "all 60 labels are missed"),
        (60, lambda n: n * 0 + 3, None, "all 60 outcomes are equal"),
        (60, lambda n: n < 7, None, "joint view not computed: 7 rows of the rarer outcome, 10 needed"),
        (60, lambda n: n % 2, 9, "joint view not computed: 9 frames, 10 needed"),
        (60, lambda n: n % 15 < 3, 15, "joint view not computed: the rarer outcome occurs in 3 frames, 5 needed"),
    ],
)
def test_what_cannot_be_computed_says_why(n: int, outcome: object, frames: int | None, message: str) -> None:
    row = np.arange(n)
    found = joint(pd.DataFrame({"m": row, "k": 1}), outcome(row), rows="O", frames=None if frames is None else row % frames)
    assert found.message == message
    assert np.isnan([found.explained, found.low, found.high, found.auc]).all()
    assert found.table[["drop", "low", "high"]].isna().all(axis=None)
    assert found.table.shape == (2, 7)


def test_no_usable_metric_and_few_rows() -> None:
    y = np.arange(60) % 2
    assert joint(pd.DataFrame({"m": np.ones(60)}), y).message == "joint view not computed: no metric has two values"
    assert joint(pd.DataFrame(index=range(60)), y).message == "joint view not computed: no metric has two values"
    found = joint(pd.DataFrame({"m": np.arange(60.0)}), y)
    assert (found.explained, found.message) == (pytest.approx(0, abs=1e-9), "")
    assert found.notes == ("in 5 of 5 folds no model predicted better than the mean",)


def test_a_metric_unknown_to_most_folds_and_a_large_seed() -> None:
    rng = np.random.default_rng(12)
    x = rng.normal(size=300)
    found = joint(pd.DataFrame({"x": x, "two": np.where(np.arange(300) < 2, x, np.nan)}), x > 0, seed=2**40)
    assert found.explained > 0.8
    assert drops(found)["drop"]["two"] == 0


def test_many_rows_are_sampled_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_model, "PREDICTIONS", 500)
    rng = np.random.default_rng(10)
    x = rng.normal(size=3000)
    found = joint(pd.DataFrame({"x": x}), np.where(np.arange(3000) < 5, np.nan, x > 0), most_rows=1000)
    assert found.n == 1000
    assert found.notes == (
        "5 rows without an outcome are left out",
        "computed from a sample of 1,000 of 2,995 rows (seed 0)",
        "drops are found on 500 of the 1,000 rows",
    )
    assert found.explained == pytest.approx(0.98, abs=0.02)
    assert drops(found)["drop"]["x"] == pytest.approx(found.explained)


def test_same_seed_same_numbers_whatever_the_threads() -> None:
    rng = np.random.default_rng(11)
    metrics = pd.DataFrame(rng.normal(size=(600, 3)), columns=list("abc"))
    y = drawn(rng, 2 * metrics.a.to_numpy())
    found = []
    for threads in (1, 2):
        set_threads(threads)
        try:
            found.append(joint(metrics, y))
        finally:
            set_threads(None)
    pd.testing.assert_frame_equal(found[0].table, found[1].table, check_exact=True)
    assert found[0].explained == found[1].explained
    assert joint(metrics, y, seed=1).explained != found[0].explained


def test_refusals() -> None:
    x, y = np.arange(100.0), np.arange(100) % 2
    for wrong, message in (
        ({"outcome": y[:-1]}, "outcome has 99 rows"),
        ({"level": "X"}, "no level 'X'"),
        ({"most_rows": 0}, "most_rows must be at least 1"),
        ({"seed": -1}, "seed at least 0"),
        ({"level": "F", "frames": y}, "several values in one frame"),
        ({"metrics": pd.DataFrame({"name": ["a"] * 100})}, "name is not numeric"),
    ):
        with pytest.raises(UsageError, match=message):
            joint(**({"metrics": pd.DataFrame({"m": x}), "outcome": y} | wrong))
