"""Class balance: counts, distances, p-values by frames."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from gpu_quality.analysis.drift_classes import balance


def test_figures_are_those_of_scipy():
    first, second = ["cat"] * 30 + ["dog"] * 20 + ["cow"] * 5, ["cat"] * 10 + ["dog"] * 40
    found = balance(first, second, groups=(np.arange(55), np.arange(50)))
    counts = np.array([[30, 5, 20], [10, 0, 40]])
    peer = stats.chi2_contingency(counts)
    assert found.chi_square == pytest.approx(peer.statistic)
    assert found.degrees == peer.dof
    assert found.p == pytest.approx(peer.pvalue)
    assert found.jensen_shannon == pytest.approx(jensenshannon(*counts, base=2) ** 2)
    table = found.classes.set_index("class")
    assert table.index.tolist() == ["dog", "cat", "cow"]
    assert table.loc["dog", ["n_reference", "n_current"]].tolist() == [20, 40]
    assert table["difference"].sum() == pytest.approx(0)
    assert table.loc["dog", "drifts"]
    assert table.loc["cow", "p"] == pytest.approx(stats.fisher_exact([[5, 0], [50, 50]]).pvalue)


def test_objects_of_one_frame_are_no_evidence_of_their_own():
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(40), 25)
    alone, grouped = [], []
    for _ in range(40):
        first, second = (rng.integers(0, 3, 40)[frame] for _ in range(2))
        alone.append(balance(first, second, groups=(np.arange(1000), np.arange(1000))).p)
        grouped.append(balance(first, second, groups=(frame, frame), permutations=199).p)
    assert np.mean(np.array(alone) < 0.05) > 0.8
    assert np.mean(np.array(grouped) < 0.05) < 0.2
    assert stats.kstest(grouped, "uniform").pvalue > 0.001
    moved = balance(np.where(frame < 20, "a", "b"), np.where(frame < 2, "a", "b"), groups=(frame, frame))
    assert moved.p < 0.01
    assert moved.classes["drifts"].all()


def test_very_many_frames_count_as_fewer_objects():
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(2500), 4)
    p = [balance(*(rng.integers(0, 3, 2500)[frame] for _ in range(2)), groups=(frame, frame)).p for _ in range(30)]
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_one_class_and_no_objects():
    same = balance(["a"] * 5, ["a"] * 4, groups=(np.arange(5), np.arange(4)))
    assert (same.p, same.jensen_shannon, same.degrees) == (1, 0, 0)
    assert not same.classes["drifts"].any()
    none = balance(["a"] * 5, [], groups=(np.arange(5), np.arange(0)))
    assert np.isnan(none.p)
    assert np.isnan(none.jensen_shannon)
    assert none.classes["n_current"].tolist() == [0]
    apart = balance(["a"] * 50, ["b"] * 50, groups=(np.arange(50), np.arange(50)))
    assert apart.jensen_shannon == 1
    assert apart.p < 1e-10
