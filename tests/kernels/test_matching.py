"""Cells, overlaps, matching and accumulation: the compiled kernels, the plain torch ones, and loops over single cells agree."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.kernels import matching
from gpu_quality.kernels.matching import Cells, Rules, Sides, cpu, reference
from gpu_quality.kernels.precision import Ranked
from gpu_quality.kernels.precision import cpu as precision_cpu
from gpu_quality.kernels.precision import reference as precision_reference
from gpu_quality.kernels.threads import set_threads
from tests.reference import evaluation as slow

MODES = {
    "coco": (Rules(torch.zeros(0), torch.zeros(0)), slow.by_score),
    "tide": (Rules(torch.zeros(0), torch.zeros(0), last=False), slow.first_free),
    "voc": (Rules(torch.zeros(0), torch.zeros(0), last=False, second_choice=False), slow.best_only),
    "openimages": (Rules(torch.zeros(0), torch.zeros(0), last=False, second_choice=False, groups=True), slow.with_groups),
}
THRESHOLDS = (0.25, 0.5, 0.75, 1.0)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    yield
    set_threads(None)


def some_rows(seed: int, count: int, frames: int, classes: int) -> tuple[torch.Tensor, ...]:
    """Frames, classes, boxes on a coarse grid so that overlaps tie, scores with ties, flags."""
    numbers = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 4, (count, 2), generator=numbers).double() * 2
    side = torch.randint(0, 4, (count, 2), generator=numbers).double() * 2
    if seed % 3 == 0:
        corner += torch.rand(count, 2, generator=numbers, dtype=torch.float64)
    return (
        torch.randint(0, frames, (count,), generator=numbers),
        torch.randint(0, classes, (count,), generator=numbers),
        torch.cat([corner, side], 1),
        torch.randint(0, 5, (count,), generator=numbers).double() / 4,
        torch.rand(count, generator=numbers) < 0.3,
        torch.rand(count, generator=numbers) < 0.5,
    )


def some_cells(seed: int, labels: int, predictions: int, *, pooled: bool = False) -> tuple[Cells, tuple, tuple]:
    own, other = some_rows(seed, labels, 3, 2), some_rows(seed + 1, predictions, 3, 2)
    return matching.cells(*own[:2], *other[:2], other[3], pooled=pooled), own, other


def cell_rows(found: Cells, s: int) -> tuple[list[int], list[int]]:
    """Rows of the predictions and labels of a cell."""
    return (
        found.prediction[found.prediction_offset[s] : found.prediction_offset[s + 1]].tolist(),
        found.label[found.label_offset[s] : found.label_offset[s + 1]].tolist(),
    )


def equal(one: tuple, other: tuple) -> None:
    for left, right in zip(one, other, strict=True):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)


@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 60), st.booleans(), st.sampled_from([None, 1, 3]))
@settings(max_examples=60, deadline=None)
def test_cells_hold_every_row_in_order(seed: int, labels: int, predictions: int, pooled: bool, limit: int | None) -> None:
    own, other = some_rows(seed, labels, 4, 3), some_rows(seed + 1, predictions, 4, 3)
    found = cpu.cells(*own[:2], *other[:2], other[3], pooled, limit)
    equal(found, reference.cells(*own[:2], *other[:2], other[3], pooled, limit))
    keys = {
        (-1 if pooled else int(c), int(f)) for frames, classes, *_ in (own, other) for f, c in zip(frames, classes, strict=True)
    }
    assert list(zip(found.class_id.tolist(), found.frame.tolist(), strict=True)) == sorted(keys)
    for s, (class_id, frame) in enumerate(sorted(keys)):
        rows = [i for i in range(predictions) if other[0][i] == frame and (pooled or other[1][i] == class_id)]
        rows = sorted(sorted(rows, key=lambda i: int(other[1][i])), key=lambda i: -float(other[3][i]))
        labelled = [i for i in range(labels) if own[0][i] == frame and (pooled or own[1][i] == class_id)]
        labelled.sort(key=lambda i: int(own[1][i]))
        assert cell_rows(found, s) == (rows[:limit], labelled)


def test_many_predictions_of_one_cell_keep_their_order() -> None:
    zero, score = torch.zeros(500, dtype=torch.int64), torch.arange(500).remainder(7).double()
    found = cpu.cells(zero[:0], zero[:0], zero, zero, score, False, None)
    assert found.prediction.tolist() == sorted(range(500), key=lambda i: -(i % 7))


@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_overlaps_are_those_of_single_pairs(seed: int, labels: int, predictions: int, inclusive: bool) -> None:
    found, own, other = some_cells(seed, labels, predictions)
    table = cpu.box_overlaps(own[2], other[2], own[4], found, inclusive)
    equal((table,), (reference.box_overlaps(own[2], other[2], own[4], found, inclusive),))
    expected = []
    for s in range(len(found.frame)):
        rows, columns = cell_rows(found, s)
        expected += [
            slow.iou(other[2][i].tolist(), own[2][j].tolist(), crowd=bool(own[4][j]), inclusive=inclusive)
            for i in rows
            for j in columns
        ]
    assert table.tolist() == expected


def matched(seed: int, labels: int, predictions: int, mode: str) -> tuple[tuple, Cells, Sides, Rules, torch.Tensor]:
    found, own, other = some_cells(seed, labels, predictions)
    rules, _ = MODES[mode]
    need = torch.tensor(THRESHOLDS, dtype=torch.float64)
    strict = torch.nextafter(need, need + 1) if mode == "tide" else need
    rules = rules._replace(need=need.clamp(max=1 - 1e-10) if mode == "coco" else need, need_ignored=strict)
    if mode == "coco":
        rules = rules._replace(need_ignored=rules.need)
    crowd = own[4] if mode in ("coco", "tide") else torch.zeros_like(own[4])
    ignored = torch.stack([own[4], own[4] | own[5]])[:, found.label]
    outside = torch.stack([torch.zeros_like(other[5]), other[5]])[:, found.prediction]
    sides = Sides(crowd[found.label], ignored, outside)
    overlap = matching.box_overlaps(own[2], other[2], own[4], found)
    return (own, other), found, sides, rules, overlap


@pytest.mark.parametrize("mode", MODES)
@given(st.integers(0, 10**6), st.integers(0, 24), st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_matching_is_that_of_single_cells(mode: str, seed: int, labels: int, predictions: int) -> None:
    _, found, sides, rules, overlap = matched(seed, labels, predictions, mode)
    names = cpu.by_score(overlap, found, sides, rules)
    equal(names, reference.by_score(overlap, found, sides, rules))
    start = 0
    for s in range(len(found.frame)):
        rows, columns = cell_rows(found, s)
        p, q = int(found.prediction_offset[s]), int(found.label_offset[s])
        table = overlap[start : start + len(rows) * len(columns)].view(len(rows), len(columns)).tolist()
        start += len(rows) * len(columns)
        for a in range(2):
            members = [slow.Label(bool(sides.label_ignored[a, q + j]), bool(sides.crowd[q + j])) for j in range(len(columns))]
            for t, value in enumerate(THRESHOLDS):
                labels_of, hidden = MODES[mode][1](table, members, value)
                expected = [columns[g] if g >= 0 else -1 for g in labels_of]
                assert names.label_of[a, t, p : p + len(rows)].tolist() == expected
                outside = sides.outside[a, p : p + len(rows)].tolist()
                ignored = [hid if g >= 0 else out for g, hid, out in zip(labels_of, hidden, outside, strict=True)]
                assert names.ignored[a, t, p : p + len(rows)].tolist() == ignored
                firsts = [next((rows[d] for d, g in enumerate(labels_of) if g == j), -1) for j in range(len(columns))]
                assert names.prediction_of[a, t, q : q + len(columns)].tolist() == firsts


@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(0, 60))
@settings(max_examples=30, deadline=None)
def test_verdicts_are_the_names_without_names(seed: int, labels: int, predictions: int) -> None:
    (own, other), found, sides, rules, overlap = matched(seed, labels, predictions, "coco")
    names = matching.by_score(overlap, found, sides, rules)
    bits = matching.verdicts(own[2], other[2], own[4], found, sides, rules)
    t = torch.arange(len(THRESHOLDS))[:, None]
    had, hidden = ((side[:, None] >> t & 1).bool() for side in bits)
    assert torch.equal(had, names.label_of >= 0)
    assert torch.equal(torch.where(had, hidden, sides.outside[:, None]), names.ignored)


def test_more_thresholds_than_bits() -> None:
    _, found, sides, rules, overlap = matched(5, 20, 40, "coco")
    need = torch.linspace(0.01, 1, 150, dtype=torch.float64)
    many = matching.by_score(overlap, found, sides, rules._replace(need=need, need_ignored=need))
    for t in (0, 61, 62, 63, 149):
        one = matching.by_score(overlap, found, sides, rules._replace(need=need[t : t + 1], need_ignored=need[t : t + 1]))
        assert torch.equal(many.label_of[:, t : t + 1], one.label_of)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_matter(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "CHUNK", 7)
    _, found, sides, rules, overlap = matched(8, 60, 90, "coco")
    set_threads(1)
    expected = matching.by_score(overlap, found, sides, rules)
    set_threads(threads)
    equal(matching.by_score(overlap, found, sides, rules), expected)


@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(0, 16), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=80, deadline=None)
def test_matching_by_overlap(seed: int, labels: int, predictions: int, same_first: bool, listed: bool, strict: bool) -> None:
    found, own, other = some_cells(seed, labels, predictions, pooled=True)
    none = torch.zeros_like(own[4])
    overlap = matching.box_overlaps(own[2], other[2], none, found)
    need = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
    least = torch.nextafter(need, need + 1) if strict else need
    names = matching.by_overlap(overlap, found, own[1], other[1], other[3], none, least, same_first=same_first, listed=listed)
    assert not names.ignored.any()
    start = 0
    for s in range(len(found.frame)):
        rows, columns = cell_rows(found, s)
        table = overlap[start : start + len(rows) * len(columns)].view(len(rows), len(columns))
        start += len(rows) * len(columns)
        by_row, by_column = sorted(range(len(rows)), key=rows.__getitem__), sorted(range(len(columns)), key=columns.__getitem__)
        given_labels = [slow.Label(class_id=int(own[1][columns[g]])) for g in by_column]
        given_predictions = [slow.Prediction(float(other[3][rows[d]]), int(other[1][rows[d]])) for d in by_row]
        sorted_table = table[by_row][:, by_column].tolist() if len(columns) else [[] for _ in rows]
        for t, value in enumerate(need.tolist()):
            passes = (lambda v, value=value: v > value) if strict else (lambda v, value=value: v >= value)
            expected = slow.by_overlap(
                sorted_table, given_labels, given_predictions, passes, same_first=same_first, listed=listed
            )
            got = dict(
                zip(
                    rows,
                    names.label_of[0, t, found.prediction_offset[s] : found.prediction_offset[s + 1]].tolist(),
                    strict=True,
                )
            )
            assert [got[rows[d]] for d in by_row] == [columns[by_column[g]] if g >= 0 else -1 for g in expected]


@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_accumulation(seed: int, predictions: int, classes: int) -> None:
    numbers = torch.Generator().manual_seed(seed)
    t_count, maxima, recalls = 3, (1, 4), [0.0, 0.1, 0.5, 0.7000000000000001, 1.0, 1.5]
    class_id = torch.randint(0, classes, (predictions,), generator=numbers).sort().values
    ranked = Ranked(
        torch.searchsorted(class_id, torch.arange(classes + 1)),
        torch.randint(0, 6, (predictions,), generator=numbers),
        torch.randint(0, 4, (predictions,), generator=numbers).double() / 3,
        *(torch.randint(0, 1 << t_count, (2, predictions), generator=numbers) for _ in range(2)),
        torch.rand(2, predictions, generator=numbers) < 0.3,
    )
    ranked = ranked._replace(hidden=ranked.hidden & ranked.matched)
    # as in real data, the best of a class is the first of its frame
    best = [own.tolist() for own in torch.split(torch.arange(predictions), ranked.class_offset.diff().tolist())]
    for own in best:
        if own:
            ranked.rank[max(own, key=lambda i: (float(ranked.score[i]), -i))] = 0
    positives = torch.randint(0, 3, (classes, 2), generator=numbers) + predictions * (torch.arange(2) % 2)
    positives[:, 0] = torch.where(positives[:, 0] > 0, predictions + 1, 0)
    grid = torch.tensor(recalls, dtype=torch.float64)
    found = precision_cpu.accumulate(ranked, positives, t_count, grid, maxima)
    equal(found, precision_reference.accumulate(ranked, positives, t_count, grid, maxima))
    for k in range(classes):
        for a in range(2):
            for m, most in enumerate(maxima):
                for t in range(t_count):
                    own = [i for i in best[k] if ranked.rank[i] < most]
                    verdicts = [(float(ranked.score[i]), verdict(ranked, a, t, i)) for i in own]
                    expected = ([-1.0] * len(recalls), [-1.0] * len(recalls), -1.0)
                    if positives[k, a]:
                        expected = slow.accumulate(verdicts, int(positives[k, a]), recalls)
                    assert found.precision[k, a, m, t].tolist() == expected[0]
                    assert found.scores[k, a, m, t].tolist() == expected[1]
                    assert float(found.recall[k, a, m, t]) == expected[2]


def verdict(ranked: Ranked, a: int, t: int, i: int) -> int:
    had, hidden = (int(bits[a, i]) >> t & 1 for bits in (ranked.matched, ranked.hidden))
    if had:
        return -1 if hidden else 1
    return -1 if ranked.outside[a, i] else 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_is_the_same() -> None:
    (own_rows, other_rows), found, sides, rules, overlap = matched(11, 80, 160, "coco")
    on = [part.cuda() for part in (*found, overlap)]
    cells, there = Cells(*on[:6]), Sides(*(side.cuda() for side in sides))
    own = rules._replace(need=rules.need.cuda(), need_ignored=rules.need_ignored.cuda())
    names = matching.by_score(on[6], cells, there, own)
    equal(tuple(side.cpu() for side in names), matching.by_score(overlap, found, sides, rules))
    again = matching.box_overlaps(*(side.cuda() for side in (own_rows[2], other_rows[2], own_rows[4])), cells)
    equal((again.cpu(),), (overlap,))
