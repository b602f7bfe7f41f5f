"""Row `pixel_statistics`: decoded frames in memory to exact sums, beside an OpenCV loop and torch eager, on one thread."""

import argparse
import json
import platform
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch

from gpu_quality.kernels.pixels import GROUPS, cpu
from gpu_quality.kernels.threads import set_threads
from gpu_quality.kernels.thumbnails import cpu as resampling
from gpu_quality.kernels.thumbnails.result import WANTED
from gpu_quality.types import Pixels, Regions

PEERS = "Encord Active + nine issues"
CASES = {
    "moments+tones+edges": ("moments", "tones", "edges"),
    PEERS: ("moments", "channel_edges", "hues", "channel_tones", "perceived", "content"),
    "all groups": GROUPS,
}
TO_REACH = {"moments+tones+edges": 0.8, PEERS: 0.4, "all groups": 0.4}


def frames_of(count: int, height: int, width: int) -> np.ndarray:
    """Smooth pictures with sensor noise, count x height x width x 3: neither flat nor white noise, as photos are."""
    rng = np.random.default_rng(0)
    out = np.empty((count, height, width, 3), np.uint8)
    for image in out:
        low = rng.integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), dtype=np.uint8)
        smooth = cv2.resize(low, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        image[:] = np.clip(smooth + rng.normal(0, 6, image.shape).astype(np.int16), 0, 255)
    return out


def batch_of(images: np.ndarray) -> tuple[Pixels, Regions]:
    """The images as one ragged batch, and its frames as regions."""
    n, h, w, _ = images.shape
    sides = [torch.full((n,), side, dtype=torch.int32) for side in (h, w)]
    rect = torch.tensor([[0, 0, w, h]] * n, dtype=torch.int32)
    pixels = Pixels(torch.from_numpy(images.ravel()), torch.arange(n) * (h * w * 3), *sides)
    return pixels, Regions(torch.arange(n), rect, None, torch.zeros(n, dtype=torch.int8))


def opencv_loop(images: np.ndarray) -> list[list[int]]:
    """The sums of `moments`, `tones` and `edges` frame by frame, with OpenCV's fastest calls for each."""
    rows = []
    for image in images:
        y = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        flat = image.reshape(-1, 3)
        sums = [int(v) for v in cv2.sumElems(image)[:3]]
        products = cv2.mulTransposed(flat, aTa=True, dtype=cv2.CV_64F)
        histogram = cv2.calcHist([y], [0], None, [256], [0, 256])
        edge = cv2.Laplacian(y, cv2.CV_16S, ksize=1, borderType=cv2.BORDER_REFLECT_101)
        mean, deviation = cv2.meanStdDev(edge)
        moments = [products[0, 0], products[1, 1], products[2, 2], products[0, 1], products[0, 2], products[1, 2]]
        rows.append([*sums, *(int(v) for v in moments), int(histogram.ravel()[0]), mean.item(), deviation.item()])
    return rows


def torch_eager(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The same sums by whole-batch tensor expressions, as a user of torch would write them."""
    x = images.permute(0, 3, 1, 2).float()
    r, g, b = x.unbind(1)
    y = ((19595 * r + 38470 * g + 7471 * b + 32768) / 65536).floor()
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edge = torch.nn.functional.conv2d(torch.nn.functional.pad(y[:, None], (1, 1, 1, 1), mode="reflect"), kernel)
    rg, yb = r - g, r + g - 2 * b
    sums = [t.double().sum((-2, -1)) for t in (x, x.square(), rg, rg.square(), yb, yb.square(), edge, edge.square())]
    return (*sums, torch.stack([torch.histc(plane, 256, 0, 255) for plane in y]))


def check(images: np.ndarray) -> None:
    """Equality first: what is compared in speed must agree in value."""
    pixels, regions = batch_of(images)
    ours = cpu.pixel_statistics(pixels, regions, ("moments", "tones", "edges"))
    eager = torch_eager(torch.from_numpy(images))
    if not torch.equal(ours["edges"].laplacian_square.double(), eager[7][:, 0]):
        raise SystemExit("torch eager and the kernel disagree on the sum of squares of the Laplacian")
    for row, (sums, square) in enumerate(zip(opencv_loop(images), ours["moments"].square.tolist(), strict=True)):
        if sums[:3] != ours["moments"].sum[row].tolist() or sums[3:6] != square:
            raise SystemExit(f"OpenCV and the kernel disagree on frame {row}")


def read_bandwidth() -> float:
    """GB/s one thread reads from memory: the sum of 256 MB of int64."""
    data = np.ones(1 << 25, np.int64)
    return data.nbytes / best([data.sum], 5)[0] / 1e9


def best(works: list[Callable[[], object]], repeats: int) -> list[float]:
    """Best wall seconds of each work, taken in turn so that a busy moment hits all alike."""
    found = [float("inf")] * len(works)
    for _ in range(repeats + 1):
        for i, work in enumerate(works):
            begin = time.perf_counter()
            work()
            found[i] = min(found[i], time.perf_counter() - begin)
    return found


def measure(size: tuple[int, int], count: int, repeats: int) -> list[dict[str, object]]:
    """One object per case and party: GP/s, share of the limit, ratio to ours."""
    images = frames_of(count, *size)
    check(images)
    pixels, regions = batch_of(images)
    limit = read_bandwidth()
    tensor, area = torch.from_numpy(images), images[..., 0].size
    rows = []
    for case, groups in CASES.items():
        parties: dict[str, Callable[[], object]] = {
            "gpu_quality": lambda groups=groups: cpu.pixel_statistics(pixels, regions, groups),
        }
        if case == "moments+tones+edges":
            parties |= {"opencv": lambda: opencv_loop(images), "torch_eager": lambda: torch_eager(tensor)}
        seconds = best(list(parties.values()), repeats)
        rows += [row_of(case, who, area / s / 1e9, limit, seconds[0] / s) for who, s in zip(parties, seconds, strict=True)]
    parts: dict[str, Callable[[], object]] = {
        group: lambda group=group: cpu.pixel_statistics(pixels, regions, [group]) for group in GROUPS
    }
    parts |= {f"thumbnails {name}": lambda name=name: resampling.thumbnails(pixels, regions, [name]) for name in WANTED}
    parts["thumbnails all"] = lambda: resampling.thumbnails(pixels, regions, WANTED)
    seconds = best(list(parts.values()), repeats)
    return rows + [row_of(part, "gpu_quality", area / s / 1e9, limit, 1.0) for part, s in zip(parts, seconds, strict=True)]


def row_of(case: str, who: str, value: float, limit: float, ratio: float) -> dict[str, object]:
    """One measurement; `limit` is the pixels per second that memory bandwidth allows."""
    aim = TO_REACH.get(case) if who == "gpu_quality" else None
    return {
        "row": "pixel_statistics", "case": case, "who": who, "unit": "GP/s/core", "value": round(value, 4),
        "limit": {"name": "read_bandwidth", "value": round(limit / 3, 2)}, "of_limit": round(value / (limit / 3), 3),
        "to_ours": round(ratio, 4), "to_reach": aim, "reached": None if aim is None else value >= aim,
        "machine": {"cpu": platform.processor() or platform.machine(), "torch": torch.__version__},
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    set_threads(1)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = measure(tuple(options.size), options.frames, options.repeats)
    for row in rows:
        share = f"of limit {row['of_limit']}  of ours {row['to_ours']}"
        line = f"{row['case']:27s} {row['who']:12s} {row['value']:8.4f} GP/s  {share}"
        reached = "" if row["reached"] is None else f"  to reach {row['to_reach']}: {row['reached']}"
        print(json.dumps(row) if options.json else line + reached)


if __name__ == "__main__":
    main()
