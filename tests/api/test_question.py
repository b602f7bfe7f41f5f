"""How many frames a shard has."""

import pytest

from gpu_quality.api.question import shard_size


@pytest.mark.parametrize(
    ("frames", "configured", "pixels", "size"),
    [
        (0, "auto", True, 256),
        (33_000, "auto", True, 256),
        (1_000_000, "auto", True, 2048),
        (100_000_000, "auto", True, 8192),
        (10, "auto", False, 8192),
        (1_000_000, "auto", False, 8192),
        (1_000_000, 7, False, 7),
        (1_000_000, "7", True, 7),
    ],
)
def test_shards_are_large_where_no_image_is_opened(frames: int, configured: str | int, pixels: bool, size: int) -> None:
    assert shard_size(frames, configured, pixels=pixels) == size
