"""Pixel statistics: fast and torch kernels against plain loops, OpenCV and each other."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from gpu_quality.kernels.pixels import GROUPS, cpu, pixel_statistics, reference
from gpu_quality.kernels.threads import set_threads
from gpu_quality.types import Pixels
from tests.kernels.batches import SIZES, assert_same, frame, members, pixels_of, random_regions, regions_of
from tests.reference import pixels as twin

FRAME_GROUPS = ("phases", "cells", "content")


@pytest.fixture(autouse=True)
def _threads():
    yield
    set_threads(None)


def small_batch(seed: int) -> Pixels:
    return pixels_of([frame(h, w, seed + i) for i, (h, w) in enumerate(SIZES)], gap=5)


@pytest.mark.parametrize("kernel", [cpu, reference])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_equals_plain_loops(kernel, seed):
    pixels = small_batch(seed)
    regions = random_regions(pixels, 3, seed)
    got = kernel.pixel_statistics(pixels, regions, GROUPS)
    for i in range(len(regions.frame)):
        image = pixels.frame(int(regions.frame[i])).numpy()
        want = twin.region_statistics(image, members(regions, i))
        want["perceived"] = twin.perceived(image, tuple(regions.rect[i].tolist()))
        if i < len(pixels.height):
            want |= twin.frame_statistics(image)
        for group, sums in want.items():
            for key, value in sums.items():
                assert getattr(got[group], key)[i].tolist() == value, (i, image.shape, group, key)


@pytest.mark.parametrize("seed", range(4))
def test_cpu_equals_reference_on_wide_frames_and_many_regions(seed):
    """Rows beyond one tile of 1,024 pixels, spans across its seam, sides that leave a tail of every vector width."""
    sizes = [(5, 1024 + 7), (3, 2050), (70, 65), (40, 129), (300, 9)]
    pixels = pixels_of([frame(h, w, 4 * seed + i * (seed % 2)) for i, (h, w) in enumerate(sizes)])
    regions = random_regions(pixels, 6, seed)
    assert_same(cpu.pixel_statistics(pixels, regions, GROUPS), reference.pixel_statistics(pixels, regions, GROUPS))


def test_bands_of_a_large_frame_add_up_and_threads_change_nothing():
    pixels = pixels_of([frame(900, 1300, 0), frame(40, 50, 3)])
    runs = {2: [(y, 10, 1200 - y) for y in range(0, 890, 2)]}
    regions = regions_of(pixels, [(0, (3, 5, 1290, 880)), (1, (0, 0, 50, 40))], runs)
    results = []
    for n in (1, 2, 3):
        set_threads(n)
        results.append(cpu.pixel_statistics(pixels, regions, GROUPS))
    assert_same(results[1], results[0])
    assert_same(results[2], results[0])
    assert_same(results[0], reference.pixel_statistics(pixels, regions, GROUPS))


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_alone_equals_the_group_among_all(group):
    pixels = small_batch(0)
    regions = random_regions(pixels, 2, 1)
    everything = cpu.pixel_statistics(pixels, regions, GROUPS)
    assert_same(cpu.pixel_statistics(pixels, regions, [group]), {group: everything[group]})
    assert_same(reference.pixel_statistics(pixels, regions, [group]), {group: everything[group]})


def test_regions_that_tile_a_frame_add_up_and_a_full_box_equals_it():
    pixels = pixels_of([frame(37, 61, 0)])
    cuts_x, cuts_y = [0, 1, 20, 61], [0, 13, 36, 37]
    tiles = [(0, (a, c, b, d)) for a, b in pairwise(cuts_x) for c, d in pairwise(cuts_y)]
    got = pixel_statistics(pixels, regions_of(pixels, [*tiles, (0, (0, 0, 61, 37))]), GROUPS)
    for group in set(GROUPS) - {*FRAME_GROUPS, "perceived"}:
        for key in type(got[group]).__slots__:
            values = getattr(got[group], key)
            assert torch.equal(values[1:-1].sum(0), values[0]), (group, key)
            assert torch.equal(values[-1], values[0]), (group, key)


def test_batch_mates_and_order_change_nothing():
    frames = [frame(h, w, i) for i, (h, w) in enumerate(SIZES)]
    forward = pixels_of(frames)
    backward = pixels_of(frames[::-1], gap=11)
    a = cpu.pixel_statistics(forward, regions_of(forward, []), GROUPS)
    b = cpu.pixel_statistics(backward, regions_of(backward, []), GROUPS)
    for group in GROUPS:
        for key in type(a[group]).__slots__:
            assert torch.equal(getattr(a[group], key), getattr(b[group], key).flip(0)), (group, key)


def test_empty_regions_hold_zeros_and_input_stays_untouched():
    pixels = pixels_of([frame(9, 9, 0)])
    before = pixels.data.clone()
    regions = regions_of(pixels, [(0, (4, 4, 4, 9)), (0, (5, 3, 2, 6)), (0, (0, 0, 9, 9))], {3: []})
    got = cpu.pixel_statistics(pixels, regions, GROUPS)
    for group in set(GROUPS) - set(FRAME_GROUPS):
        for key in type(got[group]).__slots__:
            last = 4 if group != "perceived" else 3  # its rectangle counts, whatever the spans
            assert not getattr(got[group], key)[1:last].any(), (group, key)
    assert torch.equal(pixels.data, before)


def test_unknown_group_is_refused_by_name():
    pixels = pixels_of([frame(3, 3, 0)])
    with pytest.raises(ValueError, match="toness"):
        pixel_statistics(pixels, regions_of(pixels, []), ["toness"])


def test_equals_opencv():
    image = frame(61, 83, 0)
    pixels = pixels_of([image])
    got = cpu.pixel_statistics(pixels, regions_of(pixels, []), GROUPS)
    y = np.asarray([[twin.luma(*color) for color in row] for row in image.astype(int).tolist()], np.uint8)
    laplacian = cv2.Laplacian(y, cv2.CV_16S, ksize=1, borderType=cv2.BORDER_REFLECT_101).astype(np.int64)
    gx = cv2.Sobel(y, cv2.CV_16S, 1, 0, borderType=cv2.BORDER_REFLECT_101).astype(np.int64)
    gy = cv2.Sobel(y, cv2.CV_16S, 0, 1, borderType=cv2.BORDER_REFLECT_101).astype(np.int64)
    assert got["edges"].laplacian_square.item() == (laplacian**2).sum()
    assert got["gradients"].square.item() == (gx**2 + gy**2).sum()
    assert got["gradients"].strong.item() == (gx**2 + gy**2 >= 10000).sum()
    assert got["channel_tones"].histogram[0, 1].tolist() == np.bincount(image[..., 1].ravel(), minlength=256).tolist()


def test_hue_and_saturation_equal_opencv_on_a_grid_of_colors():
    levels = np.array([*range(0, 256, 5), 1, 2, 39, 40, 41, 254], np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(1, -1, 3)
    hue, saturation, value = (plane.astype(int) for plane in cv2.cvtColor(colors, cv2.COLOR_RGB2HSV)[0].T)
    vivid = (saturation >= 50) & (value >= 40)
    shares = [vivid & ((hue <= 10) | (hue >= 170)), vivid & (hue >= 35) & (hue <= 75), vivid & (hue >= 90) & (hue <= 130)]
    strips = [colors[:, i : i + 500] for i in range(0, colors.shape[1], 500)]  # short frames: a wrong count has a place
    pixels = pixels_of(strips)
    for kernel in (cpu, reference):
        got = kernel.pixel_statistics(pixels, regions_of(pixels, []), ["hues"])["hues"]
        for i in range(len(strips)):
            part = slice(500 * i, 500 * (i + 1))
            assert got.shares[i].tolist() == [int(share[part].sum()) for share in shares]
            assert got.saturation[i].item() == saturation[part].sum()


def test_perceived_equals_numpy_percentiles_on_far_apart_values():
    """Two tones: neighbors in rank lie in different bins of the coarse histogram."""
    for dark in (1, 5, 6, 94, 95, 99, 100):
        image = np.full((10, 10, 3), 255, np.uint8)
        image.reshape(-1, 3)[:dark] = 3
        pixels = pixels_of([image])
        got = cpu.pixel_statistics(pixels, regions_of(pixels, []), ["perceived"])["perceived"]
        want = twin.perceived(image, (0, 0, 10, 10))
        assert (got.low[0].tolist(), got.high[0].tolist()) == (want["low"], want["high"]), dark


def test_offsets_beyond_two_gigabytes():
    """The buffer is never touched but at its end, so the memory stays virtual."""
    image, start = frame(20, 30, 0), (1 << 31) + 12345
    data = torch.from_numpy(np.zeros(start + image.size, np.uint8))
    data[start:] = torch.from_numpy(image.ravel())
    far = Pixels(data, torch.tensor([start]), torch.tensor([20], dtype=torch.int32), torch.tensor([30], dtype=torch.int32))
    near = pixels_of([image])
    assert_same(
        cpu.pixel_statistics(far, regions_of(far, []), GROUPS), cpu.pixel_statistics(near, regions_of(near, []), GROUPS)
    )


@pytest.mark.parametrize(("height", "width"), [(256, 200), (900, 700)])
@pytest.mark.parametrize("sampled", [False, True])
def test_perceived_is_exact_where_the_sampled_rows_mislead(height, width, sampled):
    """The fast kernel samples rows to know where to look: here those rows, or all others, are far darker than the rest."""
    rng = np.random.default_rng(height)
    image = rng.integers(150, 250, (height, width, 3), dtype=np.uint8)
    step = height // 32
    rows = np.arange(height) % step == step // 2
    image[rows == sampled] = rng.integers(0, 60, (int((rows == sampled).sum()), width, 3), dtype=np.uint8)
    pixels = pixels_of([image])
    regions = regions_of(pixels, [(0, (3, 0, width - 5, height))])
    want = reference.pixel_statistics(pixels, regions, ["perceived"])
    for n in (1, 2, 40):  # 40: the sample is larger than a band
        set_threads(n)
        for _ in range(2):  # what a thread keeps between calls is zero again
            assert_same(cpu.pixel_statistics(pixels, regions, ["perceived"]), want)
