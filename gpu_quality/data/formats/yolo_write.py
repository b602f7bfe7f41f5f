"""Writing YOLO data sets: label files that mirror the images, a data.yaml, and lists of images."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from gpu_quality.annotations import Dataset
from gpu_quality.annotations.columns import Floats
from gpu_quality.data.formats.folder import path_of
from gpu_quality.data.formats.relative_numbers import shares, spans
from gpu_quality.data.formats.yolo_layout import SPLIT_KEYS, label_of
from gpu_quality.errors import FrameError, UsageError
from gpu_quality.types import KINDS

_HELD: Final = {
    "detect": ("box",),
    "segment": ("polygon", "rotated_box", "box"),
    "obb": ("rotated_box", "polygon", "box"),
    "pose": ("box", "keypoints"),
}
"""Kinds that a folder of each task can hold. Among outlines boxes are written as four corners; among rotated boxes polygons
must have four points."""
_PIECE: Final = 100_000
"""Objects turned into text at a time."""


def write_folder(dataset: Dataset, origin: str, path: Path) -> list[str]:
    """Write one origin of a data set as a YOLO folder; returns sentences about what it cannot hold.

    Raises `UsageError` where the folder already holds labels or the origin is unknown.
    """
    if origin not in dataset.origins:
        raise UsageError(f"there is no origin {origin!r}", hint=f"known: {', '.join(dataset.origins)}")
    if (path / "labels").exists():
        raise UsageError(f"{path} already holds labels", hint="choose another folder: old files would mix with new ones")
    number = dataset.origins.index(origin)
    objects = dataset.objects.filter(pc.equal(dataset.objects.column("origin"), number))
    job = _Writing(dataset, origin)
    job.write(objects, path)
    return [f"{count:,} {text}" for text, count in sorted(job.lost.items()) if count]


def image_path(frame: str) -> str:
    """Where a YOLO data set keeps the image of a frame: its id, below images/ unless a folder of it has that name already."""
    return frame if "images" in frame.split("/")[:-1] else f"images/{frame}"


def task_of(kinds: Mapping[str, int], keypoints: int, *, quads: bool) -> str:
    """The one task of a folder: keypoints, else rotated boxes, else polygons, else boxes; whichever of these there are.

    Rotated boxes among polygons make a folder of outlines, unless all those polygons are `quads`.
    """
    if keypoints:
        return "pose"
    if kinds.get("rotated_box") and quads:
        return "obb"
    return "segment" if kinds.get("polygon") or kinds.get("rotated_box") else "detect"


@dataclass(slots=True)
class _Writing:
    """One folder on its way to disk, and what did not fit into it."""

    dataset: Dataset
    origin: str
    lost: Counter[str] = field(default_factory=Counter)
    task: str = ""
    triples: int = 0
    """Keypoints of each object of a pose folder."""
    short: set[int] = field(default_factory=set)
    """Rows of frames that lost an object: without a line they get no label file, which would say that they show nothing."""

    def write(self, objects: Any, path: Path) -> None:
        """All files of the folder."""
        frames = self.dataset.frames
        lengths = pc.list_value_length(objects.column("keypoints")).drop_null().to_numpy()
        counts = Counter((lengths // 3).tolist())
        self.triples = max(counts, key=lambda n: (counts[n], n)) if counts else 0
        kinds = Counter(KINDS[k] for k in objects.column("kind").to_pylist())
        outlines = objects.filter(pc.equal(objects.column("kind"), KINDS.index("polygon"))).column("polygon")
        self.task = task_of(kinds, self.triples, quads=all(map(_is_quad, outlines.to_pylist())))
        files = self.places(path)
        texts: defaultdict[int, list[str]] = defaultdict(list)
        for start in range(0, objects.num_rows, _PIECE):
            for row, line in self.lines(objects.slice(start, _PIECE)):
                if row in files:
                    texts[row].append(line)
                else:
                    self.lost["objects left out: their image has no label file of its own"] += 1
        labelled = frames.column("labelled").to_pylist()
        (path / "labels").mkdir(parents=True)
        for row, file in files.items():
            if texts[row] or (labelled[row] and self.origin == "labels" and row not in self.short):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("".join(texts[row]), encoding="utf-8")
        self.write_yaml(path)

    def places(self, path: Path) -> dict[int, Path]:
        """Label file of every frame that can have one."""
        files: dict[int, Path] = {}
        taken: set[Path] = set()
        for row, frame in enumerate(self.dataset.frames.column("frame").to_pylist()):
            try:
                file = path_of(path, label_of(image_path(frame)))
            except FrameError:
                self.lost["images left out: their names lead out of the folder"] += 1
                continue
            if file in taken:
                self.lost["images left out: another image of that name has the same label file"] += 1
                continue
            taken.add(file)
            files[row] = file
        return files

    def lines(self, objects: Any) -> list[tuple[int, str]]:
        """Row of the frame and line of every object that the folder can hold."""
        rows = objects.column("row").to_numpy()
        width, height = (
            self.dataset.frames.column(side).to_numpy(zero_copy_only=False).astype(np.float64)[rows]
            for side in ("width", "height")
        )
        box = np.array(objects.column("box").combine_chunks().flatten().to_numpy(zero_copy_only=False)).reshape(-1, 4)
        x, w = spans(box[:, 0], box[:, 2], width)
        y, h = spans(box[:, 1], box[:, 3], height)
        relative = np.column_stack([x, y, w, h])
        found = []
        for i, row in enumerate(self.details(objects)):
            size = width[i], height[i]
            numbers = self.numbers(row, relative[i], box[i], size) if np.isfinite(size[0] + size[1]) else "size"
            if numbers == "size":
                self.lost["objects left out: the size of their image is unknown, and YOLO's numbers are relative to it"] += 1
            if not isinstance(numbers, list):
                self.short.add(int(rows[i]))
            else:
                score = [] if self.origin == "labels" or row["score"] is None else [row["score"]]
                words = [str(row["class_id"]), *map(repr, numbers + score)]
                found.append((int(rows[i]), " ".join(words) + "\n"))
        return found

    def details(self, objects: Any) -> list[dict[str, Any]]:
        """What decides how an object is written."""
        names = ["class_id", "kind", "score", "crowd", "polygon", "keypoints", "track", "difficult"]
        rows: list[dict[str, Any]] = objects.select(names).to_pylist()
        return rows

    def numbers(self, row: dict[str, Any], relative: Floats, box: Floats, size: tuple[float, float]) -> list[float] | None:
        """The numbers after the class, None where the folder cannot hold the object."""
        kind = KINDS[row["kind"]]
        if row["crowd"]:
            self.lost["crowd regions left out"] += 1
        elif kind not in _HELD[self.task]:
            self.lost[f"objects left out: a folder of the task {self.task} holds no {kind.replace('_', ' ')}"] += 1
        elif self.task == "pose":
            return self.pose(row, relative, size)
        elif self.task == "detect":
            return self.noted(row, relative.tolist())
        elif kind == "polygon" and self.task == "obb" and not _is_quad(row["polygon"]):
            self.lost["polygons left out: a folder of the task obb holds four corners"] += 1
        elif kind == "box":
            self.lost[f"boxes written as four corners: the task is {self.task}"] += 1
            x1, y1, x2, y2 = box.tolist()
            return self.noted(row, _relative(np.array([x1, y1, x2, y1, x2, y2, x1, y2]), size))
        else:
            self.lost["rotated boxes written as outlines: there are polygons, and a folder has one task"] += (
                kind == "rotated_box" and self.task == "segment"
            )
            return self.noted(row, _relative(self.ring(row["polygon"]), size))
        return None

    def noted(self, row: dict[str, Any], numbers: list[float]) -> list[float]:
        """The numbers; counts facts that have no place in a line."""
        if row["track"] is not None:
            self.lost["track ids left out"] += 1
        if row["difficult"]:
            self.lost["marks `difficult` left out"] += 1
        return numbers

    def ring(self, rings: list[list[float]]) -> Floats:
        """The largest ring of an outline."""
        if len(rings) > 1:
            self.lost["polygons written by their largest ring alone: a line holds one"] += 1
        return max((np.array(ring) for ring in rings), key=_area)

    def pose(self, row: dict[str, Any], relative: Floats, size: tuple[float, float]) -> list[float] | None:
        """Box and keypoints; zeros where an object has none."""
        triples = np.array(row["keypoints"] or [0.0] * 3 * self.triples)
        if len(triples) != 3 * self.triples:
            self.lost[f"objects left out: they do not have {self.triples} keypoints as most do"] += 1
            return None
        points = triples.reshape(-1, 3)
        points[:, 0], points[:, 1] = (shares(points[:, i], np.full(len(points), size[i])) for i in (0, 1))
        return self.noted(row, relative.tolist() + points.reshape(-1).tolist())

    def write_yaml(self, path: Path) -> None:
        """data.yaml, and a list of images for every split; a list under both train and val belongs to neither."""
        frames = self.dataset.frames
        lists: defaultdict[str, list[str]] = defaultdict(list)
        for frame, split in zip(frames.column("frame").to_pylist(), frames.column("split").to_pylist(), strict=True):
            name = split if split in SPLIT_KEYS else "images"
            self.lost["images whose split is none of train, val, test"] += split is not None and name == "images"
            lists[name].append(f"./{image_path(frame)}\n")
        for name, images in lists.items():
            (path / f"{name}.txt").write_text("".join(images), encoding="utf-8")
        keys = {key: [f"{key}.txt"] for key in SPLIT_KEYS if key in lists}
        if "images" in lists:
            keys |= {key: [*keys.get(key, []), "images.txt"] for key in ("train", "val")}
        text = ['path: "."', *(f"{key}: {json.dumps(value)}" for key, value in keys.items())]
        text += [f"task: {self.task}", f"nc: {len(self.dataset.classes)}", "names:" if self.dataset.classes else "names: {}"]
        text += [f"  {i}: {json.dumps(name, ensure_ascii=False)}" for i, name in enumerate(self.dataset.classes)]
        text += [f"kpt_shape: [{self.triples}, 3]"] * (self.task == "pose")
        (path / "data.yaml").write_text("\n".join(text) + "\n", encoding="utf-8")


def _area(ring: Floats) -> float:
    x, y = ring[0::2] - ring[0], ring[1::2] - ring[1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def _is_quad(rings: list[list[float]]) -> bool:
    return len(rings) == 1 and len(rings[0]) == 8


def _relative(ring: Floats, size: tuple[float, float]) -> list[float]:
    numbers: list[float] = shares(ring, np.tile(size, len(ring) // 2)).tolist()
    return numbers
