"""The shared pixel features: what they hand on, and that they compute no more than is wanted."""

import numpy as np
import pytest
import torch
from PIL import Image

from gpu_quality.features import pixels as feature
from gpu_quality.features.thumbnails import thumbnail_range, thumbnails
from gpu_quality.kernels.pixels import GROUPS
from tests.metrics.mini import Region, pixels_of, regions_of
from tests.metrics.test_pixel_metrics import BLOB, IMAGES, bounds, photo


def test_gray_is_pillows_luma() -> None:
    image = photo(20, 31, 0)
    rgb = torch.from_numpy(image).permute(2, 0, 1)[None]
    want = np.asarray(Image.fromarray(image).convert("L"), np.float32) / 255
    assert torch.equal(feature.gray(rgb)[0], torch.from_numpy(want))


def test_only_wanted_groups_are_returned() -> None:
    pixels, regions = pixels_of(IMAGES), regions_of(IMAGES)
    for wanted in ({"moments"}, {"tones", "grain"}, set(GROUPS)):
        assert set(feature.pixel_statistics(pixels, regions, wanted=frozenset(wanted))) >= wanted


def test_rect_tones_cover_the_rectangle_of_masked_regions() -> None:
    objects = [Region(0, (2, 2, 9, 9)), Region(0, bounds(BLOB), BLOB), Region(4, (1, 1, 40, 9))]
    pixels = pixels_of(IMAGES)
    both = frozenset({"rect_tones", "channel_tones"})
    got = feature.pixel_statistics(pixels, regions_of(IMAGES, objects), wanted=both)
    plain = [Region(o.frame, o.rect) for o in objects]
    want = feature.pixel_statistics(pixels, regions_of(IMAGES, plain), wanted=frozenset({"channel_tones"}))["channel_tones"]
    assert torch.equal(got["rect_tones"].histogram, want.histogram)
    assert torch.equal(got["rect_tones"].count, want.count)
    masked = len(IMAGES) + 1
    assert got["channel_tones"].count[masked] == int(BLOB.sum())
    assert got["rect_tones"].count[masked] > int(BLOB.sum())


def test_rect_tones_cost_nothing_where_no_region_has_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = feature.kernel.pixel_statistics
    monkeypatch.setattr(feature.kernel, "pixel_statistics", lambda *a: calls.append(a) or real(*a))
    feature.pixel_statistics(pixels_of(IMAGES), regions_of(IMAGES), wanted=frozenset({"rect_tones"}))
    assert len(calls) == 1


def test_thumbnails_go_by_the_names_of_needs() -> None:
    pixels, regions = pixels_of(IMAGES), regions_of(IMAGES)
    names = ("square_thumbnail", "wide_thumbnail", "tall_thumbnail", "soft_blur")
    got = thumbnails(pixels, regions, wanted=frozenset(names))
    shapes = {name: tuple(got[name].shape[1:]) for name in names[:3]}
    assert shapes == {"square_thumbnail": (32, 32), "wide_thumbnail": (8, 9), "tall_thumbnail": (9, 8)}
    assert set(thumbnails(pixels, regions, wanted=frozenset({"wide_thumbnail"}))) == {"wide_thumbnail"}


def test_thumbnail_range() -> None:
    squares = torch.zeros(3, 32, 32, dtype=torch.uint8)
    squares[1, 4, 5] = 200
    squares[2] = 255
    squares[2, 0, 0] = 248
    assert thumbnail_range(squares).tolist() == [0, 200, 7]
