"""Thumbnails: integer resampling against Pillow, hash bits against imagehash, blur sums against Pillow's filter."""

import imagehash
import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from gpu_quality.kernels.threads import set_threads
from gpu_quality.kernels.thumbnails import WANTED, cpu, reference, thumbnails
from tests.kernels.batches import SIZES, frame, pixels_of, random_regions, regions_of
from tests.reference import pixels as twin

ODD = [*SIZES, (32, 32), (64, 64), (65, 66), (200, 40), (40, 200), (33, 500), (120, 161), (3, 300), (8, 9), (9, 8), (32, 77)]
SHAPES = {"square": (32, 32), "wide": (9, 8), "tall": (8, 9)}
BLUR = ("count", "response", "response_square", "histogram_square")


@pytest.fixture(autouse=True)
def _threads():
    yield
    set_threads(None)


def two_passes(image: Image.Image, size: tuple[int, int], kind: Image.Resampling) -> Image.Image:
    """Columns first, then rows: Pillow 13 turns the order for tall images, the definition never does."""
    return image.resize((size[0], image.height), kind).resize(size, kind)


@pytest.mark.parametrize("kernel", [cpu, reference])
@pytest.mark.parametrize("seed", [0, 2, 3])
def test_thumbnails_equal_pillow(kernel, seed):
    frames = [frame(h, w, seed + 4 * i) for i, (h, w) in enumerate(ODD)]
    pixels = pixels_of(frames, gap=3)
    got = kernel.thumbnails(pixels, regions_of(pixels, []), list(SHAPES))
    for i, image in enumerate(frames):
        y = Image.fromarray(image).convert("L")
        for name, size in SHAPES.items():
            want = np.asarray(two_passes(y, size, Image.Resampling.LANCZOS))
            assert np.array_equal(got[name][i].numpy(), want), (name, image.shape)


@pytest.mark.parametrize("kernel", [cpu, reference])
def test_soft_blur_equals_pillow(kernel):
    frames = [frame(h, w, i) for i, (h, w) in enumerate(ODD)]
    pixels = pixels_of(frames)
    regions = random_regions(pixels, 3, 0)
    got = kernel.thumbnails(pixels, regions, ["soft_blur"])["soft_blur"]
    for i, (x0, y0, x1, y1) in enumerate(regions.rect.tolist()):
        values = [int(getattr(got, key)[i]) for key in BLUR]
        if x1 <= x0 or y1 <= y0:
            assert values == [0, 0, 0, 0]
            continue
        image = Image.fromarray(frames[int(regions.frame[i])][y0:y1, x0:x1].copy())
        ratio = max(image.size) / 64
        if ratio > 1:
            size = (max(int(image.width // ratio), 1), max(int(image.height // ratio), 1))
            image = two_passes(image, size, Image.Resampling.BICUBIC)
        y = image.convert("L")
        e = np.asarray(y.filter(ImageFilter.FIND_EDGES)).astype(np.int64)
        counts = np.array(y.histogram())
        assert values == [e.size, e.sum(), (e**2).sum(), (counts**2).sum()], (i, image.size)


def test_threads_and_batch_mates_change_nothing():
    frames = [frame(700, 900, 0), *(frame(60, 90, s) for s in range(6)), frame(90, 60, 3)]
    pixels = pixels_of(frames)
    regions = random_regions(pixels, 2, 0)
    results = []
    for n in (1, 2, 3):
        set_threads(n)
        results.append(thumbnails(pixels, regions, WANTED))
    for other in results[1:]:
        for name in SHAPES:
            assert torch.equal(other[name], results[0][name])
        for key in BLUR:
            assert torch.equal(getattr(other["soft_blur"], key), getattr(results[0]["soft_blur"], key))
    alone = pixels_of([frames[0]])
    assert torch.equal(thumbnails(alone, regions_of(alone, []), ["square"])["square"][0], results[0]["square"][0])


def test_hash_bits_equal_imagehash():
    rng = np.random.default_rng(0)
    low = [Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)) for _ in range(8)]
    photos = [image.resize((150 + 7 * i, 110 + 3 * i), Image.Resampling.BICUBIC) for i, image in enumerate(low)]
    pixels = pixels_of([np.asarray(photo) for photo in photos])
    got = thumbnails(pixels, regions_of(pixels, []), ["square", "wide"])
    for i, photo in enumerate(photos):
        assert twin.phash_bits(got["square"][i].numpy()) == imagehash.phash(photo).hash.flatten().tolist()
        assert twin.dhash_bits(got["wide"][i].numpy()) == imagehash.dhash(photo).hash.flatten().tolist()


def test_unknown_thumbnail_is_refused_by_name():
    pixels = pixels_of([frame(3, 3, 0)])
    with pytest.raises(ValueError, match="squar"):
        thumbnails(pixels, regions_of(pixels, []), ["squar"])
