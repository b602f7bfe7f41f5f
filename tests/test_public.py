"""The public face: a fixed list of names, each documented, each there."""

import gpu_quality as gq

NAMES = {
    "Dataset", "GpuQualityError", "RunConfig", "Store", "__version__", "balance", "check", "compare", "convert", "drift",
    "duplicates", "evaluate", "explain", "feature", "find_weak_slices", "importance", "metric",
    "open_dataset", "open_store", "outliers",
    "performance", "reader", "report", "run", "save_slice", "saved_slices", "scatter", "score", "search", "select", "writer",
}  # fmt: skip


def test_public_names():
    assert set(gq.__all__) == NAMES
    assert set(dir(gq)) == NAMES
    for name in NAMES - {"__version__"}:
        assert getattr(gq, name).__doc__, name


def test_unknown_names_are_attribute_errors():
    assert not hasattr(gq, "nothing_of_the_kind")


def test_report_stays_a_function_after_its_package_is_imported():
    gq.report  # noqa: B018
    import gpu_quality.reports  # noqa: F401

    assert callable(gq.report)


def test_what_a_training_loop_needs_is_at_hand():
    for name in gq.evaluation.__all__:
        assert getattr(gq.evaluation, name).__doc__, name
    assert not hasattr(gq.evaluation, "nothing_of_the_kind")
