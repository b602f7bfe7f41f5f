"""Row `embed_cpu`: JPEG bytes to unit vectors on the CPU, beside open_clip in float32 with its own preprocessing."""

import argparse
import io
import json
import time
from collections.abc import Callable

import open_clip
import simplejpeg
import torch
from decode_crop import photo
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch.nn import functional

from gpu_quality.cards import ModelCard
from gpu_quality.encoders.encoder import ImageEncoder
from gpu_quality.encoders.open_clip import bare_image_tower
from gpu_quality.types import Pixels, Regions


def best(works: dict[str, Callable[[], torch.Tensor]], rounds: int) -> dict[str, float]:
    """Best wall seconds of each work, taken in turn so that a busy moment hits all alike."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(rounds + 1):
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            found[name] = min(found[name], time.perf_counter() - begin)
    return found


def ours(encoder: ImageEncoder, files: list[bytes]) -> torch.Tensor:
    """Decode, prepare and embed."""
    frames = [torch.from_numpy(simplejpeg.decode_jpeg(data)) for data in files]
    sizes = torch.tensor([frame.shape[:2] for frame in frames], dtype=torch.int32)
    count = torch.tensor([frame.numel() for frame in frames])
    pixels = Pixels(torch.cat([frame.flatten() for frame in frames]), count.cumsum(0) - count, sizes[:, 0], sizes[:, 1])
    rect = torch.stack([torch.zeros(len(files)), torch.zeros(len(files)), sizes[:, 1], sizes[:, 0]], 1).to(torch.int32)
    regions = Regions(torch.arange(len(files)), rect, None, torch.zeros(len(files), dtype=torch.int8))
    return encoder(encoder.prepare(pixels, regions))


def measure(name: str, images: int, rounds: int) -> list[dict[str, object]]:
    """Images per second of a card's architecture with random weights."""
    card = ModelCard.find(name)
    torch.manual_seed(0)
    model = open_clip.create_model(card.model).eval()
    tower = bare_image_tower(card)
    tower.load_state_dict(model.visual.state_dict())
    transform = image_transform_v2(
        PreprocessCfg(size=card.input.size, mean=card.input.mean, std=card.input.std), is_train=False
    )
    quick = ImageEncoder(card, tower, batch=16)
    files = [simplejpeg.encode_jpeg(photo(480, 640), quality=80 + i % 16, colorsubsampling="420") for i in range(images)]

    def theirs() -> torch.Tensor:
        with torch.inference_mode():
            pictures = torch.stack([transform(Image.open(io.BytesIO(data))) for data in files])
            return functional.normalize(torch.cat([model.encode_image(part) for part in pictures.split(16)]))

    cosine = float((theirs() * ours(quick, files)).sum(1).min())
    if cosine < 0.999:
        raise SystemExit(f"cosine to open_clip's vectors is {cosine}")
    side, size = 4096, torch.bfloat16 if quick.dtype == torch.bfloat16 else torch.float32
    a, b = torch.rand(side, side).to(size), torch.rand(side, side).to(size)
    seconds = best({"gpu_quality": lambda: ours(quick, files), "open_clip": theirs, "matmul": lambda: a @ b}, rounds)
    flops = 2 * side**3 / seconds.pop("matmul")
    peer = seconds["open_clip"]
    return [{"row": "embed_cpu", "case": name, "who": who, "unit": "img/s", "value": round(images / spent, 2),
             "dtype": str(quick.dtype if who == "gpu_quality" else torch.float32), "cosine": round(cosine, 5),
             "matmul_gflops": round(flops / 1e9), "to_peer": round(peer / spent, 2)}
            for who, spent in seconds.items()]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--card", default="clip-vit-b32-openai")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for row in measure(options.card, options.images, options.rounds):
        line = f"{row['case']} {row['who']:12s} {row['value']:8.2f} img/s in {row['dtype']}, {row['to_peer']} x open_clip"
        print(json.dumps(row) if options.json else f"{line}, cosine {row['cosine']}, matmul {row['matmul_gflops']} GF/s")


if __name__ == "__main__":
    main()
