"""Ragged batches, regions and comparisons for the tests of kernels."""

import dataclasses

import numpy as np
import torch

from gpu_quality.types import Pixels, Regions, Spans

SIZES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (5, 7), (8, 8), (17, 70), (31, 33)]
"""Height and width of frames: single pixels, single rows and columns, sides around multiples of 8 and 64."""


def frame(h: int, w: int, seed: int) -> np.ndarray:
    """Noise, flat, few colors or a ramp, by seed: h x w x 3."""
    rng = np.random.default_rng(seed)
    if seed % 4 == 1:
        return np.full((h, w, 3), rng.integers(0, 256, 3), np.uint8)
    if seed % 4 == 2:
        return rng.choice(np.array([0, 1, 254, 255], np.uint8), (h, w, 3))
    if seed % 4 == 3:
        return ((np.arange(w)[None, :, None] * 3 + np.arange(h)[:, None, None] + np.arange(3) * 40) % 256).astype(np.uint8)
    return rng.integers(0, 256, (h, w, 3), dtype=np.uint8)


def pixels_of(frames: list[np.ndarray], gap: int = 0) -> Pixels:
    """A ragged batch; `gap` bytes of rubbish lie between frames."""
    parts, offsets, at = [], [], 0
    for image in frames:
        offsets.append(at + gap)
        parts += [np.full(gap, 77, np.uint8), image.ravel()]
        at += gap + image.size
    height = torch.tensor([image.shape[0] for image in frames], dtype=torch.int32)
    width = torch.tensor([image.shape[1] for image in frames], dtype=torch.int32)
    return Pixels(torch.from_numpy(np.concatenate(parts)), torch.tensor(offsets), height, width)


Boxes = list[tuple[int, tuple[int, int, int, int]]]


def regions_of(pixels: Pixels, boxes: Boxes, runs: dict[int, list] | None = None) -> Regions:
    """Frames, then boxes (frame, x0 y0 x1 y1); `runs` gives region index -> list of (y, x0, x1)."""
    b = len(pixels.height)
    rect = torch.zeros(b + len(boxes), 4, dtype=torch.int32)
    rect[:b, 2], rect[:b, 3] = pixels.width, pixels.height
    for i, (_, box) in enumerate(boxes):
        rect[b + i] = torch.tensor(box)
    owner = torch.tensor([*range(b), *(f for f, _ in boxes)])
    spans = None
    if runs is not None:
        lists = [runs.get(i, []) for i in range(b + len(boxes))]
        flat = torch.tensor([run for mine in lists for run in mine], dtype=torch.int32).reshape(-1, 3)
        offset = torch.tensor([0, *np.cumsum([len(mine) for mine in lists]).tolist()])
        whole = torch.tensor([i not in runs for i in range(b + len(boxes))])
        spans = Spans(offset, whole, *(column.contiguous() for column in flat.unbind(1)))
    return Regions(owner, rect, spans, torch.zeros(len(rect), dtype=torch.int8))


def random_regions(pixels: Pixels, per_frame: int, seed: int) -> Regions:
    """Random boxes of every frame, some empty, some at its edges, a third of them restricted to random runs."""
    rng = np.random.default_rng(seed)
    boxes, runs, b = [], {}, len(pixels.height)
    for f in range(b):
        h, w = int(pixels.height[f]), int(pixels.width[f])
        for i in range(per_frame):
            xs, ys = sorted(rng.integers(0, w + 1, 2).tolist()), sorted(rng.integers(0, h + 1, 2).tolist())
            if i % 4 == 0:
                xs, ys = [max(0, w - 3), w], [0, min(2, h)]
            if i % 3 == 0:
                mine = []
                for y in range(h):
                    cuts = np.unique(rng.integers(0, w + 1, 4)).tolist()
                    mine += [(y, a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
                runs[b + len(boxes)] = mine if i % 2 else []
            boxes.append((f, (xs[0], ys[0], xs[1], ys[1])))
    return regions_of(pixels, boxes, runs)


def members(regions: Regions, i: int) -> list[tuple[int, int]]:
    """The (x, y) of a region."""
    x0, y0, x1, y1 = regions.rect[i].tolist()
    inside = [(x, y) for y in range(y0, y1) for x in range(x0, x1)]
    if regions.spans is None or bool(regions.spans.whole[i]):
        return inside
    s = regions.spans
    mine = range(int(s.offset[i]), int(s.offset[i + 1]))
    run = {(x, int(s.y[k])) for k in mine for x in range(int(s.x0[k]), int(s.x1[k]))}
    return [pixel for pixel in inside if pixel in run]


def assert_same(got: dict, want: dict) -> None:
    """Equal groups, shapes, int64 and bits."""
    assert list(got) == list(want)
    for name, struct in want.items():
        for f in dataclasses.fields(struct):
            a, b = getattr(got[name], f.name).cpu(), getattr(struct, f.name).cpu()
            assert a.dtype == torch.int64, (name, f.name, a.dtype)
            assert a.shape == b.shape, (name, f.name, a.shape, b.shape)
            assert torch.equal(a, b), (name, f.name, (a != b).nonzero()[:3].tolist())
