"""The same numbers from OpenCV, SciPy and scikit-image, where these have them."""

import cv2
import numpy as np
import pytest
import scipy.stats
import skimage.measure
import skimage.metrics

from tests.metrics.mini import measure
from tests.metrics.test_pixel_metrics import photo

SHAPES = [(40, 55), (7, 9), (64, 31), (3, 3)]
IMAGES = [photo(h, w, 30 + row) for row, (h, w) in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def got() -> dict:
    names = ["brightness", "contrast", "sharpness", "sharpness_luma", "tenengrad", "edge_density", "red", "green", "blue"]
    names += ["saturation", "skewness", "kurtosis", "entropy", "luma_mean", "luma_std", "noise", "entropy_rgb"]
    return measure(IMAGES, names)


@pytest.mark.parametrize("row", range(len(IMAGES)))
def test_opencv(got: dict, row: int) -> None:
    image = IMAGES[row]
    assert got["brightness"][row] == pytest.approx(image.mean() / 255, abs=1e-12)
    assert got["contrast"][row] == pytest.approx(image.std() / 255, abs=1e-12)
    assert got["sharpness"][row] == pytest.approx(cv2.Laplacian(image, cv2.CV_64F).var(), rel=1e-12)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    assert got["saturation"][row] == pytest.approx(hsv[..., 1].mean() / 255, abs=1e-12)
    hues = {"red": [(0, 10), (170, 179)], "green": [(35, 75)], "blue": [(90, 130)]}
    for name, spans in hues.items():
        hits = sum(cv2.inRange(hsv, (a, 50, 40), (b, 255, 255)).astype(bool).sum() for a, b in spans)
        assert got[name][row] == pytest.approx(hits / hsv[..., 0].size, abs=1e-12)


@pytest.mark.parametrize("row", range(len(IMAGES)))
def test_opencv_on_luma(got: dict, row: int) -> None:
    r, g, b = IMAGES[row].astype(int).transpose(2, 0, 1)
    luma = ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).astype(np.uint8)
    assert got["luma_mean"][row] == pytest.approx(luma.mean(), rel=1e-12)
    assert got["luma_std"][row] == pytest.approx(luma.std(), rel=1e-12)
    assert got["sharpness_luma"][row] == pytest.approx(cv2.Laplacian(luma, cv2.CV_64F).var(), rel=1e-12)
    square = cv2.Sobel(luma, cv2.CV_64F, 1, 0) ** 2 + cv2.Sobel(luma, cv2.CV_64F, 0, 1) ** 2
    assert got["tenengrad"][row] == pytest.approx(square.mean(), rel=1e-12)
    assert got["edge_density"][row] == pytest.approx((square >= 100**2).mean(), abs=1e-12)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], float)
    response = np.abs(cv2.filter2D(luma.astype(float), -1, kernel))[1:-1, 1:-1]
    assert got["noise"][row] == pytest.approx(np.sqrt(np.pi / 2) * response.mean() / 6, rel=1e-12)
    assert got["entropy"][row] == pytest.approx(skimage.measure.shannon_entropy(luma), abs=1e-12)


@pytest.mark.parametrize("row", range(len(IMAGES)))
def test_scipy(got: dict, row: int) -> None:
    values = IMAGES[row].reshape(-1).astype(float)
    assert got["skewness"][row] == pytest.approx(scipy.stats.skew(values), abs=1e-12)
    assert got["kurtosis"][row] == pytest.approx(scipy.stats.kurtosis(values), abs=1e-12)
    joint = np.concatenate([np.bincount(IMAGES[row][..., c].ravel(), minlength=256) for c in range(3)])
    assert got["entropy_rgb"][row] == pytest.approx(scipy.stats.entropy(joint, base=2), abs=1e-12)


def test_noise_is_the_sigma_of_gaussian_noise() -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(128 + rng.normal(0, 6, (400, 400)), 0, 255).round().astype(np.uint8)
    value = measure([np.repeat(noisy[..., None], 3, -1)], ["noise"])["noise"][0]
    assert value == pytest.approx(6, rel=0.02)  # 160 000 samples: about 0.4 % scatter, plus the rounding to levels


def test_blockiness_sees_the_grid_of_jpeg() -> None:
    smooth = cv2.GaussianBlur(photo(160, 200, 40), (0, 0), 3)
    coarse = cv2.imdecode(cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 8])[1], cv2.IMREAD_COLOR)
    shifted = np.ascontiguousarray(coarse[3:, 5:])
    clean, blocky, off_grid = measure([smooth, coarse, shifted], ["blockiness"])["blockiness"]
    assert clean < 0.05 < 0.3 < blocky
    assert off_grid < 0.05
