"""Real photos with planted defects, for the demo, and VGA crops of them, for the benchmarks.

The photos come inside scikit-image's wheel (public domain or CC0: NASA, SpaceX, S. van der Walt, R. Michel and others; see the
docstrings of `skimage.data`). Everything else is made from them here, always the same bytes.

    python scripts/make_images.py demo/photos
"""

import io
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "motorcycle_left", "ihc", "retina")


def photo(name: str) -> Image.Image:
    """One photograph of scikit-image as RGB."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    path = next(p for p in (folder / f"{name}.png", folder / f"{name}.jpg") if p.is_file())
    return Image.open(path).convert("RGB")


def crops(image: Image.Image, count: int, seed: int, size: tuple[int, int] = (640, 480)) -> list[Image.Image]:
    """Different views of a photo: random windows, enlarged or shrunk to one size."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        scale = rng.uniform(0.6, 1.0) * min(image.width / size[0], image.height / size[1])
        w, h = int(size[0] * scale), int(size[1] * scale)
        x, y = rng.integers(0, image.width - w + 1), rng.integers(0, image.height - h + 1)
        found.append(image.crop((x, y, x + w, y + h)).resize(size, Image.Resampling.LANCZOS))
    return found


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """The image as JPEG, 4:2:0."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=2)
    return buffer.getvalue()


def vga_photos(folder: Path, count: int) -> list[Path]:
    """`count` different 640x480 JPEGs, for the benchmarks; kept when they are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:06d}.jpg" for i in range(count)]
    if all(path.is_file() for path in paths):
        return paths
    base = [view for i, name in enumerate(PHOTOS) for view in crops(photo(name), 8, seed=i, size=(800, 600))]
    rng = np.random.default_rng(0)
    for i, path in enumerate(paths):
        x, y = rng.integers(0, 160, endpoint=True), rng.integers(0, 120, endpoint=True)
        path.write_bytes(jpeg(base[i % len(base)].crop((x, y, x + 640, y + 480))))
    return paths


def planted(views: dict[str, Image.Image]) -> dict[str, bytes]:
    """The defects the demo has to find, by file name."""
    astronaut, coffee, cat, rocket = (views[f"{name}_0"] for name in ("astronaut", "coffee", "chelsea", "rocket"))
    gray = coffee.convert("L").convert("RGB")
    strip = views["motorcycle_left_0"].crop((0, 200, 640, 280))
    flat = Image.new("RGB", (640, 480), (118, 121, 117))
    return {
        "defect_dark.jpg": jpeg(astronaut.point(lambda v: v * 0.12)),
        "defect_bright.jpg": jpeg(cat.point(lambda v: 246 + v * 0.035)),
        "defect_blurred.jpg": jpeg(coffee.filter(ImageFilter.GaussianBlur(40))),
        "defect_tiny.jpg": jpeg(rocket.resize((40, 30))),
        "defect_gray.jpg": jpeg(gray),
        "defect_flat.jpg": jpeg(flat),
        "defect_strip.jpg": jpeg(strip),
        "defect_copy_of_chelsea_0.jpg": jpeg(cat),
        "defect_resaved_rocket_0.jpg": jpeg(rocket, quality=30),
        "defect_truncated.jpg": jpeg(astronaut)[:9000],
    }


def main() -> None:
    """Write the demo's photos into the folder named on the command line."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    views = {f"{name}_{k}": view for i, name in enumerate(PHOTOS) for k, view in enumerate(crops(photo(name), 3, seed=i))}
    files = {f"{name}.jpg": jpeg(view) for name, view in views.items()} | planted(views)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    sys.stdout.write(f"{len(files)} photos in {folder}, {len(planted(views))} of them with a planted defect\n")


if __name__ == "__main__":
    main()
