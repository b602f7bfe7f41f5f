"""Small images made in code, for tests that run the whole program."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_photos(folder: Path, count: int, *, seed: int = 0, broken: int = 0, size: tuple[int, int] = (40, 30)) -> list[str]:
    """`count` different PNGs and `broken` truncated ones; returns their names in order of ids."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = []
    for i in range(count):
        low = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(low).resize(size, Image.Resampling.BICUBIC).save(folder / f"photo{i:03d}.png")
        names.append(f"photo{i:03d}.png")
    for i in range(broken):
        path = folder / f"zbroken{i}.png"
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:200])
        names.append(path.name)
    return sorted(names)


def data_files(store: Path) -> dict[str, bytes]:
    """Every file of a store that must not depend on when or how often it was interrupted."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and "logs" not in path.parts and path.name != ".lock"
    }
