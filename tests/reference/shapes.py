"""Hu's invariants and what is made of them, pixel by pixel and shape by shape."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from tests.reference.tracks import Answer, Video

FLOORS = (1e-1, 1e-2, 1e-2, 1e-2, 1e-4, 1e-3, 1e-4)


def pixel_moments(mask: np.ndarray) -> list[float]:
    """m00, mu20, mu11, mu02, mu30, mu21, mu12, mu03 by a loop over set pixels."""
    ys, xs = np.nonzero(mask)
    if not len(xs):
        return [0.0] * 8
    cx, cy = sum(xs.tolist()) / len(xs), sum(ys.tolist()) / len(ys)
    orders = ((0, 0), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
    points = list(zip(xs.tolist(), ys.tolist(), strict=True))
    return [sum((x - cx) ** p * (y - cy) ** q for x, y in points) for p, q in orders]


def hu(moments: Sequence[float], density: float = 1.0) -> list[float]:
    """The seven invariants as Hu wrote them."""
    area = density * moments[0]
    n20, n11, n02 = (density * m / area**2 for m in moments[1:4])
    n30, n21, n12, n03 = (density * m / area**2.5 for m in moments[4:])
    return [
        n20 + n02,
        (n20 - n02) ** 2 + 4 * n11**2,
        (n30 - 3 * n12) ** 2 + (3 * n21 - n03) ** 2,
        (n30 + n12) ** 2 + (n21 + n03) ** 2,
        (n30 - 3 * n12) * (n30 + n12) * ((n30 + n12) ** 2 - 3 * (n21 + n03) ** 2)
        + (3 * n21 - n03) * (n21 + n03) * (3 * (n30 + n12) ** 2 - (n21 + n03) ** 2),
        (n20 - n02) * ((n30 + n12) ** 2 - (n21 + n03) ** 2) + 4 * n11 * (n30 + n12) * (n21 + n03),
        (3 * n21 - n03) * (n30 + n12) * ((n30 + n12) ** 2 - 3 * (n21 + n03) ** 2)
        - (n30 - 3 * n12) * (n21 + n03) * (3 * (n30 + n12) ** 2 - (n21 + n03) ** 2),
    ]


def log_scaled(values: Sequence[float]) -> list[float]:
    return [math.copysign(math.log10(1 + abs(h) / e), h) for h, e in zip(values, FLOORS, strict=True)]


def similarity(f: Sequence[float], g: Sequence[float]) -> float:
    return 1 / (1 + sum(abs(a - b) for a, b in zip(f, g, strict=True)))


def cosine(f: Sequence[float], g: Sequence[float]) -> float:
    dot = sum(a * b for a, b in zip(f, g, strict=True))
    return dot / math.sqrt(sum(a * a for a in f) * sum(b * b for b in g))


def over_time(
    video: Video, vectors: Sequence[Sequence[float]], compare: Callable[[Sequence[float], Sequence[float]], float]
) -> list[Answer]:
    """Likeness of every shape to the fading mean of its track; excluded ones have no vector."""
    found: list[Answer] = [(None, thing.excluded or "no_track") for thing in video.things]
    for members in video.tracks():
        mean = list(vectors[members[0]])
        for place, i in enumerate(members):
            found[i] = (compare(mean, vectors[i]) if place else 1.0, "")
            mean = [0.5 * m + 0.5 * f for m, f in zip(mean, vectors[i], strict=True)]
    return found


def outliers(video: Video, vectors: Sequence[Sequence[float]]) -> list[Answer]:
    """Distance of every shape to the middle of its class, in standard deviations of each component over all shapes."""
    rows = [i for i, thing in enumerate(video.things) if not thing.excluded]
    scaled: dict[int, list[float]] = {i: [] for i in rows}
    for k in range(7):
        values = [vectors[i][k] for i in rows]
        mean = sum(values) / len(values) if values else 0.0
        spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values)) if values else 0.0
        if spread > 1e-9:
            for i in rows:
                scaled[i].append((vectors[i][k] - mean) / spread)
    found: list[Answer] = []
    for i, thing in enumerate(video.things):
        mates = [j for j in rows if video.things[j].class_id == thing.class_id]
        if thing.excluded or len(mates) < 5:
            found.append((None, thing.excluded or "too_few_samples"))
            continue
        center = [sum(scaled[j][k] for j in mates) / len(mates) for k in range(len(scaled[i]))]
        found.append((math.dist(scaled[i], center), ""))
    return found
