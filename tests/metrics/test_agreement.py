"""What vectors say about labels of objects and answers about frames, against slow twins and on named cases."""

import importlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality import registry
from gpu_quality.index.exact import Exact
from gpu_quality.types import KINDS, Answers, Shapes
from tests.metrics.mini import objects_of
from tests.metrics.test_similarity import close, stored
from tests.metrics.videos import answers, values
from tests.reference import semantics as twin
from tests.reference.semantics import Item

for module in ("agreement", "appearance", "words"):
    importlib.import_module(f"gpu_quality.metrics.{module}")
OF_OBJECTS = ["object_annotation_quality", "object_majority_class", "object_annotation_verdict", "neighbor_entropy"]
PARTS = dict(zip(OF_OBJECTS, (0, 1, 3, 4), strict=True))
MORE = ["label_error_ratio", "object_singularity", "object_class_outlier", "appearance_duplicate"]
OF_ANSWERS = {"image_annotation_quality": 0, "image_majority_class": 1, "image_neighbor_entropy": 4}
ALWAYS = {"label_error_ratio", "object_singularity", "object_class_outlier", "image_label_error_ratio"}


def by_frame(items, name):
    """What the frames of items say about themselves, -1 for frames without items."""
    column = [-1] * (1 + max((item.frame for item in items), default=0))
    for item in items:
        column[item.frame] = getattr(item, name)
    return column


def frames_of(items):
    """Columns of frames."""
    copy = [math.nan if own < 0 else float(own) for own in by_frame(items, "copy")]
    group = torch.tensor(copy, dtype=torch.float64)
    return {"sequence": torch.tensor(by_frame(items, "sequence")), "exact_duplicate_group": group, "index": Exact()}


def objects_roots(x, items, **given):
    """Needs of objects with these vectors."""
    box = [(0.0, 0.0, 9.0, 9.0)] * len(items)
    objects = objects_of(box, frame=[i.frame for i in items], class_id=[i.class_id for i in items])
    vectors = torch.as_tensor(np.asarray(x)).half()
    return {"object_embedding": vectors, "objects": objects, **frames_of(items), **given}


def answers_roots(x, items, **given):
    """Needs of answers about frames with these vectors."""
    column = {name: torch.tensor([getattr(i, name) for i in items]) for name in ("frame", "question", "class_id", "about")}
    origin = torch.tensor([i.origin for i in items], dtype=torch.int8)
    score = torch.ones(len(items), dtype=torch.float64)
    own = Answers(column["frame"], column["about"], origin, column["question"], column["class_id"], score)
    return {"embedding": torch.as_tensor(np.asarray(x)).half(), "answers": own, **frames_of(items), **given}


@st.composite
def some_items(draw, most=16):
    """Items sorted by frame, of a few classes; frames in videos and with copies; vectors with copies, zeros and NaN."""
    frame = sorted(draw(st.lists(st.integers(0, 7), min_size=1, max_size=most)))
    facts = {f: (draw(st.sampled_from([-1, -1, 0, 1])), draw(st.sampled_from([-1, -1, -1, 0]))) for f in set(frame)}
    class_id = [draw(st.sampled_from([0, 0, 0, 1, 1, 4])) for _ in frame]
    kinds = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).standard_normal((14, 6)).astype(np.float16)
    kinds[12], kinds[13] = 0, np.nan
    x = kinds[[draw(st.integers(0, 13)) for _ in frame]]
    return x, [Item(c, f, *facts[f]) for c, f in zip(class_id, frame, strict=True)]


@settings(max_examples=35, deadline=None)
@given(some_items(), st.booleans(), st.booleans(), st.sampled_from([9, 9, 3, 1]))
def test_agreement_of_objects_equals_the_twin(made, same_image, exact_duplicates, k):
    x, items = made
    roots = objects_roots(x, items)
    apart = ["sequence"] + ["frame"] * (not same_image) + ["copy"] * (not exact_duplicates)
    for name, part in PARTS.items():
        got = answers(name, roots, k=k, same_image=same_image, exact_duplicates=exact_duplicates)
        close(got, twin.agreement(stored(x), items, part, k, apart), 1e-9)


@settings(max_examples=35, deadline=None)
@given(some_items())
def test_the_others_of_objects_equal_the_twins(made):
    x, items = made
    roots, exact = objects_roots(x, items), stored(x)
    close(answers("label_error_ratio", roots), twin.label_error_ratio(exact, items), 2e-3)  # roots of rounded distances
    close(answers("appearance_duplicate", roots), twin.appearance_duplicate(exact, items), 1e-9)
    singular = [(v, "empty_region" if np.abs(x[i]).sum() == 0 or np.isnan(x[i]).any() else reason)
                for i, (v, reason) in enumerate(twin.singularity(exact))]  # fmt: skip
    close(answers("object_singularity", roots), [(v, "" if v is not None else reason) for v, reason in singular])


@pytest.mark.parametrize("seed", range(2))
def test_many_objects_equal_the_twins(seed):
    rng = np.random.default_rng(seed)
    class_id = rng.choice(5, 130, p=[0.6, 0.2, 0.1, 0.08, 0.02])
    x = np.eye(5, 12)[class_id] + 0.4 * rng.standard_normal((130, 12))
    x[rng.integers(0, 130, 3)] = np.nan
    x[70:90] = x[70]
    items = [Item(int(c), f // 3, f // 30 if f < 60 else -1) for f, c in enumerate(class_id)]
    roots, exact = objects_roots(x, items), stored(x)
    close(answers("label_error_ratio", roots), twin.label_error_ratio(exact, items), 1e-5)
    close(answers("object_class_outlier", roots), twin.class_outlier(exact, items), 1e-4)
    close(answers("appearance_duplicate", roots), twin.appearance_duplicate(exact, items), 1e-9)
    apart = ("sequence", "frame", "copy")
    for name, part in PARTS.items():
        close(answers(name, roots), twin.agreement(exact, items, part, 9, apart), 1e-9)


@settings(max_examples=35, deadline=None)
@given(some_items(12), st.data())
def test_answers_equal_the_twins(made, data):
    x, items = made
    vectors = np.full((8, 6), np.nan, np.float16)
    for row, item in zip(x, items, strict=True):
        vectors[item.frame] = row
    facts = [data.draw(st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from([-1, -1, -1, 5]))) for _ in items]
    items = [Item(i.class_id, i.frame, i.sequence, i.copy, *fact) for i, fact in zip(items, facts, strict=True)]
    own = stored(vectors)[[item.frame for item in items]]
    columns = {"sequence": torch.full((8,), -1), "exact_duplicate_group": torch.full((8,), torch.nan).double()}
    for item in items:
        columns["sequence"][item.frame] = item.sequence
        columns["exact_duplicate_group"][item.frame] = item.copy if item.copy >= 0 else math.nan
    roots = answers_roots(vectors, items, **columns)
    for name, part in OF_ANSWERS.items():
        for keep in (False, True):
            apart = ["sequence"] + ["copy"] * (not keep)
            wanted = twin.by_question(own, items, lambda v, part_of, p=part, a=apart: twin.agreement(v, part_of, p, 9, a))
            close(answers(name, roots, exact_duplicates=keep), wanted, 1e-9)
    ratio = twin.by_question(own, items, twin.label_error_ratio)
    close(answers("image_label_error_ratio", roots), ratio, 2e-3)


def two_kinds(count=24, wrong=(5,)):
    """Cats around one direction and dogs around another, one object per frame, some with the other's class."""
    rng = np.random.default_rng(0)
    kind = np.arange(count) % 2
    x = np.eye(2, 8)[kind] + 0.1 * rng.standard_normal((count, 8))
    classes = [int(1 - k if i in wrong else k) for i, k in enumerate(kind)]
    return x, [Item(c, f) for f, c in enumerate(classes)]


def test_a_wrong_label_is_found_by_all_of_them():
    x, items = two_kinds()
    roots = objects_roots(x, items)
    quality, ratio = values("object_annotation_quality", roots), values("label_error_ratio", roots)
    assert quality[5] == 0
    assert min(quality[:5] + quality[6:]) >= 8 / 9
    assert values("object_majority_class", roots) == [f % 2 for f in range(24)]
    assert values("object_annotation_verdict", roots) == [2 if f == 5 else 1 for f in range(24)]
    assert values("neighbor_entropy", roots)[5] == 0
    assert [i for i, v in enumerate(ratio) if v >= 1] == [5]
    outlier = values("object_class_outlier", roots)
    assert outlier[5] > 3.5
    assert outlier[5] == max(outlier)
    about = answers_roots(x, items)
    assert values("image_annotation_quality", about) == quality
    assert values("image_label_error_ratio", about) == ratio
    assert values("image_majority_class", about) == values("object_majority_class", roots)


def test_fewer_than_nine_candidates_are_all_asked():
    x = np.eye(4) + 0.2
    items = [Item(c, f) for f, c in enumerate((0, 0, 0, 1))]
    assert values("object_annotation_quality", objects_roots(x, items)) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0])
    assert values("object_annotation_verdict", objects_roots(x, items)) == [1, 1, 1, 2]
    assert answers("object_annotation_quality", objects_roots(x[:1], items[:1])) == [(None, "no_neighbors")]
    two = objects_roots(x[:2], items[:2])
    assert [values(name, two) for name in OF_OBJECTS] == [[1, 1], [0, 0], [1, 1], [0, 0]]


def test_who_is_kept_apart():
    """Five equal crops: alone, two of one frame, two of one exact copy, and one more in the same video as the first."""
    x = np.ones((6, 3))
    items = [Item(0, 0, 7), Item(1, 1), Item(1, 1), Item(2, 2, -1, 4), Item(2, 3, -1, 4), Item(0, 4, 7)]
    quality = lambda **options: values("object_annotation_quality", objects_roots(x, items), **options)  # noqa: E731
    assert quality() == [0] * 6
    assert quality(same_image=True) == [0, 0.2, 0.2, 0, 0, 0]
    assert quality(exact_duplicates=True) == [0, 0, 0, 0.2, 0.2, 0]
    assert quality(same_image=True, exact_duplicates=True) == [0, 0.2, 0.2, 0.2, 0.2, 0]
    video = [Item(0, 0, 3), Item(0, 1, 3)]
    assert answers("object_annotation_quality", objects_roots(x[:2], video)) == [(None, "no_neighbors")] * 2


def test_a_search_is_done_once():
    x, items = two_kinds()
    calls = []

    class Counting(Exact):
        def nearest(self, x, k, *, groups=None):
            calls.append((len(x), k))
            return super().nearest(x, k, groups=groups)

    roots = objects_roots(x, items, index=Counting())
    roots["comparable_objects"] = registry.find_need("comparable_objects", "test").function(
        *(roots[need] for need in registry.find_need("comparable_objects", "test").needs)
    )
    first = [answers(name, roots) for name in [*OF_OBJECTS, *MORE]]
    assert calls == [(24, 9), (24, 50), (11, 50), (13, 50)] or calls == [(24, 9), (24, 50), (13, 50), (11, 50)]
    assert [answers(name, roots) for name in [*OF_OBJECTS, *MORE]] == first
    assert len(calls) == 4
    answers("neighbor_entropy", roots, k=3)
    assert len(calls) == 5


def test_small_classes():
    x = np.random.default_rng(1).standard_normal((9, 5))
    items = [Item(c, f) for f, c in enumerate((0, 0, 0, 0, 0, 1, 1, 1, 2))]
    roots = objects_roots(x, items)
    found = answers("object_class_outlier", roots)
    assert [reason for _, reason in found] == [""] * 5 + ["too_few_samples"] * 4
    assert [reason for _, reason in answers("label_error_ratio", roots)] == [""] * 8 + ["no_neighbors"]
    one = objects_roots(x[:5], items[:5])
    assert answers("label_error_ratio", one) == [(None, "no_neighbors")] * 5
    alike = objects_roots(np.ones((6, 3)), [Item(0, f) for f in range(6)])
    assert values("object_class_outlier", alike) == [0] * 6
    lone = np.ones((7, 2))
    lone[6] = (1, 0)
    score = values("object_class_outlier", objects_roots(lone, [Item(0, f) for f in range(7)]))
    assert score[:6] == pytest.approx([-0.0] * 6)
    assert score[6] == pytest.approx(0.6745 * 7)  # the median deviation is 0, the mean one a seventh of its distance


def test_equal_crops_of_two_classes_have_a_ratio_of_one():
    items = [Item(f % 2, f) for f in range(8)]
    assert values("label_error_ratio", objects_roots(np.ones((8, 4)), items)) == [1] * 8


def test_the_same_thing_labeled_twice():
    x = np.eye(4)[[0, 1, 0, 0, 2, 0]]
    items = [Item(c, f) for c, f in ((0, 0), (0, 0), (3, 0), (0, 1), (0, 2), (0, 2))]
    assert values("appearance_duplicate", objects_roots(x, items)) == [1, 0, 1, None, 0, 0]
    rng = np.random.default_rng(2)
    many = rng.standard_normal((700, 900)).astype(np.float32)  # more than one block of rows, in one frame
    many[699] = many[3]
    found = values("appearance_duplicate", objects_roots(many, [Item(0, 0)] * 700))
    assert [found[3], found[699]] == pytest.approx([1, 1], abs=1e-12)
    assert max(found[4:699]) < 0.3 < 1 >= max(found)


def test_objects_without_a_vector_say_why():
    shapes = Shapes(
        torch.tensor([KINDS.index("polyline"), 0, 0, 0], dtype=torch.int8), torch.zeros(5, dtype=torch.int64),
        torch.zeros(1, dtype=torch.int64), torch.zeros(0, 2, dtype=torch.float64), (None,) * 4,
    )  # fmt: skip
    objects = objects_of([(0, 0, 9, 9), (4, 4, 4, 9), (0, 0, 9, 9), (0, 0, 9, 9)], frame=[0, 1, 2, 3], shapes=shapes)
    x = np.full((4, 3), np.nan)
    x[3] = 1
    roots = objects_roots(x, [Item(0, f) for f in range(4)], objects=objects)
    for name in [*OF_OBJECTS, "label_error_ratio", "object_singularity", "appearance_duplicate"]:
        reasons = [reason for _, reason in answers(name, roots)]
        assert reasons == ["unsupported_shape", "degenerate_geometry", "empty_region", "no_neighbors"], name


@pytest.mark.parametrize("name", [*OF_OBJECTS, *MORE])
def test_no_objects_at_all(name):
    assert answers(name, objects_roots(np.zeros((0, 4)), [])) == []


@pytest.mark.parametrize("name", [*OF_ANSWERS, "image_label_error_ratio"])
def test_checklists_and_answers_about_objects(name):
    x = np.random.default_rng(3).standard_normal((4, 5))
    radio = [Item(f % 2, f, question=1) for f in range(4)]
    checklist = [Item(0, 0), Item(1, 0), Item(0, 1), Item(1, 2)]
    other_origin = [Item(f % 2, f, origin=1) for f in range(4)]  # the same question, answered once per frame
    about_object = [Item(0, 0, question=1, about=5), Item(1, 1, question=1, about=6)]
    alone = [Item(0, 3, question=2)]
    items = [*radio, *checklist, *other_origin, *about_object, *alone]
    found = [reason for _, reason in answers(name, answers_roots(x, items))]
    assert found == [""] * 4 + ["unsupported_shape"] * 4 + [""] * 4 + ["no_neighbors"] * 3
    none = answers_roots(x, [], sequence=torch.full((4,), -1), exact_duplicate_group=torch.full((4,), torch.nan).double())
    none["answers"] = Answers(*(torch.zeros(0, dtype=torch.int64) for _ in range(5)), torch.zeros(0))
    assert answers(name, none) == []


class FakeWords:
    """A text tower: the vector of a text is the axis of its last word, longer for longer texts."""

    logit_scale = 20.0

    def __init__(self):
        self.seen = []

    def encode_text(self, texts):
        self.seen += texts
        axes = {"cat": 0, "dog": 1, "hot dog": 2}
        rows = torch.stack([torch.eye(4)[axes[text.split(":")[-1]]] * len(text) for text in texts])
        return rows + torch.tensor([0, 0, 0, 0.3]) * torch.tensor([["blurry" in text] for text in texts])


WORDS = {"classes": ("cat", "dog", "hot dog")}


def test_zero_shot_equals_the_softmax_of_cosines():
    rng = np.random.default_rng(4)
    x = np.abs(rng.standard_normal((12, 4)))
    x[7] = np.nan
    items = [Item(int(c), f) for f, c in enumerate(rng.integers(0, 3, 12))]
    words = FakeWords()
    roots = objects_roots(x, items, words=words, **WORDS)
    probability = twin.zero_shot(stored(x), np.eye(4)[:3], 20)
    found = answers("zero_shot_agreement", roots, prompt="a photo:{class}")
    assert words.seen == ["a photo:cat", "a photo:dog", "a photo:hot dog"]
    assert found[7] == (None, "empty_region")
    for i in set(range(12)) - {7}:
        assert found[i][0] == pytest.approx(probability[i][items[i].class_id], abs=1e-9)
    best = values("zero_shot_class", roots, prompt="a photo:{class}")
    assert best == [None if i == 7 else int(np.argmax(line)) for i, line in enumerate(probability)]


def test_zero_shot_averages_the_directions_of_prompts():
    x, items = np.array([[1, 0, 0, 0.2], [0, 1, 0, 0.0]]), [Item(0, 0), Item(1, 1)]
    prompts = ["photo:{class}", "a very blurry photo:{class}"]
    raw = [FakeWords().encode_text([p.format(**{"class": c}) for c in WORDS["classes"]]).double().numpy() for p in prompts]
    mean = sum(t / np.linalg.norm(t, axis=1, keepdims=True) for t in raw)
    wanted = twin.zero_shot(stored(x), mean, 20)
    roots = objects_roots(x, items, words=FakeWords(), **WORDS)
    found = values("zero_shot_agreement", roots, prompt=" | ".join(prompts))
    assert found == pytest.approx([wanted[0][0], wanted[1][1]], abs=1e-9)


def test_zero_shot_of_answers_chooses_among_those_given():
    x = np.abs(np.random.default_rng(5).standard_normal((4, 4)))
    first = [Item(c, f) for f, c in enumerate((0, 1, 0, 0))]
    predicted = [Item(2, 0, origin=1)]  # a third answer that only the predictions give
    sole = [Item(1, f, question=1) for f in range(4)]
    checklist = [Item(c, 0, question=2) for c in (0, 1)]
    about_object = [Item(2, 1, question=1, about=4)]  # is no option for frames
    roots = answers_roots(x, [*first, *predicted, *sole, *checklist, *about_object], words=FakeWords(), **WORDS)
    found = answers("image_zero_shot_agreement", roots, prompt="photo:{class}")
    wanted = twin.zero_shot(stored(x), np.eye(4)[:3], 20)
    assert [v for v, _ in found[:5]] == pytest.approx(
        [wanted[0][0], wanted[1][1], wanted[2][0], wanted[3][0], wanted[0][2]], abs=1e-9
    )
    assert found[5:9] == [(None, "too_few_samples")] * 4
    assert found[9:] == [(None, "unsupported_shape")] * 2 + [(None, "no_neighbors")]


def test_zero_shot_needs_two_classes_and_a_place_for_them():
    roots = objects_roots(np.eye(2, 4), [Item(0, 0), Item(0, 1)], words=FakeWords(), classes=("cat",))
    assert answers("zero_shot_agreement", roots) == [(None, "too_few_samples")] * 2
    assert answers("zero_shot_class", roots) == [(None, "too_few_samples")] * 2
    with pytest.raises(ValueError, match="names no class"):
        answers("zero_shot_agreement", {**roots, **WORDS}, prompt="a photo")
