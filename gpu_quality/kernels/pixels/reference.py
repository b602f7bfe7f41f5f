"""Pixel statistics in plain torch, slow and obvious, on any device: the definition the fast kernels must equal."""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gpu_quality import types
from gpu_quality.kernels.pixels.layout import GROUPS, Statistics, areas, cell_counts, checked
from gpu_quality.types import Pixels, Regions

BAND = 256
"""Rows handled at a time, so that a large frame never becomes large int64 planes."""
_MASK = (1 << 64) - 1


def pixel_statistics(pixels: Pixels, regions: Regions, groups: Collection[str]) -> dict[str, Statistics]:
    """What the pixels of every region add up to, by plain tensor arithmetic; see ``kernels.pixels``."""
    wanted = checked(groups)
    frames = len(pixels.height)
    rows = [_region(pixels, regions, index, wanted) for index in range(len(regions.frame))]
    whole = [_frame(pixels, index, wanted) for index in range(frames)]
    empty = _region_sums(torch.zeros(3, 1, 1, dtype=torch.int64, device=pixels.data.device), None, wanted)
    out: dict[str, Statistics] = {}
    for name in GROUPS:
        if name not in wanted:
            continue
        struct = getattr(types, "".join(word.capitalize() for word in name.split("_")))
        if name == "perceived":
            out[name] = perceived(pixels, regions)
        elif name in ("phases", "cells", "content"):
            fields = {key: torch.stack([row[name, key] for row in whole]) for group, key in whole[0] if group == name}
            counts = {"count": cell_counts(pixels.height, pixels.width)} if name == "cells" else {}
            out[name] = struct(**fields, **counts)
        else:
            keys = [key for group, key in empty if group == name]
            out[name] = struct(**{key: torch.stack([row[name, key] for row in rows]) for key in keys})
    return out


def luma(planes: Tensor) -> Tensor:
    """Y of planes [3, h, w], 0..255: Pillow's "L", bit for bit."""
    return (19595 * planes[0] + 38470 * planes[1] + 7471 * planes[2] + 32768) >> 16


def reflect(index: Tensor, side: int) -> Tensor:
    """Mirror `index` at both ends of a side without repeating the end itself; a side of one repeats its pixel."""
    if side == 1:
        return torch.zeros_like(index)
    return (side - 1) - (index.abs() - (side - 1)).abs()


def _patch(pixels: Pixels, frame: int, box: tuple[int, int, int, int]) -> Tensor:
    """Int64 [3, h+2, w+2]: the box x0 y0 x1 y1 of a frame with one pixel of surroundings on every side."""
    image = pixels.frame(frame)
    h, w = image.shape[:2]
    ys = reflect(torch.arange(box[1] - 1, box[3] + 1, device=image.device), h)
    xs = reflect(torch.arange(box[0] - 1, box[2] + 1, device=image.device), w)
    return image[ys][:, xs].permute(2, 0, 1).to(torch.int64)


def _bands(rect: list[int]) -> Iterator[tuple[int, int, int, int]]:
    x0, y0, x1, y1 = rect
    if x1 > x0:
        for top in range(y0, y1, BAND):
            yield x0, top, x1, min(top + BAND, y1)


def _selection(regions: Regions, region: int, box: tuple[int, int, int, int], device: torch.device) -> Tensor:
    """Bool [h, w]: which pixels of the box belong to the region."""
    x0, y0, x1, y1 = box
    spans = regions.spans
    if spans is None or bool(spans.whole[region]):
        return torch.ones(y1 - y0, x1 - x0, dtype=torch.bool, device=device)
    mask = torch.zeros(y1 - y0, x1 - x0, dtype=torch.bool, device=device)
    for run in range(int(spans.offset[region]), int(spans.offset[region + 1])):
        y, a, b = int(spans.y[run]), max(int(spans.x0[run]), x0), min(int(spans.x1[run]), x1)
        if y0 <= y < y1 and b > a:
            mask[y - y0, a - x0 : b - x0] = True
    return mask


def _region(pixels: Pixels, regions: Regions, region: int, wanted: frozenset[str]) -> dict[tuple[str, str], Tensor]:
    frame = int(regions.frame[region])
    total = _region_sums(torch.zeros(3, 3, 3, dtype=torch.int64, device=pixels.data.device), None, wanted)
    for box in _bands(regions.rect[region].tolist()):
        planes = _patch(pixels, frame, box)
        mask = _selection(regions, region, box, planes.device)
        ys = torch.arange(box[1], box[3], device=planes.device)
        xs = torch.arange(box[0], box[2], device=planes.device)
        inside_y = (ys > 0) & (ys < int(pixels.height[frame]) - 1)
        inside_x = (xs > 0) & (xs < int(pixels.width[frame]) - 1)
        for key, value in _region_sums(planes, (mask, inside_y[:, None] & inside_x[None]), wanted).items():
            total[key] = total[key] + value
    return total


def _region_sums(planes: Tensor, masks: tuple[Tensor, Tensor] | None, wanted: frozenset[str]) -> dict[tuple[str, str], Tensor]:
    """Sums over the inner pixels of planes [3, h+2, w+2] that `masks` selects (selected, interior); None = nothing."""
    if masks is None:
        planes = torch.zeros(3, 3, 3, dtype=torch.int64, device=planes.device)
        nothing = torch.zeros(1, 1, dtype=torch.bool, device=planes.device)
        masks = (nothing, nothing)
    mask, interior = masks
    y = luma(planes)
    rgb = planes[:, 1:-1, 1:-1][:, mask]
    red, green, blue = rgb
    axes = torch.stack([red - green, red + green - 2 * blue])
    edge, channel_edge = _laplacian(y)[mask], _laplacian(planes)[:, mask]
    gradient = _sobel_square(y)[mask]
    grain = _second_difference(y)[mask & interior]
    shares, saturation, colored = _hues(rgb)
    count = mask.sum()
    fields: dict[str, dict[str, Tensor]] = {
        "moments": {
            "sum": rgb.sum(1),
            "square": rgb.square().sum(1),
            "opponent": axes.sum(1),
            "opponent_square": axes.square().sum(1),
        },
        "tones": {"histogram": torch.bincount(y[1:-1, 1:-1][mask], minlength=256)},
        "edges": {"laplacian": edge.sum(), "laplacian_square": edge.square().sum()},
        "gradients": {"square": gradient.sum(), "strong": (gradient >= 100 * 100).sum()},
        "grain": {"count": (mask & interior).sum(), "absolute": grain.abs().sum()},
        "channel_edges": {"laplacian": channel_edge.sum(1), "laplacian_square": channel_edge.square().sum(1)},
        "channel_tones": {"histogram": torch.stack([torch.bincount(plane, minlength=256) for plane in rgb])},
        "hues": {"shares": shares, "saturation": saturation, "colored": colored},
    }
    counted = {group: {"count": count} | sums for group, sums in fields.items() if group in wanted}
    return {(group, key): value for group, sums in counted.items() for key, value in sums.items()}


def _laplacian(plane: Tensor) -> Tensor:
    c = plane[..., 1:-1, 1:-1]
    return plane[..., :-2, 1:-1] + plane[..., 2:, 1:-1] + plane[..., 1:-1, :-2] + plane[..., 1:-1, 2:] - 4 * c


def _sobel_square(y: Tensor) -> Tensor:
    across, down = y[:, 2:] - y[:, :-2], y[2:] - y[:-2]
    gx = across[:-2] + 2 * across[1:-1] + across[2:]
    gy = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    return gx.square() + gy.square()


def _second_difference(y: Tensor) -> Tensor:
    columns = y[:-2] - 2 * y[1:-1] + y[2:]
    return columns[:, :-2] - 2 * columns[:, 1:-1] + columns[:, 2:]


def division_table(numerator: float, device: torch.device) -> Tensor:
    """``round(numerator / i)`` for i = 1..255 and 0 for i = 0, half to even: int64 [256]."""
    table = torch.round(numerator / torch.arange(256, dtype=torch.float64, device=device).clamp(min=1)).to(torch.int64)
    table[0] = 0
    return table


def hue_saturation(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hue 0..179, saturation, value and chroma 0..255 of colors [3, n], as OpenCV's 8-bit RGB-to-HSV."""
    red, green, blue = rgb
    value, chroma = rgb.amax(0), rgb.amax(0) - rgb.amin(0)
    saturation = (chroma * division_table(255 * 4096, rgb.device)[value] + 2048) >> 12
    turn = torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma)
    turn = torch.where(value == red, green - blue, turn)
    hue = (turn * division_table(180 * 4096 / 6, rgb.device)[chroma] + 2048) >> 12
    return torch.where(hue < 0, hue + 180, hue), saturation, value, chroma


def _hues(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if rgb.shape[1] == 0:
        return torch.zeros_like(rgb[:, :0].sum(1)), rgb.sum(), rgb.sum()
    hue, saturation, value, chroma = hue_saturation(rgb)
    vivid = (saturation >= 50) & (value >= 40)
    reds = vivid & ((hue <= 10) | (hue >= 170))
    greens, blues = vivid & (hue >= 35) & (hue <= 75), vivid & (hue >= 90) & (hue <= 130)
    return torch.stack([reds.sum(), greens.sum(), blues.sum()]), saturation.sum(), (chroma > 8).sum()


def perceived_square(rgb: Tensor) -> Tensor:
    """K = 241 R² + 691 G² + 68 B² of colors [3, ...], 0..65,025,000: perceived brightness squared, times 1000."""
    return 241 * rgb[0].square() + 691 * rgb[1].square() + 68 * rgb[2].square()


def perceived(pixels: Pixels, regions: Regions) -> types.Perceived:
    """Order statistics of K around ranks (N-1)·5/100 and (N-1)·99/100 of every rectangle, by sorting."""
    counts = areas(regions.rect)
    rows = []
    for region, count in enumerate(counts.tolist()):
        if count == 0:
            rows.append(torch.zeros(4, dtype=torch.int64, device=pixels.data.device))
            continue
        x0, y0, x1, y1 = regions.rect[region].tolist()
        crop = pixels.frame(int(regions.frame[region]))[y0:y1, x0:x1].permute(2, 0, 1).to(torch.int64)
        ordered = perceived_square(crop).flatten().sort().values
        low, high = (count - 1) * 5 // 100, (count - 1) * 99 // 100
        rows.append(ordered[[low, min(low + 1, count - 1), high, min(high + 1, count - 1)]])
    table = torch.stack(rows)
    return types.Perceived(counts, table[:, :2], table[:, 2:])


def _frame(pixels: Pixels, row: int, wanted: frozenset[str]) -> dict[tuple[str, str], Tensor]:
    """The groups that only a whole frame has."""
    image = pixels.frame(row)
    h, w = image.shape[:2]
    device = image.device
    out = {}
    y = luma(image.permute(2, 0, 1).to(torch.int64))
    if "phases" in wanted:
        dx, dy = (y[:, 1:] - y[:, :-1]).abs().sum(0), (y[1:] - y[:-1]).abs().sum(1)
        for key, steps in (("dx", dx), ("dy", dy)):
            eight = torch.zeros(8, dtype=torch.int64, device=device)
            out["phases", key] = eight.index_add(0, torch.arange(len(steps), device=device) % 8, steps)
    if "cells" in wanted:
        rows = one_hot(torch.arange(h, device=device) * 8 // h, 8).double()
        columns = one_hot(torch.arange(w, device=device) * 8 // w, 8).double()
        out["cells", "sum"] = (rows.T @ y.double() @ columns).to(torch.int64)  # exact: sums stay far below 2^53
    if "content" in wanted:
        out["content", "sum"] = content_sum(image)
    return out


def content_sum(image: Tensor) -> Tensor:
    """Order-free hash of an image [h, w, 3]: the sum of SplitMix64 of (index, R, G, B) of every pixel, modulo 2^64."""
    rgb = image.reshape(-1, 3).to(torch.int64)
    z = (torch.arange(len(rgb), device=image.device) << 24) | (rgb[:, 0] << 16) | (rgb[:, 1] << 8) | rgb[:, 2]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        unsigned = (z >> shift) & (_MASK >> shift)
        z = (z ^ unsigned) * (factor - (1 << 64) if factor >> 63 else factor)
    return z.sum()
