"""Every pixel metric once more on plain NumPy images: slow, obvious, and sharing no code with the package.

A twin takes the whole frame, a boolean mask of the region, the rectangle of the region and the number of stored channels. It
returns None where the metric is undefined.
"""

import hashlib
import math
from collections.abc import Callable

import numpy as np

Twin = Callable[[np.ndarray, np.ndarray, tuple[int, int, int, int], int], float | None]


def luma(image: np.ndarray) -> np.ndarray:
    r, g, b = (image[..., c].astype(np.int64) for c in range(3))
    return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16


def around(plane: np.ndarray) -> np.ndarray:
    """The plane with one pixel of reflected surroundings; a side of one repeats its pixel."""
    plane = plane.astype(np.int64)
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (1, 1)
        plane = np.pad(plane, width, mode="edge" if plane.shape[axis] == 1 else "reflect")
    return plane


def stencil(plane: np.ndarray, weights: list[list[int]]) -> np.ndarray:
    wide = around(plane)
    h, w = plane.shape
    return sum(weights[dy][dx] * wide[dy : dy + h, dx : dx + w] for dy in range(3) for dx in range(3))


def laplacian(plane: np.ndarray) -> np.ndarray:
    return stencil(plane, [[0, 1, 0], [1, -4, 1], [0, 1, 0]])


def sobel_square(plane: np.ndarray) -> np.ndarray:
    gx = stencil(plane, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    gy = stencil(plane, [[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    return gx**2 + gy**2


def hsv(pixel: tuple[int, int, int]) -> tuple[int, int, int]:
    r, g, b = pixel
    v, d = max(pixel), max(pixel) - min(pixel)
    s = (d * (round(255 * 4096 / v) if v else 0) + 2048) >> 12
    h = g - b if v == r else b - r + 2 * d if v == g else r - g + 4 * d
    h = (h * (round(180 * 4096 / (6 * d)) if d else 0) + 2048) >> 12
    return (h + 180 if h < 0 else h), s, v


def exact_variance(values: np.ndarray) -> float:
    """Population variance by Python's unbounded integers."""
    n, total, square = values.size, int(values.sum()), int((values.astype(np.int64) ** 2).sum())
    return (n * square - total * total) / (n * n)


def entropy_bits(counts: np.ndarray) -> float:
    shares = [c / counts.sum() for c in counts if c]
    return -math.fsum(p * math.log2(p) for p in shares)


def _colors(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return image[mask].astype(np.int64)  # [n, 3]


def _luma(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return luma(image)[mask]


def _share(image: np.ndarray, mask: np.ndarray, color: str) -> float:
    hit = 0
    for pixel in image[mask].tolist():
        h, s, v = hsv(tuple(pixel))
        right = {"red": h <= 10 or h >= 170, "green": 35 <= h <= 75, "blue": 90 <= h <= 130}[color]
        hit += right and s >= 50 and v >= 40
    return hit / mask.sum()


def _saturation(image: np.ndarray, mask: np.ndarray) -> float:
    return sum(hsv(tuple(pixel))[1] for pixel in image[mask].tolist()) / (255 * int(mask.sum()))


def _colorfulness(image: np.ndarray, mask: np.ndarray) -> float:
    r, g, b = _colors(image, mask).T.astype(float)
    rg, yb = r - g, (r + g) / 2 - b
    return math.hypot(rg.std(), yb.std()) + 0.3 * math.hypot(rg.mean(), yb.mean())


def _percentile(values: np.ndarray, percent: int) -> int:
    need = -(-percent * values.size // 100)
    return next(y for y in range(256) if (values <= y).sum() >= need)


def _standardized(image: np.ndarray, mask: np.ndarray, order: int) -> float:
    x = _colors(image, mask).astype(float).ravel()
    x -= x.mean()
    spread = np.mean(x**2)
    return float(np.mean(x**order) / spread ** (order / 2)) if spread > 0 else 0.0


def _five(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.percentile(_colors(image, mask), [0, 25, 50, 75, 100]) / 255


def _quartile_contrast(image: np.ndarray, mask: np.ndarray) -> float:
    q = _five(image, mask)
    return float((q.max() - q.min()) / q.mean()) if q.mean() else 0.0


def _entropy_rgb(image: np.ndarray, mask: np.ndarray, channels: int) -> float:
    counts = [np.bincount(_colors(image, mask)[:, c], minlength=256) for c in range(3)]
    return entropy_bits(counts[0] if channels == 1 else np.concatenate(counts))


def _sharpness(image: np.ndarray, mask: np.ndarray) -> float:
    return exact_variance(np.concatenate([laplacian(image[..., c])[mask] for c in range(3)]))


def _noise(image: np.ndarray, mask: np.ndarray) -> float | None:
    response = stencil(luma(image), [[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1]
    return math.sqrt(math.pi / 2) * float(np.abs(response[inner]).mean()) / 6 if inner.any() else None


def _perceived(image: np.ndarray, rect: tuple[int, int, int, int], percent: int) -> float:
    x0, y0, x1, y1 = rect
    r, g, b = image[y0:y1, x0:x1].reshape(-1, 3).astype(np.int64).T
    return float(np.percentile(np.sqrt((241 * r * r + 691 * g * g + 68 * b * b) / 1000) / 255, percent))


def _rect_mask(mask: np.ndarray, rect: tuple[int, int, int, int]) -> np.ndarray:
    whole = np.zeros_like(mask)
    whole[rect[1] : rect[3], rect[0] : rect[2]] = True
    return whole


def blockiness(image: np.ndarray, *, reversed_x: bool = False, reversed_y: bool = False) -> float | None:
    """Frames only."""
    seams, rest = [], []
    for plane, backwards in ((luma(image), reversed_x), (luma(image).T, reversed_y)):
        stored = plane[:, ::-1] if backwards else plane
        steps = np.abs(np.diff(stored, axis=1))
        at_seam = np.arange(steps.shape[1]) % 8 == 7
        if at_seam.any():
            seams.append(steps[:, at_seam].mean())
            rest.append(steps[:, ~at_seam].mean())
    if not seams:
        return None
    b, a = np.mean(seams), np.mean(rest)
    return max(0.0, float((b - a) / (b + a))) if a + b else 0.0


def uneven_illumination(image: np.ndarray) -> float | None:
    """Frames only."""
    h, w = image.shape[:2]
    if h < 8 or w < 8:
        return None
    y = luma(image)
    row, column = np.arange(h) * 8 // h, np.arange(w) * 8 // w
    cells = np.array([[y[np.ix_(row == i, column == j)].mean() for j in range(8)] for i in range(8)])
    v, u = np.meshgrid(*2 * [(np.arange(8) + 0.5) / 4 - 1], indexing="ij")
    basis = np.stack([u**0, u, v, u**2, u * v, v**2], -1).reshape(64, 6)
    fitted = basis @ np.linalg.lstsq(basis, cells.ravel(), rcond=None)[0]
    value = float(np.ptp(fitted)) / 255
    return 0.0 if value < 1e-12 else min(value, 1.0)


def random_draw(seed: int, name: str) -> float:
    """The seeded draw of one id."""
    return (int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") >> 11) / 2**53


TWINS: dict[str, Twin] = {
    "brightness": lambda i, m, r, c: _colors(i, m).mean() / 255,
    "contrast": lambda i, m, r, c: math.sqrt(exact_variance(_colors(i, m))) / 255,
    "red": lambda i, m, r, c: _share(i, m, "red"),
    "green": lambda i, m, r, c: _share(i, m, "green"),
    "blue": lambda i, m, r, c: _share(i, m, "blue"),
    "saturation": lambda i, m, r, c: _saturation(i, m),
    "colorfulness": lambda i, m, r, c: _colorfulness(i, m),
    "color_fraction": lambda i, m, r, c: float((np.ptp(_colors(i, m), axis=1) > 8).mean()),
    "mean_red": lambda i, m, r, c: _colors(i, m)[:, 0].mean() / 255,
    "mean_green": lambda i, m, r, c: _colors(i, m)[:, 1].mean() / 255,
    "mean_blue": lambda i, m, r, c: _colors(i, m)[:, 2].mean() / 255,
    "dominant_red": lambda i, m, r, c: np.bincount(_colors(i, m)[:, 0]).argmax(),
    "dominant_green": lambda i, m, r, c: np.bincount(_colors(i, m)[:, 1]).argmax(),
    "dominant_blue": lambda i, m, r, c: np.bincount(_colors(i, m)[:, 2]).argmax(),
    "luma_mean": lambda i, m, r, c: _luma(i, m).mean(),
    "luma_std": lambda i, m, r, c: math.sqrt(exact_variance(_luma(i, m))),
    "luma_min": lambda i, m, r, c: _luma(i, m).min(),
    "luma_max": lambda i, m, r, c: _luma(i, m).max(),
    "luma_p01": lambda i, m, r, c: _percentile(_luma(i, m), 1),
    "luma_p05": lambda i, m, r, c: _percentile(_luma(i, m), 5),
    "luma_p25": lambda i, m, r, c: _percentile(_luma(i, m), 25),
    "luma_p50": lambda i, m, r, c: _percentile(_luma(i, m), 50),
    "luma_p75": lambda i, m, r, c: _percentile(_luma(i, m), 75),
    "luma_p95": lambda i, m, r, c: _percentile(_luma(i, m), 95),
    "luma_p99": lambda i, m, r, c: _percentile(_luma(i, m), 99),
    "value_min": lambda i, m, r, c: _five(i, m)[0],
    "value_p25": lambda i, m, r, c: _five(i, m)[1],
    "value_p50": lambda i, m, r, c: _five(i, m)[2],
    "value_p75": lambda i, m, r, c: _five(i, m)[3],
    "value_max": lambda i, m, r, c: _five(i, m)[4],
    "quartile_contrast": lambda i, m, r, c: _quartile_contrast(i, m),
    "skewness": lambda i, m, r, c: _standardized(i, m, 3),
    "kurtosis": lambda i, m, r, c: _standardized(i, m, 4) - 3 if np.ptp(_colors(i, m)) else 0.0,
    "zeros_fraction": lambda i, m, r, c: float((_colors(i, m) == 0).mean()),
    "unique_values": lambda i, m, r, c: len(set(_luma(i, m).tolist())),
    "entropy": lambda i, m, r, c: entropy_bits(np.bincount(_luma(i, m))),
    "entropy_rgb": lambda i, m, r, c: _entropy_rgb(i, m, c),
    "underexposed_fraction": lambda i, m, r, c: float((_luma(i, m) <= 5).mean()),
    "overexposed_fraction": lambda i, m, r, c: float((_luma(i, m) >= 250).mean()),
    "sharpness": lambda i, m, r, c: _sharpness(i, m),
    "sharpness_luma": lambda i, m, r, c: exact_variance(laplacian(luma(i))[m]),
    "blur": lambda i, m, r, c: 100 / (100 + _sharpness(i, m)),
    "tenengrad": lambda i, m, r, c: sobel_square(luma(i))[m].mean(),
    "edge_density": lambda i, m, r, c: float((sobel_square(luma(i))[m] >= 100**2).mean()),
    "noise": lambda i, m, r, c: _noise(i, m),
    "dark_score": lambda i, m, r, c: _perceived(i, r, 99),
    "light_score": lambda i, m, r, c: 1 - _perceived(i, r, 5),
    "low_information_score": lambda i, m, r, c: min(0.1 * _entropy_rgb(i, _rect_mask(m, r), c), 1),
}
