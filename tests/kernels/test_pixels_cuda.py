"""The Triton kernel: bit for bit the reference, in Triton's interpreter anywhere and on a device where there is one."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gpu_quality.kernels.pixels import GROUPS, reference
from gpu_quality.types import Pixels, Regions, Spans
from tests.kernels.batches import assert_same, frame, pixels_of, random_regions

SIZES = [(1, 1), (1, 9), (9, 1), (2, 2), (5, 300), (33, 17)]
"""A row longer than one step of a program, and more rows than one band."""


def cases() -> list[tuple[Pixels, Regions, tuple[str, ...]]]:
    """Two ragged batches: all groups, and a few that must not need the others."""
    out = []
    for seed, groups in ((0, GROUPS), (2, ("grain", "hues", "content"))):
        pixels = pixels_of([frame(h, w, seed + i) for i, (h, w) in enumerate(SIZES)], gap=3)
        out.append((pixels, random_regions(pixels, 1, seed), groups))
    return out


def check_in_interpreter() -> None:
    """Run by the subprocess below, which Triton's interpreter needs from its first import on."""
    from gpu_quality.kernels.pixels import cuda

    for pixels, regions, groups in cases():
        assert_same(cuda.pixel_statistics(pixels, regions, groups), reference.pixel_statistics(pixels, regions, groups))


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_interpreted_kernel_equals_reference():
    code = "from tests.kernels.test_pixels_cuda import check_in_interpreter; check_in_interpreter(); print('equal')"
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]


def to_device(pixels: Pixels, regions: Regions) -> tuple[Pixels, Regions]:
    """Both on the first CUDA device."""
    move = lambda struct, kind: kind(*(getattr(struct, name).cuda() for name in kind.__slots__))  # noqa: E731
    spans = None if regions.spans is None else move(regions.spans, Spans)
    return move(pixels, Pixels), Regions(regions.frame.cuda(), regions.rect.cuda(), spans, regions.null.cuda())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_kernel_on_a_device_equals_reference():
    from gpu_quality.kernels.pixels import pixel_statistics

    large = pixels_of([frame(700, 1100, 0), frame(37, 3000, 2)])
    for pixels, regions, groups in [*cases(), (large, random_regions(large, 6, 0), GROUPS)]:
        got = pixel_statistics(*to_device(pixels, regions), groups)
        assert_same(got, reference.pixel_statistics(pixels, regions, groups))
