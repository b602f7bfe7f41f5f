"""Hashes equal those of imagehash; groups, distances and frozen frames."""

import imagehash
import numpy as np
import pytest
import torch
from PIL import Image

from gpu_quality.types import Masked, Sizes
from tests.metrics.mini import evaluate, measure, roots_of
from tests.metrics.test_pixel_metrics import flat, photo

SHAPES = [(50, 70), (8, 9), (32, 32), (5, 3), (120, 33), (1, 1), (64, 200), (9, 8)]


def unsigned(code: int) -> int:
    return code % (1 << 64)


def distance(a: int, b: int) -> int:
    return (unsigned(a) ^ unsigned(b)).bit_count()


def thumbnail(image: np.ndarray, width: int, height: int) -> Image.Image:
    """Pillow's thumbnail, horizontal pass first: from version 13 on it takes another order for tall pictures."""
    gray = Image.fromarray(image).convert("L")
    narrow = gray.resize((width, gray.height), Image.Resampling.LANCZOS)
    return narrow.resize((width, height), Image.Resampling.LANCZOS)


def assert_imagehash(images: list[np.ndarray]) -> None:
    """imagehash leaves a picture alone that already has the size of its thumbnail."""
    got = measure(images, ["phash", "dhash"])
    for row, image in enumerate(images):
        assert f"{unsigned(got['phash'][row]):016x}" == str(imagehash.phash(thumbnail(image, 32, 32))), row
        assert f"{unsigned(got['dhash'][row]):016x}" == str(imagehash.dhash(thumbnail(image, 9, 8))), row


def test_phash_and_dhash_equal_imagehash() -> None:
    assert_imagehash([photo(h, w, seed) for seed, (h, w) in enumerate(SHAPES * 3)])


def test_flat_frames() -> None:
    got = measure([flat(20, 30, (0, 0, 0)), flat(20, 30, (9, 9, 9)), flat(4, 4, (255, 255, 255))], ["phash", "dhash"])
    assert got == {"phash": [0, -(1 << 63), -(1 << 63)], "dhash": [0, 0, 0]}


@pytest.mark.parametrize("name", ["phash_d4", "dhash_d4"])
def test_flips_and_turns_keep_the_d4_hashes(name: str) -> None:
    image = photo(57, 83, 11)
    flips = [image, image[::-1], image[:, ::-1], image[::-1, ::-1]]
    turned = [np.rot90(image), np.rot90(image, 3), image.transpose(1, 0, 2)]
    codes = measure([*flips, *turned], [name])[name]
    assert len(set(codes[:4])) == 1
    assert all(distance(codes[0], code) <= 2 for code in codes[4:])


@pytest.mark.parametrize(("name", "plain"), [("phash_d4", imagehash.phash), ("dhash_d4", imagehash.dhash)])
def test_d4_hashes_are_the_smallest_of_eight(name: str, plain) -> None:
    thumbnail = photo(32, 32, 3)
    variants = [np.rot90(base, k) for base in (thumbnail, thumbnail[:, ::-1]) for k in range(4)]
    smallest = min(int(str(plain(Image.fromarray(np.ascontiguousarray(v)))), 16) for v in variants)
    assert unsigned(measure([thumbnail], [name])[name][0]) == smallest


def test_content_hash_follows_its_definition() -> None:
    def mix(x: int) -> int:
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    image = photo(5, 7, 1)
    total = sum(mix(i << 24 | r << 16 | g << 8 | b) for i, (r, g, b) in enumerate(image.reshape(-1, 3).tolist()))
    assert unsigned(measure([image], ["content_hash"])["content_hash"][0]) == total % 2**64 ^ mix(7 << 32 | 5)


def test_content_hash_sees_every_pixel_and_the_shape() -> None:
    image = photo(16, 24, 2)
    changed = image.copy()
    changed[7, 5, 1] ^= 1
    swapped = image.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    codes = measure([image, changed, swapped, image.reshape(24, 16, 3), image], ["content_hash"])["content_hash"]
    assert len(set(codes)) == 4
    assert codes[0] == codes[4]


def table(name: str, options: dict | None = None, **columns):
    given = {key: torch.from_numpy(np.array(value)) for key, value in columns.items()}  # float64, int64
    return evaluate([name], given, {name: options or {}})[name]


def test_phash_distance() -> None:
    full = [20.0] * 4
    assert table("phash_distance", phash=[0b111, 0b1, 0b11000, -1], thumbnail_range=full) == [2, 2, 3, 61]
    assert table("phash_distance", phash=[5], thumbnail_range=[3.0]) == [None]
    assert table("phash_distance", phash=[5, 5, 4], thumbnail_range=[3.0, float("nan"), 3.0]) == [1, None, 1]


def test_near_duplicates_gather_around_leaders() -> None:
    far = 0b1111_1111 << 40
    codes = [0, 0b11111, 0b1111111111, far, 0b1, far, 0b11]
    ranges = [20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 7.0]
    # row 2 is near row 1 but not near the leader 0; row 6 is too flat to say
    assert table("near_duplicate_group", phash=codes, thumbnail_range=ranges) == [0, 0, None, 3, 0, 3, None]
    exact = table("near_duplicate_group", {"radius": 0}, phash=codes, thumbnail_range=ranges)
    assert exact == [None, None, None, 3, None, 3, None]
    turned = table("near_duplicate_group_d4", phash_d4=codes, thumbnail_range=ranges)
    assert turned == [0, 0, None, 3, 0, 3, None]


def test_exact_duplicates_share_their_first_row() -> None:
    image, other = photo(20, 20, 1), photo(20, 20, 2)
    images = [other, image, flat(3, 3, (1, 2, 3)), image, other, image]
    assert measure(images, ["exact_duplicate_group"])["exact_duplicate_group"] == [0, 1, None, 1, 0, 1]


def test_equal_hashes_are_confirmed_by_color() -> None:
    roots = {
        "content_hash": torch.tensor([7, 7, 7, 7]),
        "mean_red": torch.tensor([0.5, 0.5, 0.5, torch.nan], dtype=torch.float64),
        "mean_green": torch.tensor([0.5, 0.5, 0.25, torch.nan], dtype=torch.float64),
        "mean_blue": torch.tensor([0.5, 0.5, 0.5, torch.nan], dtype=torch.float64),
        "contrast": torch.tensor([0.1, 0.1, 0.1, torch.nan], dtype=torch.float64),
        "sizes": Sizes(torch.tensor([4, 4, 4, 4], dtype=torch.int32), torch.tensor([4, 4, 4, 4], dtype=torch.int32)),
    }
    assert evaluate(["exact_duplicate_group"], roots)["exact_duplicate_group"] == [0, 0, None, None]


def test_a_group_says_why_it_is_null() -> None:
    from gpu_quality.metrics.duplicates import near_duplicate_group

    result = near_duplicate_group(torch.tensor([1]), torch.tensor([9.0], dtype=torch.float64))
    assert isinstance(result, Masked)
    assert result.reason == "no_neighbors"


def test_frozen_compares_neighbors_of_one_sequence() -> None:
    got = table(
        "frozen",
        content_hash=[5, 5, 5, 8, 5, 5, 9, 9],
        sequence=[0, 0, 1, 0, 1, 1, -1, -1],
        position=[0, 1, 9, 2, 3, 4, 0, 0],
    )
    # sequence 0: 5 5 8; sequence 1 in order of position: rows 4, 5, 2; lone images never
    assert got == [0, 1, 1, 0, 0, 1, 0, 0]


def test_hashes_of_photos_equal_imagehash(test_data) -> None:
    files = sorted(p for p in (test_data / "near_duplicates" / "bridge_mods").iterdir() if p.suffix in (".jpg", ".png"))
    assert files
    assert_imagehash([np.array(Image.open(file).convert("RGB")) for file in files])


def test_roots_of_a_batch_are_not_changed() -> None:
    roots = roots_of([photo(20, 20, 1)])
    before = roots["pixels"].data.clone()
    evaluate(["phash", "content_hash", "sharpness", "blurry_score"], roots)
    assert torch.equal(before, roots["pixels"].data)
