"""What vectors say about frames, against slow twins and on cases that peers get wrong."""

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality import registry
from gpu_quality.features import neighbors as features
from gpu_quality.index.exact import Exact
from tests.metrics.videos import answers, values
from tests.reference import neighbors as loops
from tests.reference import semantics as twin

for module in ("similarity", "maps"):
    importlib.import_module(f"gpu_quality.metrics.{module}")
NAMES = ["singularity", "embedding_duplicate_group", "near_duplicate_group_embedding", "uniqueness", "representativeness"]
NAMES += ["diversity_rank", "leak_distance", "novelty", "map_x", "map_y", "umap_x", "umap_y"]
EXAMPLES = 30


def roots_of(x, **given):
    """Needs of frames with these vectors."""
    x = torch.as_tensor(np.asarray(x)).half().reshape(len(x), -1)
    alone = torch.full((len(x),), torch.nan, dtype=torch.float64)
    own = {"embedding": x, "index": Exact(), "classes": (), "seed": 0, "exact_duplicate_group": alone}
    own |= {"split": torch.full((len(x),), -1), "reference": x, "umap": lambda v, seed: v[:, :2] * 0 + seed}
    return own | given


def stored(x):
    """What is left of numbers when they are stored."""
    return torch.as_tensor(np.asarray(x)).half().double().numpy()


def close(got, wanted, tolerance=2e-6):
    """Equal reasons, and values within float32 rounding of a distance."""
    assert [reason for _, reason in got] == [reason for _, reason in wanted]
    for (a, _), (b, _) in zip(got, wanted, strict=True):
        assert a == (None if b is None else pytest.approx(b, abs=tolerance, rel=1e-6))


@st.composite
def some_vectors(draw):
    """A few vectors with copies of any multiplicity, zeros and NaN among them."""
    kinds = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).standard_normal((8, 6)).astype(np.float16)
    kinds[6], kinds[7] = 0, np.nan
    return kinds[draw(st.lists(st.integers(0, 7), min_size=1, max_size=14))]


@settings(max_examples=EXAMPLES, deadline=None)
@given(some_vectors(), st.data())
def test_equals_the_twins(x, data):
    roots, exact = roots_of(x), stored(x)
    close(answers("singularity", roots), twin.singularity(exact))
    assert answers("embedding_duplicate_group", roots) == twin.groups(twin.components(exact))
    leaders = loops.leaders(loops.cosines(exact, exact), 0.97, range(len(x)))
    assert answers("near_duplicate_group_embedding", roots) == twin.groups(leaders)
    close(answers("uniqueness", roots), twin.uniqueness(exact), 5e-6)
    some = st.lists(st.integers(-1, 2), min_size=len(x), max_size=len(x))
    split, copy = data.draw(some), data.draw(some)
    group = torch.tensor([np.nan if c < 0 else copy.index(c) for c in copy], dtype=torch.float64)
    given_splits = {"split": torch.tensor(split), "exact_duplicate_group": group}
    close(answers("leak_distance", roots_of(x, **given_splits)), twin.leaks(exact, split, copy))


@settings(max_examples=EXAMPLES, deadline=None)
@given(some_vectors(), st.randoms(use_true_random=False))
def test_the_order_of_frames_does_not_matter(x, random):
    """Of copies the first is named, so values are compared copy by copy."""
    order = list(range(len(x)))
    random.shuffle(order)
    for name in ("uniqueness", "leak_distance"):
        split = torch.arange(len(x)) % 3
        one = answers(name, roots_of(x, split=split))
        other = answers(name, roots_of(x[order], split=split[order]))
        close(other, [one[i] for i in order], 1e-6)
    component = twin.components(stored(x))

    def by_component(cells, rows):
        return sorted((component[i], cell[1], cell[0] or 0) for i, cell in zip(rows, cells, strict=True))

    one, other = by_component(values_of(x), range(len(x))), by_component(values_of(x[order]), order)
    assert [cell[:2] for cell in one] == [cell[:2] for cell in other]
    # Copies may differ by rounding, and so may their distances to others.
    assert [cell[2] for cell in one] == pytest.approx([cell[2] for cell in other], abs=2e-5)


def values_of(x):
    return answers("singularity", roots_of(x))


def test_forty_identical_frames_are_all_scored():
    x = np.random.default_rng(3).standard_normal((60, 8))
    x[5:45] = x[5]
    found = values_of(x)
    assert [value for value, _ in found[6:45]] == [0] * 39
    assert found[5][0] > 0.03
    assert values("embedding_duplicate_group", roots_of(x))[5:45] == [5] * 40
    only = answers("singularity", roots_of(x[5:45]))
    assert only == [(None, "no_neighbors")] + [(0.0, "")] * 39
    assert values("uniqueness", roots_of(x[5:45])) == [0] * 40
    assert values("representativeness", roots_of(x[5:45])) == [1] * 40
    assert sorted(values("diversity_rank", roots_of(x[5:45]))) == list(range(1, 41))


@pytest.mark.parametrize("copies", [1, 2, 3, features.NEAREST, features.NEAREST + 1, 30])
def test_more_copies_than_known_neighbors_are_searched_again(copies):
    x = np.random.default_rng(copies).standard_normal((50, 6))
    x[7 : 7 + copies] = x[7]
    searched = []

    class Counting(Exact):
        def nearest(self, x, k, *, groups=None):
            searched.append(groups is not None)
            return super().nearest(x, k, groups=groups)

    close(answers("singularity", roots_of(x, index=Counting())), twin.singularity(stored(x)))
    assert searched == [False, True][: 1 + (copies > features.NEAREST)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_frames(count):
    x = np.eye(3)[:count]
    roots = roots_of(x)
    assert values("uniqueness", roots) == [1] * count
    assert values("singularity", roots) == ([None] if count == 1 else [1] * count)
    assert values("representativeness", roots) == [1] * count
    assert sorted(values("diversity_rank", roots)) == list(range(1, count + 1))
    assert values("map_x", roots_of(np.eye(3)[:1])) == [0]
    place = np.array([values("map_x", roots), values("map_y", roots)]).T
    apart = np.linalg.norm(place[:, None] - place, axis=2)
    assert apart[~np.eye(count, dtype=bool)] == pytest.approx(2**0.5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("x", [np.full((3, 4), np.nan), np.zeros((2, 4)), np.zeros((3, 0))], ids=["nan", "zero", "empty"])
def test_without_any_vector_all_is_null(name, x):
    umap = {"umap": lambda v, seed: np.full((len(v), 2), np.nan, np.float32)}
    assert answers(name, roots_of(x, **umap, split=torch.arange(len(x)))) == [(None, "no_neighbors")] * len(x)


@pytest.mark.parametrize("name", NAMES)
def test_planted_nan_vectors_are_null_and_change_nothing(name):
    x = np.random.default_rng(0).standard_normal((12, 5))
    x[4] = x[2]
    bad = [0, 3, 11]
    wide = np.full((15, 5), np.nan)
    wide[[i for i in range(15) if i not in bad]] = x
    wide[3] = 0
    rows = [i for i in range(15) if i not in bad]
    split = torch.arange(15) % 2
    umap = {"umap": lambda v, seed: np.where(np.abs(v).sum(1, keepdims=True) > 0, v[:, :2], np.nan)}
    whole = answers(name, roots_of(wide, split=split, reference=torch.as_tensor(wide[:6]).half(), **umap))
    assert [whole[i] for i in bad] == [(None, "no_neighbors")] * 3
    alone = answers(name, roots_of(x, split=split[rows], reference=torch.as_tensor(x[:4]).half(), **umap))
    if registry.find_metric(name).unit == "row":
        alone = [(value if value is None else rows[value], reason) for value, reason in alone]
    close([whole[i] for i in rows], alone, 1e-12)


def test_the_center_of_a_cluster_represents_it():
    """FiftyOne gives the center 0 and the outlier 1."""
    rng = np.random.default_rng(1)
    centers = np.eye(20, 24) * 10
    around = rng.standard_normal((20, 6, 24))
    around -= around.mean(1, keepdims=True)
    x = np.concatenate([centers[:, None], centers[:, None] + 0.2 * around], 1)
    value = np.array(values("representativeness", roots_of(x.reshape(-1, 24)))).reshape(20, 7)
    assert (value[:, 0] > 0.9).all()
    assert (value.min(1) == 0).all()
    assert (value[:, 0] == value.max(1)).all()


def test_downweighting_leaves_one_of_those_nearby():
    rng = np.random.default_rng(2)
    x = np.repeat(np.eye(4), 10, 0) + 0.02 * rng.standard_normal((40, 4))
    plain = values("representativeness", roots_of(x))
    lowered = values("representativeness", roots_of(x), downweight=0.7)
    table = loops.cosines(stored(x), stored(x))
    assert lowered == pytest.approx(loops.downweighted(plain, loops.pairs(table, 0.875), 0.7), abs=1e-12)
    assert sum(a > 0.5 for a in lowered) < sum(a > 0.5 for a in plain)


@pytest.mark.parametrize(
    ("classes", "options", "first"), [(("a", "b", "c"), {}, 3), ((), {}, 10), (("a",), {"clusters": 5}, 5)]
)
def test_diversity_rank_shows_every_cluster_first(classes, options, first):
    rng = np.random.default_rng(4)
    kind = rng.integers(0, first, 60)
    x = np.eye(first, 12)[kind] + 0.01 * rng.standard_normal((60, 12))
    rank = np.array(values("diversity_rank", roots_of(x, classes=classes), **options))
    assert sorted(rank) == list(range(1, 61))
    assert set(kind[rank <= first]) == set(kind)
    assert len(set(kind)) == first


def test_uniqueness_by_hand():
    angle = np.deg2rad([0, 10, 30, 90])
    x = np.stack([np.cos(angle), np.sin(angle)], 1)
    exact = stored(x)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    d = 1 - exact @ exact.T
    u = [0.6 * a + 0.3 * b + 0.1 * c for _, a, b, c in np.sort(d, 1)]
    assert values("uniqueness", roots_of(x)) == pytest.approx(np.array(u) / max(u), abs=1e-6)


def test_near_duplicates_do_not_chain():
    angle = np.deg2rad(10.0 * np.arange(8))  # neighbors are .015 apart, the next ones .06
    x = np.stack([np.cos(angle), np.sin(angle)], 1)
    assert values("near_duplicate_group_embedding", roots_of(x)) == [0, 0, 2, 2, 4, 4, 6, 6]
    assert values("near_duplicate_group_embedding", roots_of(x), distance=0.01) == [None] * 8
    assert values("near_duplicate_group_embedding", roots_of(x), distance=0.07) == [0, 0, 0, 3, 3, 3, 6, 6]


def test_leaks_between_splits():
    x = np.eye(6)
    x[3] = x[0] + 0.01
    copy = torch.tensor([np.nan, 1, np.nan, np.nan, 1, np.nan], dtype=torch.float64)
    roots = roots_of(x, split=torch.tensor([0, 0, 0, 1, 1, -1]), exact_duplicate_group=copy)
    found = values("leak_distance", roots)
    assert found[0] == found[3] == pytest.approx(0.0003, abs=1e-4)
    assert (found[1], found[4], found[5]) == (0, 0, None)
    assert found[2] == pytest.approx(1, abs=0.02)
    one = roots_of(x, split=torch.tensor([2] * 6), exact_duplicate_group=copy)
    assert answers("leak_distance", one) == [(None, "no_neighbors")] * 6


def test_novelty_is_the_distance_to_the_reference():
    x = np.random.default_rng(5).standard_normal((9, 7))
    reference = np.random.default_rng(6).standard_normal((5, 7))
    reference[2], reference[4] = np.nan, x[8]
    found = values("novelty", roots_of(x, reference=torch.as_tensor(reference).half()))
    table = loops.cosines(stored(x), stored(reference))
    assert found == pytest.approx([min(1 - c for c in line if c == c) for line in table], abs=1e-6)
    assert found[8] == 0


def test_the_map_is_pca_of_unit_vectors():
    x = stored(np.random.default_rng(8).standard_normal((50, 9)) * np.arange(9, 0, -1))
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    around = units - units.mean(0)
    _, _, axes = np.linalg.svd(around, full_matrices=False)
    axes = axes[:2] * np.sign([axis[np.abs(axis).argmax()] for axis in axes[:2]])[:, None]
    place = np.array([values("map_x", roots_of(x)), values("map_y", roots_of(x))])
    assert place == pytest.approx(axes @ around.T, abs=1e-9)
    assert values("map_x", roots_of(x)) == values("map_x", roots_of(x))
    assert values("map_x", roots_of(np.ones((3, 1)))) == values("map_y", roots_of(np.ones((3, 1)))) == [0, 0, 0]


@pytest.mark.parametrize("count", [1, 2, 12, 40])
def test_copies_of_one_picture_lie_in_the_middle_of_the_map(count):
    roots = roots_of(np.tile(np.random.default_rng(3).standard_normal(64), (count, 1)))
    assert values("map_x", roots) == values("map_y", roots) == [0] * count


def test_the_map_tells_pictures_apart_that_differ_in_the_last_bit():
    pictures = np.tile(stored(np.random.default_rng(3).standard_normal((1, 64))), (12, 1)).astype(np.float16)
    pictures[3, 0] = np.nextafter(pictures[3, 0], np.float16(9))
    place = values("map_x", roots_of(pictures))
    assert abs(place[3]) == pytest.approx(11 * abs(place[0]), rel=1e-6)
    assert abs(place[3]) > 1e-7


def test_umap_gets_all_vectors_and_the_seed():
    given_to = []

    def umap(v, seed):
        given_to.append((v.shape, v.dtype, seed))
        return v[:, :2]

    roots = roots_of(np.eye(3, 5), umap=umap, seed=7)
    assert values("umap_x", roots) == [1, 0, 0]
    assert values("umap_y", roots) == [0, 1, 0]
    assert given_to[0] == ((3, 5), np.float32, 7)
