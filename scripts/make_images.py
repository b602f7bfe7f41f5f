"""Real photos with planted defects, for the demo, and VGA crops of them, for the benchmarks.

The photos come inside scikit-image's wheel (public domain or CC0: NASA, SpaceX, S. van der Walt, R. Michel and others; see the
docstrings of `skimage.data`). Everything else is made from them here, always the same bytes.

    python scripts/make_images.py demo/photos

A dozen frames that sweep over one photo, as a camera would, lie in a folder of their own. ``make_labels.py`` labels what is
to be seen.
"""

import io
import shutil
import sys
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "motorcycle_left", "ihc", "retina")
PAN = "motorcycle_left"
VGA = 640, 480
Window = tuple[int, int, int, int]
"""x, y, width, height in pixels of a photo."""


def photo(name: str) -> Image.Image:
    """One photograph of scikit-image, not yet decoded."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return Image.open(next(p for p in (folder / f"{name}.png", folder / f"{name}.jpg") if p.is_file()))


def windows(image: Image.Image, count: int, seed: int, size: tuple[int, int] = VGA) -> list[Window]:
    """Random windows of a photo that have the form of `size` and are 0.6 to 1.0 times as large as they can be."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        scale = rng.uniform(0.6, 1.0) * min(image.width / size[0], image.height / size[1])
        w, h = int(size[0] * scale), int(size[1] * scale)
        x, y = rng.integers(0, image.width - w + 1), rng.integers(0, image.height - h + 1)
        found.append((int(x), int(y), w, h))
    return found


def pan_windows() -> list[Window]:
    """The sweep from the left to the right edge of `PAN`, a window per frame."""
    return [(31 * i, 130, 400, 300) for i in range(12)]


def view(image: Image.Image, window: Window, size: tuple[int, int] = VGA) -> Image.Image:
    """A window of a photo, enlarged or shrunk to `size`."""
    x, y, w, h = window
    return image.convert("RGB").crop((x, y, x + w, y + h)).resize(size, Image.Resampling.LANCZOS)


def crops(image: Image.Image, count: int, seed: int, size: tuple[int, int] = VGA) -> list[Image.Image]:
    """Different views of a photo: random windows, enlarged or shrunk to one size."""
    return [view(image, window, size) for window in windows(image, count, seed, size)]


@cache
def places() -> dict[str, tuple[str, Window]]:
    """Which window of which photo every view shows, by file name without extension."""
    found = {}
    for i, name in enumerate(PHOTOS):
        found |= {f"{name}_{k}": (name, window) for k, window in enumerate(windows(photo(name), 3, seed=i))}
    return found | {f"pan/{i:04d}": (PAN, window) for i, window in enumerate(pan_windows(), 1)}


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
    small, turned = views["coffee_1"], views["astronaut_1"]
    x, y = (round(side * 0.05) for side in VGA)
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
        "defect_half_of_coffee_1.jpg": jpeg(small.resize((320, 240), Image.Resampling.LANCZOS)),
        "defect_mirror_of_astronaut_1.jpg": jpeg(turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "defect_crop_of_retina_1.jpg": jpeg(views["retina_1"].crop((x, y, VGA[0] - x, VGA[1] - y)).resize(VGA)),
        "defect_truncated.jpg": jpeg(astronaut)[:9000],
    }


def main() -> None:
    """Write the demo's photos into the folder named on the command line."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pan").mkdir(parents=True)
    photos = {name: photo(name).convert("RGB") for name in PHOTOS}
    views = {name: view(photos[source], window) for name, (source, window) in places().items()}
    files = {f"{name}.jpg": jpeg(image) for name, image in views.items()} | planted(views)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    sys.stdout.write(f"{len(files)} photos in {folder}, {len(planted(views))} of them with a planted defect\n")


if __name__ == "__main__":
    main()
