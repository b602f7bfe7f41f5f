"""Fixtures shared by all tests: where the real data lies, and a few small photos made in code."""

import os
from pathlib import Path

import pytest

from gpu_quality import registry


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images, labels and hostile files; tests that need it skip where it is absent."""
    named = os.environ.get("GPU_QUALITY_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} does not exist (set GPU_QUALITY_TEST_DATA)")
    return folder


@pytest.fixture(autouse=True)
def _plugins_of_one_test_are_unknown_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.load_built_in()
    monkeypatch.setattr(registry, "_nodes", dict(registry._nodes))
    monkeypatch.setattr(registry, "_outputs", dict(registry._outputs))
