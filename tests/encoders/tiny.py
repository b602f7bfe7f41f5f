"""Tiny encoders with random weights, and batches of pictures, made in code."""

import json
from pathlib import Path

import torch

from gpu_quality.cards import ModelCard, digest_of
from gpu_quality.types import Pixels, Regions

CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
CARD = """name: tiny
model: tiny.json
weights: tiny.safetensors
sha256: "{sha256}"
dim: 32
input: {{size: 32, resize: shortest, interpolation: bicubic, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4]}}
text: {text}
licence: none
source: made in a test
"""


def write_tiny(folder: Path, weights: Path, *, text: bool = False, change=lambda state: state) -> ModelCard:
    """A card, its architecture and its random weights; `change` may break the weights first."""
    from open_clip import model
    from safetensors.torch import save_file

    torch.manual_seed(0)
    (folder / "tiny.json").write_text(json.dumps(CLIP))
    state = {name: tensor.contiguous() for name, tensor in model.CLIP(**CLIP).state_dict().items()}
    save_file(change(state), weights / "tiny.safetensors")
    (folder / "tiny.yaml").write_text(CARD.format(sha256=digest_of(weights / "tiny.safetensors"), text=str(text).lower()))
    return ModelCard.load(folder / "tiny.yaml")


def batch_of(pictures: list[torch.Tensor], boxes: list[tuple[int, int, int, int, int]] = (), spans=None):
    """Frames laid side by side, and their regions: every frame whole, then ``(frame, x0, y0, x1, y1)``."""
    sizes = torch.tensor([picture.shape[:2] for picture in pictures], dtype=torch.int32)
    count = torch.tensor([picture.numel() for picture in pictures])
    pixels = Pixels(torch.cat([p.flatten() for p in pictures]), count.cumsum(0) - count, sizes[:, 0], sizes[:, 1])
    whole = [(row, 0, 0, int(w), int(h)) for row, (h, w) in enumerate(sizes)]
    rows = torch.tensor(whole + list(boxes))
    return pixels, Regions(rows[:, 0], rows[:, 1:].to(torch.int32), spans, torch.zeros(len(rows), dtype=torch.int8))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random bytes."""
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
