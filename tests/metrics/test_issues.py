"""Issue scores equal cleanvision's, on made images and on its own planted ones; thresholds and compatibility options."""

import contextlib
import io
import math
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from gpu_quality.types import Sizes
from tests.metrics.mini import Region, evaluate, facts_of, measure, roots_of
from tests.metrics.test_pixel_metrics import flat, photo

NAMES = (
    "dark",
    "light",
    "odd_aspect_ratio",
    "odd_size",
    "low_information",
    "blurry",
    "grayscale",
    "exact_duplicates",
    "near_duplicates",
)
SCORES = [f"{name}_score" for name in NAMES]
FLAGS = [f"is_{name}_issue" for name in NAMES]


def cleanvision_issues(files: list[Path]) -> pd.DataFrame:
    """cleanvision's own verdict, in the order of `files`."""
    with contextlib.redirect_stdout(io.StringIO()):
        from cleanvision import Imagelab

        lab = Imagelab(filepaths=[str(file) for file in files])
        lab.find_issues(n_jobs=1, verbose=False)
    return lab.issues.loc[[str(file) for file in files]]


def ours(files: list[Path], compat: str = "cleanvision") -> pd.DataFrame:
    images, channels = [], []
    for file in files:
        with Image.open(file) as image:
            assert image.mode in ("L", "RGB")
            channels.append(len(image.getbands()))
            images.append(np.array(image.convert("RGB")))
    roots = roots_of(images, facts=facts_of(len(images), channels=channels))
    return pd.DataFrame(evaluate(SCORES + FLAGS, roots, {"grayscale_score": {"compat": compat}}))


def assert_equal(files: list[Path]) -> pd.DataFrame:
    theirs, own = cleanvision_issues(files), ours(files)
    for name in SCORES:
        worst = np.abs(own[name].to_numpy(float) - theirs[name].to_numpy(float)).max()
        assert worst <= 1e-12, (name, worst)
    for name in FLAGS:
        assert own[name].tolist() == theirs[name].tolist(), name
    return own


def test_equals_cleanvision_on_made_images(tmp_path: Path) -> None:
    images = [photo(40, 60, 0), photo(300, 170, 1), photo(1, 90, 2), photo(64, 64, 3), photo(65, 20, 4), photo(2, 70, 5)]
    # a copy is one in cleanvision's sense too: gray pixels stored once as L and once as RGB would not be
    images += [images[0], images[1] // 9, 255 - images[1] // 30, flat(50, 50, (9, 9, 8)), flat(3, 4, (1, 0, 0))]
    files = []
    for row, image in enumerate(images):
        for mode in ("RGB", "L"):
            files.append(tmp_path / f"{row:02d}_{mode}.png")
            Image.fromarray(image).convert(mode).save(files[-1])
    own = assert_equal(files)
    assert own[FLAGS].any().to_dict() == dict.fromkeys(FLAGS, True) | {"is_odd_size_issue": own.is_odd_size_issue.any()}


def test_equals_cleanvision_on_photos(test_data: Path) -> None:
    assert_equal(sorted((test_data / "coco_photos" / "images").glob("*.jpg"))[:12])


def test_finds_exactly_the_planted_issues(test_data: Path) -> None:
    files = sorted((test_data / "quality" / "cleanvision10").glob("*.png"))
    own = assert_equal(files)
    found = {name: [f.stem for f, hit in zip(files, own[f"is_{name}_issue"], strict=True) if hit] for name in NAMES}
    assert {name: len(hits) for name, hits in found.items()} == {
        "dark": 1,
        "light": 1,
        "odd_aspect_ratio": 1,
        "odd_size": 1,
        "low_information": 2,
        "blurry": 1,
        "grayscale": 1,
        "exact_duplicates": 2,
        "near_duplicates": 2,
    }
    assert "417" in found["dark"][0]
    assert "604" in found["odd_size"][0]
    assert "101" in found["grayscale"][0]
    assert [name[-3:] for name in found["exact_duplicates"]] == ["142", "236"]


def test_thresholds_are_options_of_the_flags_alone() -> None:
    roots = roots_of([photo(20, 20, 1) // 3, photo(20, 20, 2)])
    scores = evaluate(["dark_score"], roots)["dark_score"]
    options = {"is_dark_issue": {"threshold": 2.0}}
    assert evaluate(["is_dark_issue"], roots, options)["is_dark_issue"] == [True, True]
    middle = sum(scores) / 2
    assert evaluate(["is_dark_issue"], roots, {"is_dark_issue": {"threshold": middle}})["is_dark_issue"] == [True, False]


def test_gray_is_what_is_shown_unless_asked_otherwise() -> None:
    gray = np.repeat(photo(30, 30, 0)[..., :1], 3, -1)
    colored = photo(30, 30, 1)
    images = [gray, colored, colored, gray, gray]
    facts = facts_of(5, channels=[3, 3, 1, 1, 1], bit_depth=[8, 8, 8, 8, 16])
    roots = roots_of(images, facts=facts)
    assert evaluate(["grayscale_score"], roots)["grayscale_score"] == [0, 1, 0, 0, 0]
    compat = {"grayscale_score": {"compat": "cleanvision"}}
    assert evaluate(["grayscale_score"], roots, compat)["grayscale_score"] == [1, 1, 0, 0, 1]


@pytest.mark.parametrize(("colored", "score"), [(1, 0), (2, 1)])
def test_one_colored_pixel_in_ten_thousand_is_still_gray(colored: int, score: int) -> None:
    image = flat(100, 100, (50, 50, 50))
    image[0, :colored, 0] = 59
    assert measure([image], ["grayscale_score"])["grayscale_score"] == [score]


def odd_size(shapes: list[tuple[int, int]]) -> tuple[list[float], list[bool]]:
    w, h = torch.tensor(shapes, dtype=torch.int32).unbind(1)
    got = evaluate(["odd_size_score", "is_odd_size_issue"], {"sizes": Sizes(w, h)})
    return got["odd_size_score"], got["is_odd_size_issue"]


def test_odd_size() -> None:
    assert odd_size([(40, 90)]) == ([1.0], [False])
    assert odd_size([(10, 10), (10, 10), (10, 10), (20, 20), (10, 10)]) == ([1, 1, 1, 0, 1], [False, False, False, True, False])
    assert odd_size([(10, 10)] * 4 + [(15, 15)])[0][-1] == pytest.approx(0.5)
    scores, flags = odd_size([(n, n) for n in (10, 11, 12, 13, 100)])
    q1, q3 = np.percentile([10, 11, 12, 13, 100], [25, 75])
    low, high = q1 - 3 * (q3 - q1), q3 + 3 * (q3 - q1)
    want = 1 - np.clip(np.abs(np.array([10, 11, 12, 13, 100]) - (low + high) / 2) / (high - low), 0, 1)
    assert scores == pytest.approx(want.tolist(), abs=1e-12)
    assert flags == (want < 0.5).tolist()


def test_objects_are_scored_on_their_bounding_rectangle() -> None:
    image = photo(80, 90, 3)
    mask = np.zeros((80, 90), bool)
    mask[10:75, 20:88] = np.random.default_rng(0).random((65, 68)) < 0.3
    mask[10, 20:88] = mask[74, 20:88] = mask[10:75, 20] = mask[10:75, 87] = True
    names = ["dark_score", "light_score", "low_information_score", "blurry_score"]
    got = measure([image, image[10:75, 20:88]], names, [Region(0, (20, 10, 88, 75), mask), Region(0, (20, 10, 88, 75))])
    for name, (_, crop, masked, boxed) in got.items():
        assert crop == masked == boxed, name


def test_a_group_that_is_exact_is_no_near_duplicate() -> None:
    image = photo(40, 40, 4)
    near = image.copy()
    near[20, 20] ^= 1
    assert imagehash.phash(Image.fromarray(image)) == imagehash.phash(Image.fromarray(near))
    got = measure([image, image, photo(40, 40, 5)], ["exact_duplicates_score", "near_duplicates_score"])
    assert got == {"exact_duplicates_score": [0.5, 0.5, 1], "near_duplicates_score": [1, 1, 1]}
    got = measure([image, image, near], ["exact_duplicates_score", "near_duplicates_score"])
    assert got["exact_duplicates_score"] == [0.5, 0.5, 1]
    assert all(math.isclose(score, 1 / 3) for score in got["near_duplicates_score"])


def test_equal_bytes_of_another_shape_are_no_duplicate() -> None:
    image = photo(32, 64, 6)
    other = image.reshape(64, 32, 3)
    assert measure([image, other], ["exact_duplicates_score"])["exact_duplicates_score"] == [1, 1]
