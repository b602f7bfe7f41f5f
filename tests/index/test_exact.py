"""The exact index against plain loops and against faiss: neighbors, pairs, groups, clusters, whatever the vectors are like."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import ResourceError, UsageError
from gpu_quality.index import pairs as pairing
from gpu_quality.index import searching, settling, shortlists, vectors
from gpu_quality.index.exact import Exact
from gpu_quality.kernels.neighbors import cpu, reference
from gpu_quality.kernels.threads import set_threads
from tests.reference import neighbors as twin

EXACT = Exact()


@pytest.fixture(autouse=True)
def _threads():
    yield
    set_threads(None)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks and limits so small that few vectors go through every path that many vectors go through."""
    monkeypatch.setattr(searching, "SMALL", 0)
    monkeypatch.setattr(vectors, "BLOCK", 64)
    for module in (shortlists, pairing):
        monkeypatch.setattr(module, "TILE", 64)


def vectors_of(n: int, d: int, seed: int, *, clusters: int = 0) -> torch.Tensor:
    """Random unit vectors, around centers if asked."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator)
    if clusters:
        center = torch.randn(clusters, d, generator=generator)
        x = center[torch.randint(clusters, (n,), generator=generator)] + 0.3 * x
    return torch.nn.functional.normalize(x, dim=1)


def planted(n: int, d: int, seed: int) -> torch.Tensor:
    """Vectors with copies, near copies, scaled copies, zero vectors, NaN and infinities."""
    x = vectors_of(n, d, seed, clusters=max(1, n // 8))
    generator = torch.Generator().manual_seed(seed + 1)
    for i in range(n):
        other, kind = int(torch.randint(n, (1,), generator=generator)), int(torch.randint(12, (1,), generator=generator))
        if kind < 3:
            x[i] = x[other]
        elif kind == 3:
            x[i] = 4 * x[other]
        elif kind == 4:
            x[i] = x[other] + 1e-4 * x[i]
        elif kind == 5:
            x[i] = 0
        elif kind == 6:
            x[i, i % d] = (torch.nan, torch.inf, -torch.inf)[i % 3]
    return x


def check(found, expected) -> None:
    """Same rows in the same order, but for distances that rounding cannot tell apart; same distances."""
    for i, line in enumerate(expected):
        count = len(line)
        rows, distance = found.row[i].tolist(), found.distance[i].tolist()
        assert rows[count:] == [-1] * (len(rows) - count)
        assert all(np.isnan(distance[count:]))
        assert distance[:count] == pytest.approx([d for d, _ in line], abs=2e-7)
        if rows[:count] != [j for _, j in line]:
            gaps = np.abs(np.array(distance[:count]) - [d for d, _ in line])
            assert gaps.max() < 1e-7
            assert all(rows[c] in {j for d, j in line} or abs(line[-1][0] - distance[c]) < 1e-7 for c in range(count))
        assert len(set(rows[:count])) == count


def same_row(i, j):
    return i == j


@pytest.mark.parametrize(("n", "d", "k"), [(150, 24, 10), (150, 24, 1), (97, 3, 7), (40, 1, 5), (130, 17, 60)])
@pytest.mark.parametrize("small", [False, True])
def test_equals_loops(n, d, k, small, request):
    if small:
        request.getfixturevalue("small_blocks")
    x = planted(n, d, n + k)
    expected = twin.nearest(twin.cosines(x.double().numpy(), x.double().numpy()), k, same_row)
    check(EXACT.nearest(x, k), expected)


@given(st.integers(0, 30), st.integers(1, 5), st.integers(1, 12), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_any_small_set_equals_loops(n, d, k, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-2, 3, (n, d), generator=generator).float()  # many ties, copies and zero vectors
    groups = torch.randint(-1, 3, (n,), generator=generator)
    table = twin.cosines(x.double().numpy(), x.double().numpy())
    check(EXACT.nearest(x, k), twin.nearest(table, k, same_row))
    banned = lambda i, j: i == j or (groups[i] >= 0 and groups[i] == groups[j])  # noqa: E731
    check(EXACT.nearest(x, k, groups=groups), twin.nearest(table, k, banned))
    assert EXACT.refused(x).tolist() == [i for i, row in enumerate(x.tolist()) if not any(row)]


@pytest.mark.parametrize("small", [False, True])
def test_two_kinds_of_groups_are_left_out(small, request):
    if small:
        request.getfixturevalue("small_blocks")
    x = planted(150, 8, 3)
    groups = torch.stack([torch.arange(150) // 5, torch.randint(-1, 9, (150,), generator=torch.Generator().manual_seed(1))])
    table = twin.cosines(x.double().numpy(), x.double().numpy())
    banned = lambda i, j: i == j or any(g[i] >= 0 and g[i] == g[j] for g in groups)  # noqa: E731
    check(EXACT.nearest(x, 6, groups=groups), twin.nearest(table, 6, banned))


@pytest.mark.parametrize("small", [False, True])
def test_queries_against_a_base(small, request):
    if small:
        request.getfixturevalue("small_blocks")
    x, queries = planted(140, 16, 5), planted(70, 16, 6)
    same = torch.full((70,), -1)
    same[:30] = torch.arange(30) * 4
    queries[:30] = x[same[:30]]
    table = twin.cosines(queries.double().numpy(), x.double().numpy())
    found = EXACT.search(queries, x, 5, same=same)
    check(found, twin.nearest(table, 5, lambda i, j: j == same[i]))
    groups = (torch.arange(70) % 7, torch.arange(140) % 7)
    check(EXACT.search(queries, x, 5, groups=groups), twin.nearest(table, 5, lambda i, j: i % 7 == j % 7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_low_precision_misses_nothing_at_size(dtype):
    faiss = pytest.importorskip("faiss")
    x = vectors_of(6000, 64, 1, clusters=40).to(dtype)
    found = EXACT.nearest(x, 10)
    unit = torch.nn.functional.normalize(x.double(), dim=1)
    index = faiss.IndexFlatIP(64)
    index.add(unit.float().numpy())
    _, row = index.search(unit.float().numpy(), 11)
    theirs = [[j for j in line if j != i][:10] for i, line in enumerate(row.tolist())]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.row.tolist(), theirs, strict=True)])
    assert recall > 0.9999  # float32 of faiss may swap the last two
    cosine = unit @ unit.T
    cosine.fill_diagonal_(-2)
    best = cosine.topk(10, 1).values
    assert (1 - best - found.distance).abs().max() < 2e-7


def test_crowds_are_searched_in_full():
    x = vectors_of(1, 32, 1) + 1e-4 * vectors_of(1200, 32, 2)  # all cosines are 1 for bfloat16
    found = EXACT.nearest(x, 3)
    unit = torch.nn.functional.normalize(x.double(), dim=1)
    cosine = unit @ unit.T
    cosine.fill_diagonal_(-2)
    assert found.redone == 1200
    assert ((1 - found.distance.double()) - cosine.topk(3, 1).values).abs().max() < 1e-7
    assert (cosine.gather(1, found.row).diff(dim=1) < 1e-15).all()


def test_the_shortlist_of_other_devices_agrees():
    x = vectors_of(3000, 32, 3, clusters=50)
    base = vectors.prepared(x)
    groups = (torch.arange(3000) // 3)[None]
    side = shortlists.Side(base, torch.arange(3000), groups)
    a = shortlists.on_cpu(side, base, groups, 5)
    b = shortlists.on_any_device(side, base, groups, 5, 1 << 22)
    (here, doubt), (there, other_doubt) = (settling.settle(side, base, found, 5) for found in (a, b))
    keep = ~(doubt | other_doubt)
    assert keep.float().mean() > 0.9
    assert torch.equal(here.place[keep], there.place[keep])
    for i in keep.nonzero().flatten().tolist():  # the gates of the CPU are rounded down to bfloat16
        assert set(b.rows[i].tolist()) <= set(a.rows[i].tolist()) | {-1}


def test_a_broken_bound_is_noticed(monkeypatch):
    x = vectors_of(1500, 32, 4)
    right = EXACT.nearest(x, 5)
    whole = shortlists.scores
    monkeypatch.setattr(shortlists, "scores", lambda a, b, buffer: whole(a, b, buffer).mul_(0.9))
    wrong = EXACT.nearest(x, 5)
    assert wrong.redone == 1500
    assert torch.equal(wrong.row, right.row)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_vectors(n):
    found = EXACT.nearest(vectors_of(3, 4, 0)[:n], 5)
    assert found.row.shape == (n, 5)
    assert (found.row >= 0).sum() == n * (n - 1)
    assert torch.equal(found.row < 0, found.distance.isnan())
    assert EXACT.pairs(vectors_of(3, 4, 0)[:n], -1).shape == (n * (n - 1) // 2, 2)
    assert len(EXACT.groups(vectors_of(3, 4, 0)[:n], 0.5).leader) == n
    assert len(EXACT.clusters(vectors_of(3, 4, 0)[:n], 2)) == n
    assert EXACT.search(vectors_of(3, 4, 0), vectors_of(3, 4, 0)[:n], 2).row.shape == (3, 2)
    assert EXACT.search(vectors_of(3, 4, 0)[:n], vectors_of(3, 4, 0), 2).row.shape == (n, 2)


def test_equal_vectors_are_ordered_by_row():
    found = EXACT.nearest(vectors_of(1, 8, 0).expand(2000, 8), 3)
    assert found.row[:5].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]]
    assert (found.distance == 0).all()


def test_memory_threads_and_blocks_change_nothing():
    x = planted(2500, 24, 9)
    right = EXACT.nearest(x, 7)
    set_threads(1)
    for memory in (1, 1 << 16, 1 << 30):
        found = Exact(memory).nearest(x, 7)
        assert torch.equal(found.row, right.row)
        assert torch.equal(found.distance.nan_to_num(9), right.distance.nan_to_num(9))


@pytest.mark.parametrize("scale", [1e-25, 1e-18, 1e15, 1e25])
def test_length_does_not_matter(scale):
    x = vectors_of(1100, 8, 2)
    assert torch.equal(EXACT.nearest(x * scale, 4).row, EXACT.nearest(x, 4).row)


@pytest.mark.parametrize("at_least", [-1.0, 0.0, 0.6, 0.97, 1.0])
@pytest.mark.parametrize("small", [False, True])
def test_pairs_equal_loops(at_least, small, request):
    if small:
        request.getfixturevalue("small_blocks")
    x = planted(150, 12, 7)
    table = twin.cosines(x.double().numpy(), x.double().numpy())
    found = {tuple(pair) for pair in EXACT.pairs(x, at_least).tolist()}
    surely, perhaps = (set(twin.pairs(table, at_least + shift)) for shift in (1e-12, -1e-12))
    assert surely <= found <= perhaps
    scored = EXACT.scored_pairs(x, at_least)
    assert scored.rows.tolist() == sorted(scored.rows.tolist())
    assert scored.cosine.tolist() == pytest.approx([table[i, j] for i, j in scored.rows.tolist()], abs=1e-12)


def test_sketches_leave_out_no_pair():
    x = vectors_of(9000, 128, 3, clusters=300)
    x[:500] = torch.nn.functional.normalize(x[1000:1500] + 0.02 * x[2000:2500], dim=1)
    screen = pairing.screened(x, 0.97)
    assert screen.low.shape[1] < 128
    cosine = (x.double() @ x.double().T).triu_(1)
    for at_least in (0.93, 0.97):
        assert torch.equal(EXACT.pairs(x, at_least), (cosine >= at_least).nonzero())


def test_too_many_pairs_are_refused_before_they_are_held():
    x = vectors_of(1, 8, 0).expand(40_000, 8)
    with pytest.raises(ResourceError, match="more than 50,000,000 pairs"):
        EXACT.pairs(x, 0.9)
    with pytest.raises(ResourceError, match="more than 10 pairs"):
        EXACT.scored_pairs(vectors_of(20, 8, 0), -1, limit=10)
    assert EXACT.groups(x, 0.9).leader.unique().tolist() == [0]
    assert EXACT.components(x).unique().tolist() == [0]


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("at_least", [0.5, 0.9, 0.99])
def test_groups_equal_loops(at_least, small, request):
    if small:
        request.getfixturevalue("small_blocks")
    x = planted(160, 12, 11)
    table = twin.cosines(x.double().numpy(), x.double().numpy())
    order = torch.randperm(160, generator=torch.Generator().manual_seed(2))
    assert EXACT.groups(x, at_least).leader.tolist() == twin.leaders(table, at_least, range(160))
    found = EXACT.groups(x, at_least, order=order)
    assert found.leader.tolist() == twin.leaders(table, at_least, order.tolist())
    led = found.leader >= 0
    assert (found.cosine[led] >= at_least - 1e-12).all()
    assert found.cosine[~led].isnan().all()


def test_components_chain():
    angle = torch.arange(60) * 0.004  # neighbors are 8e-6 apart, the ends 0.028
    x = torch.stack([angle.cos(), angle.sin()], 1).double()
    x = torch.cat([x, torch.tensor([[-1.0, 0.0], [0.0, 0.0]])])
    assert EXACT.components(x).tolist() == [0] * 60 + [60, -1]
    assert EXACT.components(x, 7e-6).tolist() == [*range(61), -1]


def test_clusters_do_not_depend_on_anything_but_the_seed():
    x = vectors_of(500, 16, 1, clusters=4)
    x[7] = torch.nan
    found = EXACT.kmeans(x, 4, seed=3)
    assert found.label[7] == -1
    assert torch.equal(EXACT.clusters(x, 4, seed=3), found.label)
    assert len(found.label.unique()) == 5


@pytest.mark.parametrize("kernel", [cpu, reference])
def test_scalar_products_are_the_same_for_the_same_pair(kernel):
    x = vectors_of(300, 37, 1)
    i, j = torch.arange(300), torch.arange(300).flip(0)
    found = kernel.dots(x, x, i, j)
    assert torch.equal(found, kernel.dots(x, x, j, i))
    assert torch.equal(found[100:103], kernel.dots(x, x, i[100:103], j[100:103]))
    assert torch.allclose(found, (x.double() * x.flip(0).double()).sum(1), rtol=0, atol=1e-15)
    half = kernel.dots(x.half(), x.half(), i, j)
    assert torch.allclose(half, (x.half().double() * x.half().flip(0).double()).sum(1), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: EXACT.nearest(x[0], 3), "float matrix"),
        (lambda x: EXACT.nearest(x.long(), 3), "int64"),
        (lambda x: EXACT.nearest(x, 0), "k must be at least 1"),
        (lambda x: EXACT.nearest(x, 3, groups=torch.zeros(3).long()), "groups of 20 vectors"),
        (lambda x: EXACT.pairs(x, 2.0), "at_least must be a cosine"),
        (lambda x: EXACT.search(x[:, :3], x, 2), "same number of components"),
    ],
)
def test_mistakes_are_named(call, text):
    with pytest.raises(UsageError) as error:
        call(vectors_of(20, 8, 0))
    assert text in f"{error.value} {error.value.hint}"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_finds_the_same():
    x = planted(5000, 64, 3)
    here, there = EXACT.nearest(x, 10), EXACT.nearest(x.cuda(), 10)
    assert torch.equal(here.row, there.row.cpu())
    assert torch.equal(EXACT.pairs(x, 0.9), EXACT.pairs(x.cuda(), 0.9).cpu())
    assert torch.equal(EXACT.groups(x, 0.9).leader, EXACT.groups(x.cuda(), 0.9).leader.cpu())
