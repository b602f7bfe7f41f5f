"""What importance leaves out, refuses or cannot compute, and how it says so."""

import numpy as np
import pandas as pd
import pytest

from gpu_quality.analysis.correlation import redundant
from gpu_quality.analysis.importance import COLUMNS, importance
from gpu_quality.errors import UsageError

FAST = {"permutations": 99, "half_samples": 20}


def logistic(seed: int, n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, (rng.random(n) < 1 / (1 + np.exp(-2 * x))).astype(int)


def test_missing_values_are_left_out_in_pairs() -> None:
    x, y = logistic(10, 3000)
    gone = np.random.default_rng(0).random(3000) < 0.3
    holes = np.where(gone, np.nan, x)
    both = importance(pd.DataFrame({"holes": holes, "full": x}), y, **FAST).set_index("metric")
    assert (both.loc["holes", "n_used"], both.loc["holes", "n_missing"]) == ((~gone).sum(), gone.sum())
    assert both.message["holes"] == f"{100 * gone.mean():.0f} % of the values are missing"
    assert both.message["full"] == ""
    assert both.importance["holes"] == pytest.approx(both.importance["full"], abs=0.03)
    swapped = importance(pd.DataFrame({"full": x, "holes": holes}), y, **FAST).set_index("metric")
    pd.testing.assert_frame_equal(both.sort_index(), swapped.sort_index())
    close = redundant(pd.DataFrame({"full": x, "holes": holes, "none": np.nan}))
    assert (close.n[0], close.spearman[0], len(close)) == ((~gone).sum(), pytest.approx(1), 1)


def test_what_cannot_be_computed_says_why() -> None:
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=3000), rng.random(3000) < 0.5
    few = np.where(np.arange(3000) < 34, x, np.nan)
    rare = np.where((np.arange(3000) < 100) | ~y, x, np.nan)
    rare[np.flatnonzero(y & (np.arange(3000) < 100))[7:]] = np.nan
    hits = np.where(y, x, np.nan)
    table = importance(
        pd.DataFrame({"brightness": few, "rare": rare, "constant": 3.0, "hits": hits, "ok": x, "nothing": np.nan}),
        y, level={"brightness": "F"}, **FAST,
    ).set_index("metric")  # fmt: skip
    assert table.message["brightness"] == "importance of brightness (F) not computed: 34 rows, 50 needed"
    assert table.message["nothing"] == "importance of nothing (P) not computed: 0 rows, 50 needed"
    assert table.message["rare"] == "importance of rare (P) not computed: 7 rows of the rarer outcome, 10 needed"
    assert table.message["constant"] == "constant"
    assert table.message["hits"] == f"all {y.sum()} predictions are true positives"
    numbers = ["mi_nats", "importance", "low", "high", "p", "p_adjusted", "pearson", "spearman", "spearman_p_adjusted"]
    assert table.drop("ok")[numbers].isna().all(axis=None)
    assert table.index[0] == "ok"
    labels = importance(pd.DataFrame({"m": x}), np.zeros(3000), rows="O", **FAST)
    assert labels.message[0] == "all 3000 labels are missed"


@pytest.mark.parametrize("n", [0, 3, 30])
def test_few_rows_are_no_exception(n: int) -> None:
    table = importance(pd.DataFrame({"m": np.arange(n, dtype=float)}), np.arange(n) % 2, **FAST)
    assert list(table.columns) == list(COLUMNS)
    assert table.message[0] == f"importance of m (P) not computed: {n} rows, 50 needed"


def test_default_permutations_and_notes() -> None:
    x, y = logistic(17, 200)
    table = importance(pd.DataFrame({"m": x}), np.where(np.arange(200) < 10, np.nan, y), half_samples=2)
    assert table.attrs["permutations"] == 1999
    assert table.attrs["notes"] == ("10 rows without an outcome are left out",)
    assert (table.p[0], table.n_used[0]) == (1 / 2000, 190)


def test_many_rows_are_sampled_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_quality.analysis.importance_rows.MOST_ROWS", 1000)
    found = importance(pd.DataFrame({"m": logistic(18)[0]}), logistic(18)[1], **FAST)
    assert found.attrs["notes"] == ("computed from a sample of 1,000 of 2,000 rows (seed 0)",)
    assert found.n_used[0] == 1000
    assert found.importance[0] == pytest.approx(0.34, abs=0.1)


def test_refusals() -> None:
    x, y = logistic(19, 100)
    for wrong, message in (
        ({"outcome": y[:-1]}, "outcome has 99 rows"),
        ({"frames": np.arange(5)}, "frames has 5 rows"),
        ({"level": "X"}, "no level 'X'"),
        ({"level": {"n": "F"}}, "level is given for n"),
        ({"metrics": pd.DataFrame({"name": ["a"] * 100})}, "name is not numeric"),
        ({"level": "F", "frames": np.zeros(100)}, "several values in one frame"),
        ({"metrics": pd.DataFrame(np.zeros((100, 2)), columns=["a", "a"])}, "same name"),
    ):
        with pytest.raises(UsageError, match=message):
            importance(**({"metrics": pd.DataFrame({"m": x}), "outcome": y} | FAST | wrong))
