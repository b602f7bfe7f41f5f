"""Writing COCO: labels as an instances file, a prediction set as a list of results."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from gpu_quality.annotations import Dataset
from gpu_quality.data.formats.coco_numbers import boxes, degrees, image_ids, integers
from gpu_quality.errors import UsageError
from gpu_quality.types import KINDS

_PIECE: Final = 20_000
"""Objects turned into JSON at a time."""
_ONE_RING: Final = KINDS.index("rotated_box")
_MASK: Final = KINDS.index("mask")
_UNHELD: Final = (KINDS.index("polyline"), KINDS.index("point"))
_KEYPOINTS: Final = KINDS.index("keypoints")


def write_file(dataset: Dataset, origin: str, path: Path) -> list[str]:
    """COCO JSON: the labels as an object of images, categories and annotations, a prediction set as a list of results.

    Ids of annotations and categories are those of the file they were read from where these are integers, else counted from 1.
    An image id is the number in its file name where all names are different numbers, else the place in the order of frames,
    counted from 1; labels and predictions of one data set agree. Returns what COCO cannot hold. Raises `UsageError` for an
    origin that is not there.
    """
    writing = Writing.of(dataset, origin)
    with path.open("wb") as file:
        if origin == "labels":
            file.write(b'{"images":')
            file.write(orjson.dumps(writing.images()))
            videos = writing.videos()
            file.write(b',"videos":' + orjson.dumps(videos) if videos else b"")
            file.write(b',"categories":' + orjson.dumps(writing.categories()))
            file.write(b',"annotations":')
        _list(file, writing.records())
        file.write(b"}" if origin == "labels" else b"")
    return [f"{count:,} {what}" for what, count in sorted(writing.lost.items())]


def _list(file: BinaryIO, pieces: Iterator[list[dict[str, Any]]]) -> None:
    """One JSON list out of pieces, a record a line."""
    file.write(b"[")
    between = b"\n"
    for piece in pieces:
        for record in piece:
            file.write(between + orjson.dumps(record))
            between = b",\n"
    file.write(b"\n]")


@dataclass(slots=True)
class Writing:
    """One origin of a data set with the ids it gets; `lost` counts what the format has no place for."""

    dataset: Dataset
    number: int
    objects: pa.Table
    image_ids: list[int]
    category_ids: dict[int, int]
    """By class row."""
    attributes: dict[str, dict[str, str]]
    """Answers about objects, by object."""
    lost: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, dataset: Dataset, origin: str) -> "Writing":
        """What is to be written of an origin."""
        if origin not in dataset.origins:
            raise UsageError(f"there is no prediction set {origin!r}", hint=f"known: {', '.join(dataset.origins)}")
        number = dataset.origins.index(origin)
        objects = dataset.objects.filter(pc.equal(dataset.objects.column("origin"), number))
        asked = set(dataset.classifications.column("class_id").unique().to_pylist())
        drawn = set(dataset.objects.column("class_id").unique().to_pylist())
        rows = [row for row in range(len(dataset.classes)) if row in drawn or row not in asked]
        known = integers([dataset.class_sources[row] for row in rows])
        ids = known if known is not None and len(set(known)) == len(known) else list(range(1, len(rows) + 1))
        frames = image_ids(dataset.frames.column("frame").to_pylist())
        made = cls(dataset, number, objects, frames, dict(zip(rows, ids, strict=True)), {})
        made._take_answers()
        return made

    def _take_answers(self) -> None:
        mine = self.dataset.classifications.filter(pc.equal(self.dataset.classifications.column("origin"), self.number))
        for row in mine.select(["object", "question", "class_id", "score", "annotator"]).to_pylist():
            if row["object"] is None:
                self.lost["answers about whole frames are left out"] += 1
                continue
            answers = self.attributes.setdefault(row["object"], {})
            if row["question"] in answers:
                self.lost["further answers to the same question are left out"] += 1
            answers.setdefault(row["question"], self.dataset.classes[row["class_id"]])
            if row["score"] is not None or row["annotator"] is not None:
                self.lost["answers lose their score or annotator"] += 1

    def images(self) -> list[dict[str, Any]]:
        """Images of the frames that the labels know."""
        frames = self.dataset.frames
        rows = zip(self.image_ids, frames.to_pylist(), strict=True)
        videos = {video["name"]: video["id"] for video in self.videos()}
        found = []
        for image, frame in rows:
            if not frame["labelled"]:
                self.lost["frames that the labels do not know are left out"] += 1
                continue
            record = {"id": image, "file_name": frame["frame"]}
            record |= {side: frame[side] for side in ("width", "height") if frame[side] is not None}
            if frame["sequence"]:
                record |= {"video_id": videos[frame["sequence"]], "frame_id": frame["position"]}
            self.lost["frames lose their time"] += frame["seconds"] is not None
            self.lost["frames lose their split"] += frame["split"] is not None
            found.append(record)
        self.lost = +self.lost
        return found

    def videos(self) -> list[dict[str, Any]]:
        """Sequences of those frames."""
        frames = self.dataset.frames.filter(self.dataset.frames.column("labelled"))
        names = sorted(name for name in frames.column("sequence").unique().to_pylist() if name)
        return [{"id": i, "name": name} for i, name in enumerate(names, 1)]

    def categories(self) -> list[dict[str, Any]]:
        """Classes of objects, and those that nothing uses."""
        return [{"id": source, "name": self.dataset.classes[row]} for row, source in self.category_ids.items()]

    def records(self) -> Iterator[list[dict[str, Any]]]:
        """Annotations or results, some thousand at a time."""
        sources = integers(self.objects.column("source_id").to_pylist()) if self.number == 0 else None
        if sources is None and self.number == 0 and len(self.objects):
            self.lost["annotations are numbered from 1, as not every id was an integer"] = len(self.objects)
        for first in range(0, len(self.objects), _PIECE):
            table = self.objects.slice(first, _PIECE)
            ids = sources[first : first + _PIECE] if sources is not None else range(first + 1, first + 1 + len(table))
            yield self._piece(table, list(ids))

    def _piece(self, table: pa.Table, ids: list[int]) -> list[dict[str, Any]]:
        """Records of some objects."""
        box = np.array(table.column("box").combine_chunks().flatten()).reshape(-1, 4)
        area = np.array(table.column("area"))
        xywh, exact, fits = boxes(box, None if self.number == 0 else area)
        angle = degrees(np.array(pc.fill_null(table.column("angle"), np.nan)))
        self.lost["boxes are not exact: their corners are no sum of x and width in float64"] += int((~exact).sum())
        names = ("object", "class_id", "row", "score", "track", "crowd", "difficult", "kind", "polygon", "rle", "keypoints")
        columns = {
            name: table.column(name).to_pylist() for name in (*names, "annotator", "probabilities", "annotation_seconds")
        }
        made = []
        for i in range(len(table)):
            row = {name: column[i] for name, column in columns.items()}
            if row["kind"] in _UNHELD:
                self.lost[f"objects are left out: COCO knows no {KINDS[row['kind']]}"] += 1
                continue
            record = {"id": ids[i]} if self.number == 0 else {}
            record |= {"image_id": self.image_ids[row["row"]], "category_id": self.category_ids[row["class_id"]]}
            record |= _shape(row, xywh[i].tolist(), float(angle[i]))
            record |= self._facts(row, float(area[i]))
            if self.number and not fits[i]:
                self._without_box(record)
            made.append(record)
        self.lost = +self.lost
        return made

    def _without_box(self, record: dict[str, Any]) -> None:
        """Results with a box have its area; others keep theirs by naming their shape alone."""
        if "segmentation" in record:
            record.pop("bbox", None)
        elif "bbox" in record:
            self.lost["results get the area of their box, which was not theirs"] += 1

    def _facts(self, row: dict[str, Any], area: float) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if self.number == 0:
            facts |= {"area": area, "iscrowd": int(row["crowd"])}
        elif row["score"] is not None:
            facts["score"] = row["score"]
        if row["difficult"]:
            facts["ignore"] = 1
        if row["keypoints"] is not None and self.number == 0:
            facts["num_keypoints"] = sum(v > 0 for v in row["keypoints"][2::3])
        for name, key in (("track", "track_id"), ("annotator", "annotator"), ("annotation_seconds", "annotation_seconds")):
            if row[name] is not None:
                facts[key] = row[name]
        if row["object"] in self.attributes:
            facts["attributes"] = self.attributes[row["object"]]
        self.lost["objects lose their probabilities"] += row["probabilities"] is not None
        return facts


def _shape(row: dict[str, Any], xywh: list[float], angle: float) -> dict[str, Any]:
    """Box, rings or mask, keypoints; an object that is keypoints alone has no box of its own."""
    shape: dict[str, Any] = {} if row["kind"] == _KEYPOINTS else {"bbox": xywh}
    if row["kind"] == _MASK:
        rle = row["rle"]
        shape["segmentation"] = {"size": [rle["height"], rle["width"]], "counts": rle["counts"].decode("ascii")}
    elif row["polygon"] is not None:
        shape["segmentation"] = row["polygon"]
    if row["kind"] == _ONE_RING:
        shape["rotation"] = angle
    if row["keypoints"] is not None:
        shape["keypoints"] = row["keypoints"]
    return shape
