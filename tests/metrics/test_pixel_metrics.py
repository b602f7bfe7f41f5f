"""Pixel metrics against their slow twins, the fixed points of the reference, and the invariances it promises."""

import math

import numpy as np
import pytest

from tests.metrics.mini import Region, facts_of, measure
from tests.reference import metrics as twin

FRAME_ONLY = ("blockiness", "uneven_illumination")
PLAIN = [name for name in twin.TWINS if not name.endswith("_score")]


def photo(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth color with noise and clipped patches: has every kind of pixel the metrics distinguish."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / rng.uniform(3, 20) + rng.uniform(0, 6)) * np.cos(y / rng.uniform(3, 20)) for _ in range(3)]
    image = np.stack(waves, -1) * 140 + rng.uniform(60, 190, 3) + rng.normal(0, rng.uniform(0, 25), (height, width, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


IMAGES = [photo(23, 37, 0), photo(40, 9, 1), photo(1, 12, 2), photo(11, 1, 3), photo(64, 64, 4), photo(8, 8, 5), photo(2, 2, 6)]


def blob(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return ((x - 15) ** 2 + (y - 11) ** 2 < 80) & ((x + y) % 5 > 0)


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


BLOB = blob(23, 37)
OBJECTS = [
    Region(0, (0, 0, 37, 23)),
    Region(0, (5, 3, 20, 19)),
    Region(0, bounds(BLOB), BLOB),
    Region(4, (63, 63, 64, 64)),
    Region(4, (0, 10, 64, 12)),
]


def close(got: float | None, want: float | None) -> bool:
    if got is None or want is None:
        return got is want
    return math.isclose(got, want, rel_tol=1e-12, abs_tol=1e-12)


def test_every_region_metric_equals_its_twin() -> None:
    channels = [3, 1, 3, 1, 3, 4, 3]
    got = measure(IMAGES, list(twin.TWINS), OBJECTS, facts=facts_of(len(IMAGES), channels=channels))
    whole = [Region(row, (0, 0, image.shape[1], image.shape[0])) for row, image in enumerate(IMAGES)]
    for row, region in enumerate(whole + OBJECTS):
        image = IMAGES[region.frame]
        x0, y0, x1, y1 = region.rect
        mask = region.mask
        if mask is None:
            mask = np.zeros(image.shape[:2], bool)
            mask[y0:y1, x0:x1] = True
        for name, function in twin.TWINS.items():
            want = function(image, mask, region.rect, channels[region.frame])
            assert close(got[name][row], want), (name, row, got[name][row], want)


@pytest.mark.parametrize(("reversed_x", "reversed_y"), [(False, False), (True, False), (False, True)])
def test_frame_metrics_equal_their_twins(reversed_x: bool, reversed_y: bool) -> None:
    count = len(IMAGES)
    facts = facts_of(count, reversed_x=[reversed_x] * count, reversed_y=[reversed_y] * count)
    got = measure(IMAGES, FRAME_ONLY, facts=facts)
    for row, image in enumerate(IMAGES):
        want = twin.blockiness(image, reversed_x=reversed_x, reversed_y=reversed_y)
        assert close(got["blockiness"][row], want), (row, got["blockiness"][row], want)
        assert close(got["uneven_illumination"][row], twin.uneven_illumination(image))


def flat(height: int, width: int, color: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(color, np.uint8), (height, width, 3)).copy()


CHECKERS = np.repeat((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, -1)
RAMP = np.repeat(np.broadcast_to(np.arange(256, dtype=np.uint8), (64, 256))[..., None], 3, -1)
FIXED_IMAGES = [flat(1, 1, (255, 255, 255)), flat(64, 64, (128, 128, 128)), flat(64, 64, (255, 0, 0)), CHECKERS, RAMP]
FIXED_POINTS = {
    "brightness": (1, 0.501961, 0.333333, 0.5, 0.5),
    "contrast": (0, 0, 0.471405, 0.5, 0.289805),
    "sharpness": (0, 0, 0, 1040400, 0.03125),
    "blur": (1, 1, 1, 9.61076e-5, 0.999688),
    "red": (0, 0, 1, 0, 0),
    "saturation": (0, 0, 1, 0, 0),
    "colorfulness": (0, 0, 85.5296, 0, 0),
    "entropy": (0, 0, 0, 1, 8),
    "entropy_rgb": (1.58496, 1.58496, 1.58496, 2.58496, 9.58496),
    "luma_mean": (255, 128, 76, 127.5, 127.5),
    "luma_std": (0, 0, 0, 127.5, 73.9003),
    "tenengrad": (0, 0, 0, 0, 63.5),
    "noise": (None, 0, 0, 426.127, 0),
    "blockiness": (None, 0, 0, 0, 0),
    "uneven_illumination": (None, 0, 0, 0, 0.878431),
    "dark_score": (1, 0.501961, 0.490918, 1, 0.992157),
    "light_score": (0, 0.498039, 0.509082, 1, 0.952941),
    "low_information_score": (0.158496, 0.158496, 0.158496, 0.258496, 0.958496),
    "blurry_score": (0, 1, 1, 1, 0.433138),
}


@pytest.mark.parametrize("name", FIXED_POINTS)
def test_fixed_points(name: str) -> None:
    got = measure(FIXED_IMAGES, [name])[name]
    for value, want in zip(got, FIXED_POINTS[name], strict=True):
        # the table has six digits; exact zeros and ones are exact
        assert (value is None and want is None) or value == pytest.approx(want, rel=6e-6, abs=1e-15), got


def test_a_box_equal_to_the_frame_measures_the_frame() -> None:
    image = photo(31, 26, 7)
    for name, (frame, box) in measure([image], [*twin.TWINS, "blurry_score"], [Region(0, (0, 0, 26, 31))]).items():
        assert frame == box, name


@pytest.mark.parametrize("turn", [np.fliplr, np.flipud, np.rot90, lambda i: np.rot90(i, 2), lambda i: i.transpose(1, 0, 2)])
def test_flips_and_turns_change_nothing(turn) -> None:
    image = photo(48, 40, 8)  # multiples of 8, for blockiness and uneven_illumination
    reversed_grid = facts_of(2)
    got = measure([image, turn(image)], [*PLAIN, *FRAME_ONLY], facts=reversed_grid)
    for name, (before, after) in got.items():
        assert close(before, after), name


def test_repeating_the_frame_changes_no_color_metric() -> None:
    image = photo(12, 17, 9)
    neighbors = {"sharpness", "sharpness_luma", "blur", "tenengrad", "edge_density", "noise"}
    interpolated = {"value_p25", "value_p50", "value_p75", "quartile_contrast"}
    names = [name for name in PLAIN if name not in neighbors | interpolated]
    for name, (once, tiled) in measure([image, np.tile(image, (2, 2, 1))], names).items():
        assert close(once, tiled), name


def test_adding_light_changes_no_contrast_and_no_detail() -> None:
    image = photo(20, 30, 10) // 2
    names = ["contrast", "sharpness", "sharpness_luma", "noise", "tenengrad", "edge_density", "luma_std"]
    gray = np.repeat(image[..., :1], 3, -1)  # the rounding of luma moves with the level of a color, not of a gray
    for name, (before, after) in measure([gray, gray + 90], names).items():
        assert close(before, after), name
    for name in ("contrast", "sharpness"):
        before, after = measure([image, image + 90], [name])[name]
        assert close(before, after), name


def test_batch_mates_change_nothing() -> None:
    names = [*twin.TWINS, *FRAME_ONLY, "blurry_score", "phash", "dhash", "phash_d4", "dhash_d4", "content_hash"]
    together = measure(IMAGES, names)
    for row, image in enumerate(IMAGES):
        for name, value in measure([image], names).items():
            assert value == [together[name][row]], name


def test_an_empty_region_raises_nothing() -> None:
    got = measure([photo(9, 9, 11)], [*twin.TWINS, "blurry_score"], [Region(0, (4, 4, 4, 4)), Region(0, (2, 2, 5, 5))])
    assert all(len(values) == 3 for values in got.values())
    assert math.isfinite(got["brightness"][2])
