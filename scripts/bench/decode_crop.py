"""Row `decode_crop`: JPEG bytes to the encoder's 224-pixel uint8 picture, beside open_clip's own preprocessing, on one core."""

import argparse
import io
import json
import time
from collections.abc import Callable

import numpy as np
import simplejpeg
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from gpu_quality.cards import Input
from gpu_quality.encoders.preparation import resized

LOOK = Input(size=224, resize="shortest", interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
SIZES = ((480, 640), (1080, 1920))


def best(works: dict[str, Callable[[], object]], repeats: int, rounds: int) -> dict[str, float]:
    """Best CPU seconds per picture of each work, taken in turn so that a busy moment hits all alike."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(rounds + 1):
        for name, work in works.items():
            begin = time.process_time()
            for _ in range(repeats):
                work()
            found[name] = min(found[name], (time.process_time() - begin) / repeats)
    return found


def photo(height: int, width: int) -> np.ndarray:
    """A picture with the spectrum of photos: noise at every scale, each half as strong as the next coarser one."""
    rng, out = np.random.default_rng(0), np.zeros((height, width, 3), np.float32)
    for step in (2, 8, 32, 128):
        coarse = rng.normal(0, step**0.75, (height // step + 2, width // step + 2, 3)).astype(np.float32)
        fine = torch.nn.functional.interpolate(
            torch.from_numpy(coarse).permute(2, 0, 1)[None], (height, width), mode="bilinear"
        )
        out += fine[0].permute(1, 2, 0).numpy()
    return np.clip(128 + out, 0, 255).astype(np.uint8)


def measure(height: int, width: int, repeats: int, rounds: int) -> list[dict[str, object]]:
    """Pictures per second of one core from bytes and from decoded frames; the limit is decoding alone."""
    data = simplejpeg.encode_jpeg(photo(height, width), quality=90, colorsubsampling="420")
    frame = torch.from_numpy(simplejpeg.decode_jpeg(data))
    decoded = Image.fromarray(frame.numpy())
    transform = image_transform_v2(PreprocessCfg(size=224), is_train=False)
    same = image_transform_v2(PreprocessCfg(size=224, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), is_train=False)
    far = (resized(frame, LOOK).permute(2, 0, 1).int() - (same(decoded) * 255).round().int()).abs().max()
    if far > 1:
        raise SystemExit(f"preparation is {far} levels from open_clip's")
    seconds = best({
        "gpu_quality from bytes": lambda: resized(torch.from_numpy(simplejpeg.decode_jpeg(data)), LOOK),
        "open_clip from bytes": lambda: transform(Image.open(io.BytesIO(data))),
        "gpu_quality from frames": lambda: resized(frame, LOOK),
        "open_clip from frames": lambda: transform(decoded),
        "bare decode": lambda: simplejpeg.decode_jpeg(data),
    }, repeats, rounds)  # fmt: skip
    limit = seconds.pop("bare decode")
    rows = []
    for name, spent in seconds.items():
        who, _, case = name.partition(" ")
        peer = seconds[f"open_clip {case}"]
        rows.append({"row": "decode_crop", "case": f"{width}x{height} {case}", "who": who, "unit": "img/s/core",
                     "value": round(1 / spent, 1), "limit": {"name": "bare_decode", "value": round(1 / limit, 1)},
                     "of_limit": round(limit / spent, 3), "to_peer": round(peer / spent, 2)})  # fmt: skip
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for height, width in SIZES:
        for row in measure(height, width, options.repeats, options.rounds):
            line = f"{row['case']:24s} {row['who']:12s} {row['value']:9.1f} img/s/core  of bare decode {row['of_limit']}"
            print(json.dumps(row) if options.json else f"{line}  of open_clip {row['to_peer']}")


if __name__ == "__main__":
    main()
