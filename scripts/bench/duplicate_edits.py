"""Where the thresholds of `gpu-quality duplicates` come from: ordinary edits of photos found again, and photos mixed up.

For folders of photos that all differ (default: the sample photos of scikit-image and scikit-learn), every photo is halved,
saved as JPEG 30, brightened x 1.3, mirrored and cropped by 5 % on each side. A row of the table is a rule: the share of edits
of each kind that end in the group of their original, and the groups that mix photos. With `--as-is` the photos are grouped as
they are and the groups are listed. Run it as ``python scripts/bench/duplicate_edits.py FOLDER …``.
"""

import argparse
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance

from gpu_quality.analysis.duplicates import FLAT, KINDS, Evidence, Found, find
from gpu_quality.analysis.duplicates_groups import Qualities
from gpu_quality.analysis.duplicates_hashes import hashes
from gpu_quality.analysis.duplicates_links import Rules
from gpu_quality.encoders.encoder import ImageEncoder, load_encoder
from gpu_quality.functional import hashing
from gpu_quality.index.exact import Exact
from gpu_quality.kernels.thumbnails import thumbnails
from gpu_quality.types import Pixels, Regions

EDITS = ("half", "jpeg 30", "bright 1.3", "mirror", "crop 5 %")


def sample_photos() -> list[Path]:
    """Photos that come with libraries; without the right half of a stereo pair, which is a near duplicate."""
    import skimage
    import sklearn

    folder, other = Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images"
    names = "coffee.png camera.png astronaut.png gravel.png brick.png motorcycle_left.png hubble_deep_field.jpg moon.png"
    names += " grass.png retina.jpg ihc.png cell.png rocket.jpg chelsea.png coins.png page.png text.png"
    return [folder / name for name in names.split()] + sorted(other.glob("*.jpg"))


def edits(photo: Image.Image) -> Iterator[Image.Image]:
    """The photo, then its edits in the order of `EDITS`."""
    yield photo
    yield photo.resize((max(photo.width // 2, 1), max(photo.height // 2, 1)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=30)
    yield Image.open(buffer).convert("RGB")
    yield ImageEnhance.Brightness(photo).enhance(1.3)
    yield photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    x, y = round(photo.width * 0.05), round(photo.height * 0.05)
    yield photo.crop((x, y, photo.width - x, photo.height - y))


def pixels_of(photo: Image.Image) -> Pixels:
    """One frame as a batch."""
    data = torch.from_numpy(np.array(photo))
    height, width = (torch.tensor([side], dtype=torch.int32) for side in data.shape[:2])
    return Pixels(data.flatten(), torch.tensor([0]), height, width)


def evidence_of(photos: Sequence[Image.Image], encoder: ImageEncoder) -> Evidence:
    """Hashes and vectors as a run stores them."""
    codes: list[list[torch.Tensor]] = [[], [], [], []]
    prepared, spans = [], []
    for photo in photos:
        pixels = pixels_of(photo)
        rect = torch.tensor([[0, 0, photo.width, photo.height]], dtype=torch.int32)
        regions = Regions(torch.tensor([0]), rect, None, torch.zeros(1, dtype=torch.int8))
        prepared.append(encoder.prepare(pixels, regions))
        made = thumbnails(pixels, regions, {"square", "wide", "tall"})
        square, wide, tall = (made[name] for name in ("square", "wide", "tall"))
        spans.append(int(square.max()) - int(square.min()))
        found = (hashing.phash(square), hashing.dhash(wide), hashing.phash_d4(square), hashing.dhash_d4(wide, tall))
        for column, code in zip(codes, found, strict=True):
            column.append(code)
    phash, dhash, phash_d4, dhash_d4 = (torch.cat(column) for column in codes)
    vectors = torch.cat([encoder(torch.cat(prepared[i : i + 64])) for i in range(0, len(prepared), 64)]).half()
    size = torch.tensor([(p.width, p.height) for p in photos], dtype=torch.float64)
    unknown = torch.full((len(photos),), torch.nan, dtype=torch.float64)
    usable = torch.tensor(spans) >= FLAT
    every = torch.ones(len(photos), dtype=torch.bool)
    ready = hashes((phash, dhash), (phash_d4, dhash_d4), usable)
    content = torch.tensor([int.from_bytes(hashlib.sha256(np.array(p)).digest()[:7], "big") for p in photos])
    return Evidence(
        [content, size[:, 0], size[:, 1]], every, ready, vectors, Qualities(size[:, 0], size[:, 1], unknown, unknown)
    )


def rules() -> Iterator[tuple[str, Sequence[Any], Rules | None]]:
    """Name, kinds and thresholds of every row of the table."""
    for at_least in (0.95, 0.9, 0.875, 0.85, 0.8, 0.75):
        yield f"hash >= {at_least}", ("hash",), Rules.of(hash=True, embedding=False, at_least=at_least)
    for at_least in (0.97, 0.95, 0.9, 0.85, 0.8):
        yield f"embedding >= {at_least}", ("embedding",), Rules.of(hash=False, embedding=True, at_least=at_least)
    for kinds in (("hash",), ("embedding",), KINDS):
        yield "default, " + (kinds[0] if len(kinds) == 1 else "all together"), kinds, None


def mixed(found: Found, photo: torch.Tensor) -> int:
    """Groups with frames of more than one photo."""
    return sum(len(torch.unique(photo[found.group == g])) > 1 for g in range(len(found.keep)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--as-is", action="store_true", help="no edits: list the groups")
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    options = parser.parse_args()
    endings = (".jpg", ".jpeg", ".png")
    files = [p for folder in options.folders for p in sorted(folder.rglob("*")) if p.suffix.lower() in endings]
    files = files or sample_photos()
    opened = [Image.open(path).convert("RGB") for path in files]
    encoder = load_encoder("default")
    if options.as_is:
        show_groups(find(evidence_of(opened, encoder), Exact()), files)
        return
    evidence = evidence_of([edit for photo in opened for edit in edits(photo)], encoder)
    photo = torch.arange(len(files)).repeat_interleave(1 + len(EDITS))
    for name, kinds, rule in rules():
        found = find(evidence, Exact(), kinds=kinds, rules=rule)
        group = found.group.view(len(files), -1)
        same = ((group == group[:, :1]) & (group >= 0)).double().mean(0)[1:].tolist()
        row = {"rule": name, **{edit: round(share, 3) for edit, share in zip(EDITS, same, strict=True)}}
        row |= {"all edits": round(sum(same) / len(same), 3), "groups that mix photos": mixed(found, photo)}
        print(json.dumps(row) if options.json else "  ".join([f"{name:24s}", *(f"{k} {v}" for k, v in list(row.items())[1:])]))


def show_groups(found: Found, files: Sequence[Path]) -> None:
    """Every group with what speaks for each frame."""
    print(f"{len(files)} photos, {len(found.keep)} groups")
    for g, keep in enumerate(found.keep.tolist()):
        print(f"group {g + 1}: keep {files[keep].name}: {found.reason[g]}")
        for row in (found.group == g).nonzero().flatten().tolist():
            hashed, cosine = float(found.hash[row]), float(found.cosine[row])
            print(f"  {KINDS[int(found.kind[row])]:10s} hash {hashed:.3f} cosine {cosine:.3f}  {files[row].name}")


if __name__ == "__main__":
    main()
