"""Classes seen together and frames per number of objects, against obvious loops."""

from collections import Counter
from itertools import combinations

import numpy as np

from gpu_quality.analysis.co_occurrence import co_occurrence, crowding


def test_pairs_against_sets():
    rng = np.random.default_rng(0)
    row, kind = rng.integers(0, 40, 300) * 3, rng.integers(0, 7, 300)
    kind[kind == 5] = 4
    seen = [{int(k) for k in kind[row == r]} for r in np.unique(row)]
    pairs = Counter(pair for classes in seen for pair in combinations(sorted(classes), 2))
    alone = Counter(k for classes in seen for k in classes)
    found = co_occurrence(row, kind, classes=8)
    assert {(a, b): n for a, b, n in found[["class_id", "other_id", "frames"]].itertuples(index=False)} == dict(pairs)
    for line in found.itertuples():
        assert line.share == line.frames / alone[line.class_id]
        assert line.other_share == line.frames / alone[line.other_id]
    assert found["frames"].is_monotonic_decreasing


def test_nothing_together():
    assert co_occurrence([], [], classes=3).empty
    assert co_occurrence([0, 0, 1], [2, 2, 0], classes=3).empty
    assert co_occurrence([0, 0], [1, 0], classes=2).iloc[0].tolist() == [0, 1, 1, 1.0, 1.0]


def test_frames_without_objects_count():
    found = crowding([0, 0, 3, 4, 4], frames=6)
    assert found.to_numpy().tolist() == [[0, 3], [1, 1], [2, 2]]
    assert crowding([], frames=0).empty
