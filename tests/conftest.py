"""Fixtures shared by all tests: where the real data lies, and a few small photos made in code."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images, labels and hostile files; tests that need it skip where it is absent."""
    named = os.environ.get("GPU_QUALITY_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} does not exist (set GPU_QUALITY_TEST_DATA)")
    return folder
