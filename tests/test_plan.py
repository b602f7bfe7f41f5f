"""The planner: order, sharing, errors that name what is close, fingerprints that follow meaning."""

import pytest

from gpu_quality import plan, registry
from gpu_quality.errors import PlanError, UnknownNameError, UsageError
from gpu_quality.plan import Plan, Wanted

GIVEN = {"decode": {"exif": True}, "seed": 0, "classes": []}


def build(*names, absent=()):
    return Plan.build(plan.parse_wanted(names), given=GIVEN, absent=absent)


def test_a_feature_is_computed_once_and_only_the_groups_needed():
    built = build("brightness", "contrast", "entropy")
    assert [step.name for step in built.stream].count("pixel_statistics") == 1
    statistics = next(step for step in built.stream if step.name == "pixel_statistics")
    assert statistics.wanted == {"moments", "tones"}
    assert built.keep == {"brightness", "contrast", "entropy"}


def test_size_alone_opens_no_image():
    built = build("width", "aspect_ratio")
    assert built.roots == {"sizes"}
    assert not built.reads_pixels
    assert build("brightness").reads_pixels


def test_values_are_forgotten_after_their_last_user():
    built = build("brightness", "entropy")
    forgotten = [name for step in built.stream for name in step.forget]
    assert "moments" in forgotten
    assert "tones" in forgotten
    assert "brightness" not in forgotten


def test_flags_are_table_steps_and_keep_their_scores():
    built = build("is_dark_issue")
    assert [step.name for step in built.table] == ["is_dark_issue"]
    assert built.keep == {"dark_score"}
    assert not built.columns["dark_score"].hidden
    assert build("phash_distance").columns["thumbnail_range"].hidden


def test_sizes_in_the_table_pass_come_from_stored_columns():
    assert {"width", "height"} <= build("odd_size_score").keep


def test_one_metric_twice_under_two_names():
    wanted = plan.parse_wanted(["underexposed_fraction", {"name": "underexposed_fraction", "as": "very_dark", "at_most": 2}])
    built = Plan.build(wanted, given=GIVEN)
    assert set(built.columns) == {"underexposed_fraction", "very_dark"}
    assert built.columns["very_dark"].fingerprint != built.columns["underexposed_fraction"].fingerprint


def test_object_prefix_means_the_region_metric():
    assert plan.parse_wanted(["object_brightness"]) == {"brightness": Wanted("brightness")}


@pytest.mark.parametrize(
    ("entries", "error", "said"),
    [
        (["brightnes"], UnknownNameError, "'brightness'"),
        ([{"name": "underexposed_fraction", "at_mst": 3}], UnknownNameError, "'at_most'"),
        ([{"name": "brightness", "as": "x"}, {"name": "contrast", "as": "x"}], PlanError, "as:"),
    ],
)
def test_wrong_names_are_told_with_what_is_close(entries, error, said):
    with pytest.raises(error) as caught:
        Plan.build(plan.parse_wanted(entries), given=GIVEN)
    assert said in f"{caught.value} {caught.value.hint}"


def test_objects_are_asked_for_by_name():
    with pytest.raises(PlanError, match="--labels"):
        build("object_count", absent={"objects"})


def test_a_circle_is_printed():
    @registry.metric(unit="1", name="hen")
    def hen(egg):
        """A hen."""

    @registry.metric(unit="1", name="egg")
    def egg(hen):
        """An egg."""

    with pytest.raises(PlanError, match=r"hen → egg|egg → hen"):
        build("hen")


def test_unknown_need_names_the_metric():
    @registry.metric(unit="1")
    def odd(momemts):
        """Misspelt."""

    with pytest.raises(PlanError, match="'odd' needs 'momemts'") as caught:
        build("odd")
    assert "'moments'" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def m(gray, **more):\n    'd'", "more"),
        ("def m(gray, *, above):\n    'd'", "default"),
        ("def m(gray): pass", "docstring"),
        ("def pixels(gray):\n    'd'", "root"),
        ("def brightness(gray):\n    'd'", "already declared"),
    ],
)
def test_declarations_are_checked(source, said):
    space: dict = {"__name__": "plugin"}
    exec(source, space)
    function = next(value for key, value in space.items() if callable(value) and not key.startswith("__"))
    with pytest.raises(UsageError, match=said):
        registry.metric(unit="1")(function)


def test_fingerprints_follow_meaning():
    base = build("brightness").columns["brightness"].fingerprint
    assert base == build("contrast", "brightness").columns["brightness"].fingerprint
    other = Plan.build(plan.parse_wanted(["brightness"]), given={**GIVEN, "decode": {"exif": False}})
    assert other.columns["brightness"].fingerprint != base
    seeded = Plan.build(plan.parse_wanted(["random"]), given={**GIVEN, "seed": 1}).columns["random"].fingerprint
    assert seeded != build("random").columns["random"].fingerprint


def test_default_set_follows_the_input():
    frames = plan.default_metrics(absent={"objects", *plan.OFTEN_EMPTY})
    both = plan.default_metrics(absent=plan.OFTEN_EMPTY)
    blind = plan.default_metrics(absent=plan.PIXEL_ROOTS)
    assert {"brightness", "sharpness", "is_near_duplicates_issue", "odd_size_score"} <= set(frames)
    assert "object_count" in both
    assert "object_count" not in frames
    assert "object_area" in blind
    assert "brightness" not in blind
    assert "frozen" in plan.default_metrics()
    assert "frozen" not in both


def test_explain_names_every_stage():
    text = build("brightness", "is_dark_issue").explain()
    assert [line.split()[0] for line in text.splitlines()] == ["roots", "resources", "stream", "keep", "table"]
    assert "pixel_statistics(moments, perceived)" in text
