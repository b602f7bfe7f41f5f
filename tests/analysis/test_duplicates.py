"""Groups of duplicates: who is in one with whom and why, whatever the kind, the order and the number of copies."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.analysis import duplicates_hashes
from gpu_quality.analysis.duplicates import KINDS, Evidence, Found, find
from gpu_quality.analysis.duplicates_groups import Qualities, stars
from gpu_quality.analysis.duplicates_hashes import flipped_dhash, flipped_phash, hashes
from gpu_quality.analysis.duplicates_leaks import leaks
from gpu_quality.analysis.duplicates_links import Links, Pictures, Rules
from gpu_quality.functional import hashing
from gpu_quality.index.exact import Exact
from tests.reference import duplicates as slow

NAMES = ("phash", "dhash", "phash_d4", "dhash_d4")


def random_codes(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(-(1 << 63), (1 << 63) - 1, (n,), generator=torch.Generator().manual_seed(seed))


def near_codes(n: int, seed: int, most: int) -> torch.Tensor:
    """Codes around six centers, up to `most` bits away; whatever the seed, row i is around center i mod 6."""
    rng = np.random.default_rng(seed)
    codes = random_codes(6, seed)[torch.arange(n) % 6]
    for _ in range(most):
        codes = codes ^ (torch.ones(n, dtype=torch.int64) << torch.from_numpy(rng.integers(0, 63, n)))
    codes[13] = codes[1]
    return codes


def unknown(n: int) -> torch.Tensor:
    return torch.full((n,), torch.nan, dtype=torch.float64)


def evidence(n: int, *, content=None, known=None, codes=None, usable=None, vectors=None, qualities=None) -> Evidence:
    """Evidence of n frames; what is not given is not stored."""
    every = torch.ones(n, dtype=torch.bool)
    ready = None
    if codes is not None:
        parts = [codes.get(name) for name in NAMES]
        ready = hashes(parts[:2], parts[2:], every if usable is None else usable)
    columns = None if content is None else [torch.as_tensor(column) for column in content]
    if known is None:
        known = every if columns is not None else ~every
    return Evidence(columns, known, ready, vectors, qualities or Qualities(*(unknown(n) for _ in range(4))))


def groups_of(found: Found) -> list[list[int]]:
    return [(found.group == g).nonzero().flatten().tolist() for g in range(len(found.keep))]


def at_angle(*degrees: float) -> torch.Tensor:
    """Unit vectors in a plane."""
    angle = torch.tensor(degrees).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], 1).half()


# Hashes.


@pytest.mark.parametrize(("across", "down"), list(itertools.product((False, True), repeat=2)))
def test_the_dhash_of_a_flipped_thumbnail_is_derived_exactly(across, down):
    rng = np.random.default_rng(1)
    levels = np.stack([rng.permuted(np.arange(9 * 8)).reshape(8, 9) for _ in range(20)])  # no two are equal
    wide = torch.from_numpy(levels.astype(np.uint8))
    axes = [axis for axis, turn in ((2, across), (1, down)) if turn]
    assert torch.equal(flipped_dhash(hashing.dhash(wide), across=across, down=down), hashing.dhash(wide.flip(axes)))


@pytest.mark.parametrize(("across", "down"), list(itertools.product((False, True), repeat=2)))
def test_the_phash_of_a_flipped_thumbnail_is_derived_within_a_few_bits(across, down):
    low = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    smooth = torch.nn.functional.interpolate(low, (32, 32), mode="bicubic").clamp(0, 1)[:, 0]
    square = (smooth * 255).to(torch.uint8)
    axes = [axis for axis, turn in ((2, across), (1, down)) if turn]
    off = hashing.hamming(flipped_phash(hashing.phash(square), across=across, down=down), hashing.phash(square.flip(axes)))
    assert int(off.max()) <= 12
    assert float(off.double().mean()) <= 6


@pytest.mark.parametrize("stored", [NAMES, ("phash",), ("dhash", "dhash_d4"), ("phash_d4", "dhash_d4")])
def test_similarities_and_near_pairs_are_those_of_plain_loops(stored, monkeypatch):
    monkeypatch.setattr(duplicates_hashes, "BLOCK", 16)
    n = 50
    codes = {name: near_codes(n, seed, 3) for seed, name in enumerate(stored)}
    for name, make in (("phash", flipped_phash), ("dhash", flipped_dhash)):
        if name in codes:
            codes[name][40:] = make(codes[name][:10], across=True, down=False)
    usable = torch.arange(n) % 9 != 0
    ready = hashes([codes.get(name) for name in NAMES[:2]], [codes.get(name) for name in NAMES[2:]], usable)
    expected = {}
    for i, j in itertools.combinations(range(n), 2):
        pair = [{name: int(code[row]) & (1 << 64) - 1 for name, code in codes.items()} for row in (i, j)]
        expected[i, j] = slow.similarity(*pair) if usable[i] and usable[j] else float("nan")
    rows = torch.tensor(list(expected))
    got = ready.similarity(rows[:, 0], rows[:, 1])
    np.testing.assert_array_equal(got.numpy(), np.array(list(expected.values())))
    for at_least in (0.75, 0.875, 1.0):
        near = [tuple(pair) for part in ready.near(at_least) for pair in part.tolist()]
        assert sorted(near) == sorted(pair for pair, value in expected.items() if value >= at_least)
        assert near


# Links.


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1) | st.just(float("nan")), st.floats(-1, 1) | st.just(float("nan")))
def test_the_rules_put_kinds_together_as_written(by_hash, cosine):
    both = (cosine >= 0.85 and by_hash >= 0.72) or (cosine >= 0.75 and by_hash >= 0.78)
    expected = (by_hash >= 0.875 and not cosine < 0.4) or cosine >= 0.98 or both
    a, b = (torch.tensor([value], dtype=torch.float64) for value in (by_hash, cosine))
    assert bool(Rules().meets(a, b)) == expected
    assert bool(Rules.of(hash=True, embedding=False).meets(a, b * torch.nan)) == (by_hash >= 0.875)
    assert bool(Rules.of(hash=False, embedding=True).meets(a * torch.nan, b)) == (cosine >= 0.9)
    chosen = Rules.of(hash=True, embedding=True, at_least=0.8)
    assert bool(chosen.meets(a, b)) == (by_hash >= 0.8 or cosine >= 0.8)


def some_pictures(n: int = 60) -> tuple[Pictures, dict[str, torch.Tensor], torch.Tensor]:
    codes = {name: near_codes(n, seed, 6) for seed, name in enumerate(NAMES)}
    vectors = torch.randn(n, 8, generator=torch.Generator().manual_seed(5)).half()
    vectors[1::3] = vectors[0::3] + 0.3 * vectors[2::3]
    vectors[13], vectors[8] = torch.nan, 0.0
    ready = hashes([codes["phash"], codes["dhash"]], [codes["phash_d4"], codes["dhash_d4"]], torch.arange(n) % 11 != 0)
    return Pictures(n, ready, vectors, Exact()), codes, vectors


def test_all_pairs_that_meet_the_rules_are_found():
    pictures, codes, vectors = some_pictures()
    take = torch.arange(60) != 20
    rules = Rules(hash=0.85, embedding=0.95, together=((0.8, 0.6), (0.3, 0.7)), refused=-0.5)
    found, many = pictures.links(rules, take)
    expected = set()
    for i, j in itertools.combinations(range(60), 2):
        pair = [{name: int(code[row]) & (1 << 64) - 1 for name, code in codes.items()} for row in (i, j)]
        by_hash = slow.similarity(*pair) if i % 11 and j % 11 else float("nan")
        cosine = slow.cosine(vectors[i].tolist(), vectors[j].tolist())
        both = (cosine >= 0.8 and by_hash >= 0.6) or (cosine >= 0.3 and by_hash >= 0.7)
        if 20 not in (i, j) and ((by_hash >= 0.85 and not cosine < -0.5) or cosine >= 0.95 or both):
            expected.add((i, j))
    assert {tuple(pair) for pair in found.rows.tolist()} == expected
    assert not many
    assert len(expected) > 20
    assert any(13 in pair for pair in expected), "a frame without a vector is still compared by hash"


def test_too_many_pairs_leave_pairs_with_leaders_only():
    n = 200
    codes = {"phash": torch.zeros(n, dtype=torch.int64) + 5}
    vectors = torch.ones(n, 4).half() + 0.01 * torch.rand(n, 4, generator=torch.Generator().manual_seed(0)).half()
    for kinds in (("hash",), ("embedding",), KINDS):
        found = find(evidence(n, codes=codes, vectors=vectors), Exact(), kinds=kinds, limit=1000)
        assert not found.complete
        assert groups_of(found) == [list(range(n))]
        assert found.drift.below.tolist() == [-1]
    assert find(evidence(n, codes=codes), Exact(), kinds=("hash",)).complete


# Groups.


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 9))
    pairs = draw(st.lists(st.sampled_from([(i, j) for i in range(n) for j in range(i + 1, n)] or [(0, 0)]), unique=True))
    return n, {pair: draw(st.sampled_from([0.8, 0.9, 1.0])) for pair in sorted(pairs) if pair != (0, 0)}


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_stars_are_those_of_plain_loops(graph):
    n, strength = graph
    rows = torch.tensor(list(strength), dtype=torch.int64).view(-1, 2)
    value = torch.tensor(list(strength.values()), dtype=torch.float64)
    leader = stars(Links(rows, value, value * torch.nan), n).tolist()
    assert leader == slow.stars(n, strength)
    assert all(row == lead or (min(row, lead), max(row, lead)) in strength for row, lead in enumerate(leader))


def test_a_chain_does_not_become_one_group():
    vectors = at_angle(0, 20, 40, 60, 80)  # cos 20° = .94, cos 40° = .77
    found = find(evidence(5, vectors=vectors), Exact(), kinds=("embedding",))
    assert groups_of(found) == [[0, 1, 2], [3, 4]]
    assert found.leader.tolist() == [1, 1, 1, 3, 3]
    assert found.drift.below.tolist() == [1, 0], "the two ends of the first group are not similar, and that is said"
    assert found.drift.cosine.tolist() == pytest.approx([np.cos(np.radians(40)), np.cos(np.radians(20))], abs=1e-3)


@pytest.mark.parametrize("kinds", [KINDS, ("exact",), ("hash",), ("embedding",)])
def test_forty_identical_frames_are_one_group_by_every_kind(kinds):
    n = 42
    same = torch.arange(n).clamp(max=40) // 40 * (torch.arange(n) - 39)  # 0 forty times, then 1 and 2 … apart
    codes = {name: random_codes(3, seed)[same] for seed, name in enumerate(NAMES)}
    vectors = torch.randn(3, 16, generator=torch.Generator().manual_seed(1)).half()[same]
    found = find(evidence(n, content=[same], codes=codes, vectors=vectors), Exact(), kinds=kinds)
    assert groups_of(found) == [list(range(40))]
    assert found.similarity[:40].tolist() == pytest.approx([1.0] * 40)
    assert {KINDS[k] for k in found.kind[:40].tolist()} == {kinds[0]}
    assert found.drift.below.tolist() == [0]


def test_groups_of_any_multiplicity_are_numbered_by_size_then_by_first_frame():
    content = torch.tensor([7, 1, 2, 2, 1, 3, 3, 3, 9])
    found = find(evidence(9, content=[content]), Exact())
    assert groups_of(found) == [[5, 6, 7], [1, 4], [2, 3]]
    assert found.compared == {"exact": 9, "hash": 0, "embedding": 0}


@pytest.mark.parametrize("n", [0, 1])
def test_no_frame_and_one_frame_have_no_duplicates(n):
    codes = {name: random_codes(n) for name in NAMES}
    vectors = torch.ones(n, 4).half()
    found = find(evidence(n, content=[torch.zeros(n)], codes=codes, vectors=vectors), Exact(), side=torch.zeros(n).long())
    assert groups_of(found) == []
    assert len(found.leaks.rows) == 0


def test_equal_pixels_of_another_shape_are_no_copies():
    content, width, height = [5, 5, 5], [4, 2, 4], [2, 4, 2]
    found = find(evidence(3, content=[content, width, height]), Exact(), kinds=("exact",))
    assert groups_of(found) == [[0, 2]]


def test_failed_frames_are_not_copies_of_each_other():
    content = torch.zeros(4, dtype=torch.int64)
    found = find(evidence(4, content=[content], known=torch.tensor([True, False, False, True])), Exact())
    assert groups_of(found) == [[0, 3]]
    assert found.compared["exact"] == 2


def test_frames_without_a_usable_vector_or_hash_take_no_part_and_are_counted():
    n = 6
    vectors = torch.ones(n, 4).half()
    vectors[1], vectors[2] = torch.nan, 0.0
    codes = {"phash": torch.full((n,), 9), "dhash": torch.full((n,), 9)}
    usable = torch.tensor([False, False, False, True, True, False])
    found = find(evidence(n, codes=codes, usable=usable, vectors=vectors), Exact())
    assert groups_of(found) == [[0, 3, 4, 5]]
    assert found.compared == {"exact": 0, "hash": 2, "embedding": 4}
    assert groups_of(find(evidence(n, codes=codes, usable=usable, vectors=vectors), Exact(), kinds=("hash",))) == [[3, 4]]
    copies = evidence(n, content=[torch.zeros(n)], codes=codes, usable=torch.zeros(n, dtype=torch.bool))
    assert groups_of(find(copies, Exact(), kinds=("hash",))) == [], "copies of a flat frame say nothing by hash"


def test_a_mirrored_picture_is_found_by_hash():
    phash, dhash = random_codes(4, 1), random_codes(4, 2)
    phash[3], dhash[3] = (
        make(code[:1], across=True, down=False)[0] for make, code in ((flipped_phash, phash), (flipped_dhash, dhash))
    )
    phash[3] ^= 0b1011
    found = find(evidence(4, codes={"phash": phash, "dhash": dhash}), Exact())
    assert groups_of(found) == [[0, 3]]
    assert found.similarity[[0, 3]].tolist() == [1 - 3 / 128] * 2
    assert found.kind[[0, 3]].tolist() == [1, 1]


def test_two_weak_signs_make_a_pair_and_one_alone_does_not():
    codes = {"phash": random_codes(1)[[0, 0, 0]], "dhash": random_codes(1, 1)[[0, 0, 0]]}
    codes["phash"][1] ^= (1 << 30) - 1  # 30 of 128 bits: .766
    far = at_angle(0, 28, 85)  # cos 28° = .883
    assert groups_of(find(evidence(3, codes=codes, vectors=far), Exact())) == [[0, 1]]
    assert groups_of(find(evidence(3, codes=codes, vectors=far), Exact(), kinds=("embedding",))) == []
    by_hash = find(evidence(3, codes=codes, vectors=far), Exact(), kinds=("hash",))
    assert groups_of(by_hash) == [[0, 2]], "equal hashes, which unlike vectors refuse"


# The frame to keep.


@pytest.mark.parametrize(
    ("width", "sharpness", "size", "keep", "reason"),
    [
        ([4, 8, 4], [9, 1, 9], [9, 1, 9], 1, "most pixels (8 x 10)"),
        ([8, 8, 4], [1, 2.5, 9], [9, 1, 9], 1, "sharpest of those with most pixels (sharpness 2.5)"),
        ([8, 8, 4], [2, 2, 9], [5, 7, 9], 1, "largest file of those with most pixels (7 bytes)"),
        ([8, 8, 8], [70.638, 70.631, 1], [5, 9, 99], 1, "largest file of those with most pixels (9 bytes)"),
        ([8, 8, 8], [np.nan] * 3, [np.nan] * 3, 0, "first of those with most pixels; nothing stored tells them apart"),
        ([np.nan] * 3, [1, 2, 3], [1, 1, 1], 2, "sharpest of all; sizes are not stored (sharpness 3)"),
    ],
)
def test_the_best_copy_is_kept_and_the_reason_said(width, sharpness, size, keep, reason):
    columns = [torch.tensor(values, dtype=torch.float64) for values in (width, [10, 10, 10], sharpness, size)]
    codes = {"phash": random_codes(1)[[0, 0, 0]], "dhash": random_codes(1)[[0, 0, 0]]}
    found = find(evidence(3, codes=codes, qualities=Qualities(*columns)), Exact())
    assert found.keep.tolist() == [keep]
    assert found.reason == (reason,)
    assert found.leader.tolist() == [keep] * 3, "it leads, for it is near every other one"


def test_the_kept_frame_does_not_lead_where_it_is_not_near_everybody():
    pixels = torch.tensor([1.0, 1, 9], dtype=torch.float64)
    qualities = Qualities(pixels, pixels, unknown(3), unknown(3))
    found = find(evidence(3, vectors=at_angle(0, 20, 40), qualities=qualities), Exact())
    assert found.keep.tolist() == [2]
    assert found.leader.tolist() == [1, 1, 1]


def test_a_large_group_drifts_by_its_vectors():
    angles = torch.linspace(-12, 12, 401).tolist()
    found = find(evidence(401, vectors=at_angle(*angles)), Exact(), rules=Rules.of(hash=False, embedding=True, at_least=0.97))
    assert groups_of(found)[0] == list(range(401))
    assert float(found.drift.cosine[0]) == pytest.approx(np.cos(np.radians(24)), abs=1e-3)
    assert int(found.drift.below[0]) > 0


# Leaks.


@settings(max_examples=200, deadline=None)
@given(graphs(), st.data())
def test_leaks_are_those_of_plain_loops(graph, data):
    n, strength = graph
    side = data.draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n))
    rows = torch.tensor(list(strength), dtype=torch.int64).view(-1, 2)
    value = torch.tensor(list(strength.values()), dtype=torch.float64)
    none = torch.zeros(n, dtype=torch.bool)
    found = leaks(Links(rows, value, value * torch.nan), torch.arange(n), none, torch.tensor(side))
    pairs = [tuple(pair) for pair in found.rows.tolist()]
    assert set(pairs) == slow.leaks(n, side, strength)
    assert len(set(pairs)) == len(pairs)


def test_copies_leak_through_the_picture_they_share():
    content = [0, 0, 0, 3, 4]
    phash = random_codes(5)[[0, 0, 0, 0, 4]]
    found = find(
        evidence(5, content=[content], codes={"phash": phash, "dhash": phash}), Exact(), side=torch.tensor([0, 0, 1, 2, 1])
    )
    assert found.leaks.rows.tolist() == [[0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert found.leaks.same.tolist() == [True, False, True, False, False]
