"""Classes of neighbors, label errors, components, drift and leaks against loops."""

import pytest
import torch

from gpu_quality.functional import association
from gpu_quality.index.exact import Exact
from tests.reference import neighbors as twin

EXACT = Exact()


@pytest.mark.parametrize("seed", range(6))
def test_agreement_equals_loops(seed):
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 2 + seed, (60,), generator=generator)
    neighbor = torch.randint(0, 60, (60, 9), generator=generator)
    count = torch.randint(0, 10, (60,), generator=generator)
    neighbor[torch.arange(9) >= count[:, None]] = -1
    found = association.agreement(neighbor, classes)
    for i in range(60):
        theirs = classes[neighbor[i][neighbor[i] >= 0]].tolist()
        assert bool(found.missing[i]) == (not theirs)
        if theirs:
            share, majority, votes, verdict, entropy = twin.agreement(theirs, int(classes[i]))
            assert found.value[i] == pytest.approx(share)
            assert (int(found.majority[i]), int(found.votes[i])) == (majority, votes)
            assert association.VERDICTS[found.verdict[i]] == verdict
            assert found.entropy[i] == pytest.approx(entropy, abs=1e-12)


def test_six_of_nine_are_a_verdict_and_five_are_not():
    classes = torch.tensor([0] * 10 + [1] * 10)
    six, five = torch.tensor([0, 1, 2, 3, 4, 5, 10, 11, 12]), torch.tensor([0, 1, 2, 3, 4, 10, 11, 12, 13])
    found = association.agreement(torch.stack([six, five] + [six] * 18), classes)
    assert [association.VERDICTS[v] for v in found.verdict[[0, 1, 19]].tolist()] == ["agrees", "unsure", "differs"]
    assert found.majority[19] == 0


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_around(n):
    found = association.agreement(torch.full((n, 9), -1), torch.zeros(n, dtype=torch.int64))
    assert found.missing.tolist() == [True] * n
    assert association.agreement(torch.empty(n, 0).long(), torch.zeros(n).long()).missing.tolist() == [True] * n


def ratio_of(x: torch.Tensor, classes: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    size = torch.bincount(classes)[classes]
    other = EXACT.nearest(x, most, groups=classes).distance
    own = torch.full((len(x), most), torch.nan)
    for c in classes.unique():
        rows = (classes == c).nonzero().flatten()
        own[rows] = EXACT.nearest(x[rows], most).distance
    return association.label_error_ratio(own, other, size, most)


@pytest.mark.parametrize("most", [50, 4])
def test_label_error_ratio_equals_loops(most):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(50, 6, generator=generator).double()
    x[20:30] = x[20]  # copies in two classes
    classes = torch.randint(0, 3, (50,), generator=generator)
    classes[49] = 3  # alone
    value, missing = ratio_of(x, classes, most)
    table = twin.cosines(x.numpy(), x.numpy())
    for i in range(50):
        expected = twin.label_error_ratio(table, classes.tolist(), i, most)
        assert bool(missing[i]) == (expected is None)
        if expected is not None:
            assert value[i] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_label_error_ratio_of_copies_is_one_and_of_one_class_null():
    zero, none = torch.zeros(2, 3), torch.full((2, 3), torch.nan)
    size = torch.tensor([3, 3])
    assert association.label_error_ratio(zero, zero, size)[0].tolist() == [1, 1]
    assert association.label_error_ratio(zero, none, size)[1].tolist() == [True, True]


@pytest.mark.parametrize("seed", range(8))
def test_components_equal_loops(seed):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, 50, (10 + 6 * seed, 2), generator=generator)
    expected = twin.components(edges.tolist(), 50)
    assert association.components(edges, torch.arange(50)).tolist() == expected
    half = association.components(edges[:9], torch.arange(50))
    assert association.components(edges[9:], half).tolist() == expected


def test_drift_is_the_widest_pair_of_a_group():
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
    led = EXACT.groups(x, 0.9).leader
    found = association.drift(x, led, block=7)
    unit = torch.nn.functional.normalize(x.double(), dim=1)
    cosine = unit @ unit.T
    for i in range(300):
        members = led == led[i]
        expected = 1 - float(cosine[members][:, members].min()) if members.sum() > 1 else 0
        assert found[i] == pytest.approx(expected, abs=1e-12)
    assert found.max() > 0.1  # members of a group may be farther apart than from their leader
    assert association.drift(x, torch.full((300,), -1)).tolist() == [0] * 300


def test_leaks():
    split = torch.tensor([0, 0, 1, 1, -1, 2])
    outside = torch.tensor([0.5, torch.nan, 0.2, 0.3, 0.1, 0.4])
    value, missing = association.leak_distance(outside, split)
    assert value[~missing].tolist() == pytest.approx([0.5, 0.2, 0.3, 0.4])
    assert missing.tolist() == [False, True, False, False, True, False]
    value, missing = association.leak_distance(outside, split, torch.tensor([7, 7, 7, 8, 7, 8]))
    assert value[~missing].tolist() == [0, 0, 0, 0, 0]
    assert missing.tolist() == [False, False, False, False, True, False]
    assert association.leak_distance(outside, split, torch.arange(6))[1][1]
