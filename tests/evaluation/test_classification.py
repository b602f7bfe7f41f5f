"""Classification against scikit-learn, joined by id, with its undefined values, and torchmetrics where it is installed."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import answers, ranked
from gpu_quality.evaluation import classification as cls
from gpu_quality.evaluation.rates import mean_of_known
from gpu_quality.evaluation.resampling import resample


def ints(*values):
    return torch.tensor(values, dtype=torch.int64)


@pytest.fixture(scope="module")
def guesses():
    """300 answers about 6 classes, the last of which nobody labeled: probabilities, labels, first choices."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, 300)
    p = rng.dirichlet([0.6] * 6, 300)
    p[np.arange(300), label] += rng.random(300)
    p = np.round(p / p.sum(1, keepdims=True), 2)  # many equal values
    p[:, 0] += 1 - p.sum(1)
    p = np.clip(p, 0, None)
    p /= p.sum(1, keepdims=True)
    return torch.from_numpy(p), torch.from_numpy(label), torch.from_numpy(p.argmax(1))


# --- joining


def test_rows_are_joined_by_id_in_any_order():
    label_key, label_class = ints(7, 3, 5), ints(0, 1, 2)
    prediction_key, prediction_class = ints(5, 9, 7), ints(2, 1, 0)
    found = answers.join(label_key, prediction_key)
    assert found.label_class(label_class).tolist() == [0, 1, 2, -1]
    assert found.prediction_class(prediction_class).tolist() == [0, -1, 2, 1]
    both = found.both()
    assert both.label.tolist() == [0, 2]
    assert both.prediction.tolist() == [2, 0]
    assert answers.join(ints(), prediction_key).label.tolist() == [-1, -1, -1]
    assert answers.join(label_key, ints()).prediction.tolist() == [-1, -1, -1]


def test_shuffled_rows_give_the_same_matrix():
    rng = np.random.default_rng(1)
    key = torch.from_numpy(rng.permutation(1000)[:60])
    label, guess = torch.from_numpy(rng.integers(0, 4, 60)), torch.from_numpy(rng.integers(0, 4, 60))
    order = torch.from_numpy(rng.permutation(60))
    found = answers.join(key, key[order])
    got = cls.confusion(found.label_class(label), found.prediction_class(guess[order]), 4)
    assert torch.equal(got, cls.confusion(label, guess, 4))


def test_two_answers_to_one_question_are_refused():
    with pytest.raises(
        UsageError, match=r"1 of 3 predictions answer a question that is answered already: rows 0 and 2"
    ) as found:
        answers.join(ints(1), ints(4, 5, 4))
    assert "multi-label" in found.value.hint


def test_keys_tell_frame_and_question_apart():
    got = answers.keys(ints(0, 0, 1, 0), ints(1, 2, 1, 1))
    assert got[0] == got[3]
    assert len(got.unique()) == 3
    assert answers.chosen(ints(0, 0, 2), ints(1, 3, 0), 3, 4).int().tolist() == [[0, 1, 0, 1], [0] * 4, [1, 0, 0, 0]]


# --- matrix and averages


def test_the_matrix_keeps_every_label_and_prediction():
    got = cls.confusion(ints(0, 0, 1, -1, 2, -1), ints(0, -1, 2, 1, 2, -1), 3)
    assert got.tolist() == [[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0], [0, 1, 0, 1]]
    counts = cls.class_counts(got)
    assert (counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()) == ([1, 0, 1], [0, 1, 1], [1, 1, 0])
    assert cls.accuracy(got).item() == 0.5  # of four labels
    with pytest.raises(UsageError, match="prediction 1 has class 3; there are classes 0 to 2"):
        cls.confusion(ints(0, 0), ints(0, 3), 3)


def test_a_weighted_matrix_equals_repeated_rows():
    label, guess, weight = ints(0, 1, 1, -1), ints(0, 0, 1, 1), torch.tensor([2, 0, 3, 1], dtype=torch.int32)
    rows = torch.repeat_interleave(torch.arange(4), weight)
    got = cls.confusion(label, guess, 2, weight=weight)
    assert got.dtype == torch.int64
    assert torch.equal(got, cls.confusion(label[rows], guess[rows], 2))
    assert cls.confusion(label, guess, 2, weight=weight / 2).sum() == 3


def test_normalized_matrices():
    counts = ints(3, 1, 0, 0).view(2, 2)
    assert cls.normalized(counts, "row")[0].tolist() == [0.75, 0.25]
    assert cls.normalized(counts, "row")[1].isnan().all()
    assert cls.normalized(counts, "row", 0.0)[1].tolist() == [0, 0]
    assert cls.normalized(counts, "column").tolist() == [[1, 1], [0, 0]]
    assert cls.normalized(counts, "all").tolist() == [[0.75, 0.25], [0, 0]]


@pytest.mark.parametrize("zero_division", [math.nan, 0.0, 1.0])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
def test_averages_equal_scikit_learn(guesses, average, zero_division):
    _, label, first = guesses
    first = torch.where(first == 3, 4, first)  # class 3 is never predicted, class 5 never labeled
    matrix = cls.confusion(label, first, 6)
    counts = cls.class_counts(matrix)
    options = {"labels": list(range(6)), "zero_division": zero_division if zero_division == zero_division else np.nan}
    want = sk.precision_recall_fscore_support(label, first, average=average, **options)[:3]
    got = cls.averaged(counts, average, zero_division=zero_division)
    assert [got.precision.item(), got.recall.item(), got.f1.item()] == pytest.approx(list(want), abs=1e-12)
    each = sk.precision_recall_fscore_support(label, first, average=None, **options)
    np.testing.assert_allclose(counts.precision(zero_division), each[0])
    np.testing.assert_allclose(counts.recall(zero_division), each[1])
    np.testing.assert_allclose(counts.f1(zero_division), each[2])
    assert counts.support.tolist() == each[3].tolist()
    assert cls.accuracy(matrix).item() == pytest.approx(sk.accuracy_score(label, first))


def test_balanced_accuracy_equals_scikit_learn(guesses):
    _, label, first = guesses
    kept = first < 5  # scikit-learn warns of predicted classes without labels
    got = cls.balanced_accuracy(cls.confusion(label[kept], first[kept], 5))
    assert got.item() == pytest.approx(sk.balanced_accuracy_score(label[kept], first[kept]))


def test_averages_follow_the_chosen_classes():
    counts = cls.ClassCounts(ints(1, 5, 0), ints(1, 0, 0), ints(3, 5, 0))
    chosen = torch.tensor([True, False, True])
    assert cls.averaged(counts, "macro", chosen=chosen).recall.item() == 0.25
    assert cls.averaged(counts, "macro", chosen=chosen, zero_division=0.0).recall.item() == 0.125  # as Encord
    assert cls.averaged(counts, "micro", chosen=chosen).precision.item() == 0.5
    assert cls.averaged(counts, "macro").precision.item() == 0.75


def test_f1_at_equal_precision_and_recall():
    assert cls.averaged(cls.ClassCounts(ints(4), ints(6), ints(6)), "micro").f1.item() == 0.4


def test_nothing_is_undefined():
    matrix = cls.confusion(ints(), ints(), 3)
    assert cls.accuracy(matrix).isnan()
    assert cls.balanced_accuracy(matrix).isnan()
    for average in ("micro", "macro", "weighted"):
        assert cls.averaged(cls.class_counts(matrix), average).f1.isnan()


def test_leading_axes_are_resamples(guesses):
    _, label, first = guesses
    one = cls.confusion(label, first, 6)
    stack = torch.stack([one, 2 * one, torch.zeros_like(one)])
    assert cls.accuracy(stack)[:2].tolist() == [cls.accuracy(one).item()] * 2
    got = cls.averaged(cls.class_counts(stack), "macro")
    assert got.f1[:2].tolist() == [cls.averaged(cls.class_counts(one), "macro").f1.item()] * 2
    assert got.f1[2].isnan()


def test_resampled_counts_equal_repeated_frames(monkeypatch):
    rng = np.random.default_rng(2)
    label, guess = (torch.from_numpy(rng.integers(-1, 4, 90)) for _ in range(2))
    unit = torch.from_numpy(rng.integers(0, 20, 90))
    weights = resample(20, 0, 8)
    monkeypatch.setattr(cls, "BUDGET", 8 * 8 * 7)  # seven rows at a time
    got = cls.resampled_counts(label, guess, unit, 4)(weights)
    for row, weight in enumerate(weights):
        rows = torch.repeat_interleave(torch.arange(90), weight[unit])
        want = cls.class_counts(cls.confusion(label[rows], guess[rows], 4))
        assert [x[row].tolist() for x in (got.tp, got.fp, got.fn)] == [want.tp.tolist(), want.fp.tolist(), want.fn.tolist()]
    assert cls.averaged(got, "macro").f1.shape == (8,)


# --- probabilities


def test_areas_equal_scikit_learn(guesses):
    p, label, _ = guesses
    auc, ap = ranked.one_vs_rest_auc(p, label), ranked.one_vs_rest_average_precision(p, label)
    for k in range(5):
        assert auc[k].item() == pytest.approx(sk.roc_auc_score(label == k, p[:, k]), abs=1e-12)
        assert ap[k].item() == pytest.approx(sk.average_precision_score(label == k, p[:, k]), abs=1e-12)
    assert auc[5].isnan()
    assert ap[5].isnan()
    five = p[:, :5] / p[:, :5].sum(1, keepdim=True)
    auc = ranked.one_vs_rest_auc(five, label)
    count = torch.bincount(label, minlength=5)
    for average, weight in (("macro", None), ("weighted", count)):
        want = sk.roc_auc_score(label, five, multi_class="ovr", average=average)
        assert mean_of_known(auc, weight).item() == pytest.approx(want, abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12))
def test_auc_is_the_share_of_pairs_in_order(rows):
    score = torch.tensor([row[0] for row in rows], dtype=torch.float64) / 4
    positive = torch.tensor([row[1] for row in rows])
    wins = [float(a > b) + 0.5 * float(a == b) for a in score[positive] for b in score[~positive]]
    got = ranked.roc_auc(score, positive)
    if not wins:
        assert got.isnan()
        return
    assert got.item() == pytest.approx(sum(wins) / len(wins), abs=1e-15)
    found = ranked.roc(score, positive)
    assert torch.trapezoid(found.tpr, found.fpr).item() == pytest.approx(got.item(), abs=1e-12)
    fpr, tpr, threshold = sk.roc_curve(positive, score, drop_intermediate=False)
    np.testing.assert_allclose(found.fpr, fpr)
    np.testing.assert_allclose(found.tpr, tpr)
    np.testing.assert_allclose(found.threshold, threshold)


def test_top_k_equals_scikit_learn_without_ties():
    rng = np.random.default_rng(3)
    p, label = rng.dirichlet([1.0] * 6, 100), rng.integers(0, 6, 100)
    for k in (1, 2, 5):
        want = sk.top_k_accuracy_score(label, p, k=k, labels=range(6))
        assert ranked.top_k_accuracy(torch.from_numpy(p), torch.from_numpy(label), k).item() == pytest.approx(want)
    assert ranked.top_k_accuracy(torch.from_numpy(p), torch.from_numpy(label), 6).item() == 1


def test_top_k_gives_equal_classes_in_order():
    p = torch.full((4, 4), 0.25, dtype=torch.float64)
    assert ranked.top_k_accuracy(p, ints(0, 1, 2, 3), 2).item() == 0.5
    p[0] = math.nan  # no probabilities: wrong; no label: left out
    assert ranked.top_k_accuracy(p, ints(0, 1, -1, 3), 2).item() == 1 / 3
    with pytest.raises(UsageError, match="at least 1; got 0"):
        ranked.top_k_accuracy(p, ints(0, 0, 0, 0), 0)
    with pytest.raises(UsageError, match="class 4 has no probability: there are 4 columns"):
        ranked.top_k_accuracy(p, ints(0, 0, 0, 4))


@pytest.mark.parametrize("classes", [2, 5])
def test_log_loss_and_brier_equal_scikit_learn(classes):
    rng = np.random.default_rng(classes)
    p, label = rng.dirichlet([0.5] * classes, 200), rng.integers(0, classes, 200)
    p[0] = np.eye(classes)[(label[0] + 1) % classes]  # probability 0 for the truth
    given, truth = torch.from_numpy(p), torch.from_numpy(label)
    assert ranked.log_loss(given, truth).item() == pytest.approx(sk.log_loss(label, p))
    want = sk.brier_score_loss(label, p if classes > 2 else p[:, 1])
    assert ranked.brier(given, truth).item() == pytest.approx(want)
    some = torch.cat([given, torch.full((1, classes), math.nan, dtype=torch.float64), given[:1]])
    rows = torch.cat([truth, ints(0, -1)])
    assert ranked.log_loss(some, rows).item() == pytest.approx(sk.log_loss(label, p))
    assert ranked.brier(some, rows).item() == pytest.approx(want)


def test_calibration_of_the_first_choice():
    p = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.4, 0.6], [0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)
    got = ranked.top_class_reliability(p[:4], ints(0, 0, 0, 1))
    assert got.ece == pytest.approx(0.4)
    assert got.n == 4
    assert ranked.top_class_reliability(p[4:], ints(0, 1)).accuracy[5].item() == 0.5  # of equal ones the first class
    assert ranked.top_class_reliability(p[:0], ints()).ece is None


def test_one_class_or_no_rows_are_undefined():
    score = torch.tensor([0.2, 0.7], dtype=torch.float64)
    yes = torch.tensor([True, True])
    assert ranked.roc_auc(score, yes).isnan()
    assert ranked.roc_auc(score, ~yes).isnan()
    assert ranked.roc(score, yes).fpr.isnan().all()
    assert ranked.average_precision(score, ~yes).isnan()
    assert ranked.average_precision(score, yes).item() == 1
    none = torch.zeros((0, 3), dtype=torch.float64)
    for figure in (ranked.log_loss, ranked.brier, ranked.top_k_accuracy):
        assert figure(none, ints()).isnan()
    assert ranked.one_vs_rest_auc(none, ints()).isnan().all()
    with pytest.raises(UsageError, match="1 of 2 scores are missing"):
        ranked.roc_auc(torch.tensor([0.1, math.nan], dtype=torch.float64), yes)


# --- several answers


def test_multilabel_equals_scikit_learn():
    rng = np.random.default_rng(8)
    label, guess = rng.random((50, 7)) < 0.4, rng.random((50, 7)) < 0.4
    label[:, 6] = guess[:, 6] = False
    a, b = torch.from_numpy(label), torch.from_numpy(guess)
    counts = cls.multilabel_counts(a, b)
    want = sk.multilabel_confusion_matrix(label, guess)
    got = torch.stack([counts.tn, counts.fp, counts.fn, counts.tp], 1).view(7, 2, 2)
    assert got.tolist() == want.tolist()
    for average in ("micro", "macro", "weighted"):
        scores = cls.averaged(counts, average, zero_division=0.0)
        want = sk.precision_recall_fscore_support(label, guess, average=average, zero_division=0)[:3]
        assert [scores.precision.item(), scores.recall.item(), scores.f1.item()] == pytest.approx(list(want))
    np.testing.assert_allclose(counts.jaccard(0.0), sk.jaccard_score(label, guess, average=None, zero_division=0))
    assert counts.jaccard()[6].isnan()
    assert counts.pooled().jaccard().item() == pytest.approx(sk.jaccard_score(label, guess, average="micro"))
    assert cls.exact_match(a, b).item() == pytest.approx(sk.accuracy_score(label, guess))
    rows = cls.row_jaccard(a, b, 0.0)
    assert rows.mean().item() == pytest.approx(sk.jaccard_score(label, guess, average="samples", zero_division=0))


def test_multilabel_edges():
    none = torch.zeros((2, 3), dtype=torch.bool)
    assert cls.row_jaccard(none, none).isnan().all()
    assert cls.exact_match(none, none).item() == 1
    assert cls.exact_match(none[:0], none[:0]).isnan()
    assert cls.multilabel_counts(none, none).tn.tolist() == [2, 2, 2]
    with pytest.raises(UsageError, match=r"\[2, 3\] and predictions \[1, 3\]"):
        cls.exact_match(none, none[:1])


def test_torchmetrics_agrees(guesses):
    tm = pytest.importorskip("torchmetrics.functional.classification")
    p, label, first = guesses
    matrix = cls.confusion(label, first, 6)
    assert torch.equal(matrix[:-1, :-1], tm.multiclass_confusion_matrix(first, label, 6))
    counts = cls.class_counts(matrix)
    for average in ("micro", "weighted"):
        scores = cls.averaged(counts, average, zero_division=0.0)
        for ours, name in ((scores.precision, "precision"), (scores.recall, "recall"), (scores.f1, "f1_score")):
            peer = getattr(tm, f"multiclass_{name}")(first, label, 6, average=average)
            assert ours.item() == pytest.approx(peer.item(), abs=1e-6)  # float32 there
    auc = tm.multiclass_auroc(p[:, :5].contiguous(), label, 5, average=None)
    torch.testing.assert_close(ranked.one_vs_rest_auc(p[:, :5], label), auc.double(), rtol=1e-6, atol=1e-6)
