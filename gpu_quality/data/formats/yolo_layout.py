"""Where a YOLO data set keeps its images, its label files and the names of its classes."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gpu_quality.config import load_yaml
from gpu_quality.data.formats.label_files import Place, holds_images
from gpu_quality.data.formats.stems import stem_of
from gpu_quality.data.formats.text_lines import lines
from gpu_quality.errors import UsageError
from gpu_quality.text import clean

YAMLS: Final = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
TASKS: Final = ("detect", "segment", "obb", "pose")
NAMES: Final = ("classes.txt", "obj.names")
"""Files that name the classes, one a line."""
SPLIT_KEYS: Final = ("train", "val", "test")
_MOST_CLASSES: Final = 1_000_000


@dataclass(slots=True)
class Part:
    """Some images and the label files that belong to them; `images` is a folder or a text with one path a line."""

    split: str | None
    images: Path | None
    labels: Path | None


@dataclass(slots=True)
class Layout:
    """What a path means. `base` is the folder that file names and frame ids are relative to."""

    base: Path
    parts: list[Part]
    names: dict[int, str] = field(default_factory=dict)
    keypoints: tuple[int, int] | None = None
    """Number of keypoints and of numbers for each, 2 or 3."""
    task: str = ""
    """What the lines are; empty where they must tell themselves."""
    notes: list[str] = field(default_factory=list)
    """What was guessed."""

    @property
    def places(self) -> list[Place]:
        """Where the images lie."""
        return [Place(part.images, part.split) for part in self.parts if part.images is not None]


def layout_of(path: Path) -> Layout:
    """The layout of a data.yaml, a folder that holds one, a folder with images/ and labels/, or a folder of label files.

    Raises `UsageError` where the yaml says nothing usable or there is no such folder.
    """
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return _from_yaml(path)
    if not path.is_dir():
        hint = "give a data.yaml or a folder of .txt files"
        raise UsageError(f"{path} is neither a YAML file nor a folder of YOLO labels", hint=hint)
    path = Path(os.path.abspath(path))  # noqa: PTH100
    config = _config_in(path)
    return _from_folder(path) if config is None else _from_yaml(config)


def _config_in(folder: Path) -> Path | None:
    return next((folder / name for name in YAMLS if (folder / name).is_file()), None)


def _from_folder(path: Path) -> Layout:
    """A folder with images/ and labels/, or of label files: images lie where labels/ is called images/, or between them."""
    if (path / "labels").is_dir():
        labels, images, base = path / "labels", path / "images", path
    else:
        labels, images = path, Path(_swapped(str(path), "labels", "images") or path)
        base = Path(os.path.commonpath([labels, images]))
    known = images.is_dir() and (images != labels or holds_images(images))
    layout = Layout(base, [Part(None, images if known else None, labels)], _plain_names(path, labels))
    layout.task = _hinted(path)
    _learn_from_above(layout, path)
    return layout


def _learn_from_above(layout: Layout, path: Path) -> None:
    """Class names and keypoints of a data.yaml in one of the two folders above a folder of label files."""
    config = next((found for folder in path.parents[:2] if (found := _config_in(folder)) is not None), None)
    if config is not None and not layout.names:
        known = _from_yaml(config)
        layout.names, layout.keypoints, layout.task = known.names, known.keypoints, known.task or layout.task
        layout.notes.append(f"classes are named by {clean(config)}")


def _from_yaml(path: Path) -> Layout:
    values = load_yaml(path)
    path = Path(os.path.abspath(path))  # noqa: PTH100
    root = path.parent
    if isinstance(values.get("path"), str):
        named = Path(path.parent, values["path"])
        if named.is_dir():  # data sets are moved without their yaml being edited
            root = Path(os.path.normpath(named))
    named_places = [(key, place) for key in SPLIT_KEYS for place in _places(path, key, values.get(key))]
    counts = Counter(place for _, place in named_places)
    parts: dict[str, Part] = {}
    for key, place in named_places:
        split = key if counts[place] == 1 else None  # a place of several splits says nothing about its images
        parts.setdefault(place, _part(root, path.parent, place, split))
    if not parts and (root / "labels").is_dir():
        parts[""] = Part(None, root / "images" if (root / "images").is_dir() else None, root / "labels")
    if not parts:
        raise UsageError(
            f"{path} names no images: no {', '.join(SPLIT_KEYS)}", hint="is this the data.yaml of a YOLO data set?"
        )
    task = values.get("task") if values.get("task") in TASKS else None
    layout = Layout(root, list(parts.values()), _names(path, values), _keypoints(path, values.get("kpt_shape")))
    layout.task = task or ("pose" if layout.keypoints else "") or _hinted(path)
    return layout


def _places(path: Path, key: str, value: Any) -> list[str]:
    places = value if isinstance(value, list) else [value] if value else []
    if not all(isinstance(place, str) for place in places):
        raise UsageError(f"{path}: {key} must be a folder, a text file or a list of them, found {repr(value)[:80]}")
    return places


def _part(root: Path, home: Path, place: str, split: str | None) -> Part:
    """The part that one entry of train, val or test means."""
    tries = [root / place, home / place, root / place.removeprefix("../"), home / place.removeprefix("../")]
    images = Path(os.path.normpath(next((p for p in tries if p.exists()), tries[0])))
    if images.suffix == ".txt":
        return Part(split, images, None)
    if (images / "images").is_dir() and (images / "labels").is_dir():
        return Part(split, images / "images", images / "labels")
    return Part(split, images, Path(_swapped(str(images), "images", "labels") or images))


def label_of(image: str) -> str:
    """The label file of an image: the last folder called images becomes labels, and .txt the extension of an image."""
    folder, sign, last = stem_of(image).rpartition("/")
    return f"{_swapped(folder, 'images', 'labels') or folder}{sign}{last}.txt"


def _swapped(path: str, old: str, new: str) -> str:
    """The path with its last part called `old` renamed, empty where it has none."""
    parts = path.split("/")
    if old not in parts:
        return ""
    parts[len(parts) - 1 - parts[::-1].index(old)] = new
    return "/".join(parts)


def _names(path: Path, values: dict[str, Any]) -> dict[int, str]:
    names = values.get("names")
    if isinstance(names, list):
        return {i: str(name) for i, name in enumerate(names)}
    if isinstance(names, dict):
        if not all(str(key).isdecimal() and len(str(key)) < 10 for key in names):
            raise UsageError(f"{path}: the keys of names must be class numbers, found {repr(list(names))[:80]}")
        return {int(key): str(names[key]) for key in sorted(names, key=int)}
    if names is not None:
        raise UsageError(f"{path}: names must be a list or a mapping of class numbers, found {repr(names)[:80]}")
    count = values.get("nc")
    return {i: str(i) for i in range(count)} if isinstance(count, int) and 0 < count <= _MOST_CLASSES else {}


def _keypoints(path: Path, shape: Any) -> tuple[int, int] | None:
    if shape is None:
        return None
    if not (isinstance(shape, list) and len(shape) == 2 and type(shape[0]) is int and 0 < shape[0] < 10_000):
        shape = None
    if shape is None or type(shape[1]) is not int or shape[1] not in (2, 3):
        raise UsageError(f"{path}: kpt_shape must be [number of keypoints, 2 or 3]")
    return shape[0], shape[1]


def _plain_names(*folders: Path) -> dict[int, str]:
    """Names of a classes.txt beside the labels, one a line."""
    for file in (folder / name for folder in folders for name in NAMES):
        if file.is_file():
            return {number - 1: name.strip() for number, name in lines(file) if name.strip()}
    return {}


def _hinted(path: Path) -> str:
    """The task that one of the last folders is named after, as in ``runs/obb/predict/labels`` or ``dota8-obb.yaml``."""
    words = {word for part in path.parts[-3:] for word in re.split(r"[^a-z]+", part.lower())}
    return next((task for task in ("obb", "pose", "segment", "detect") if task in words), "")
