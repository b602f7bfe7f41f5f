"""CVAT XML 1.1: images with shapes and tags, or tracks through a video."""

from collections import Counter
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.cvat_shapes import DRAWN, shape_of
from gpu_quality.data.formats.gathering import Facts, Gatherer, Shape
from gpu_quality.data.formats.label_files import Place, adopt_images
from gpu_quality.data.formats.stems import stem_of
from gpu_quality.data.formats.xml_records import XmlError, number_of, records, root_tag, side_of, text_of
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_FILE: Final = "annotations.xml"
"""What the file of an export is called, beside the folder of images."""
MOST_FRAMES: Final = 1_000_000
"""Frames that a task may claim without naming them: more are taken only where something is drawn."""
_FREE: Final = frozenset({"number", "text"})
_LONGEST: Final = 100
"""Characters of an attribute that is taken for an answer."""


@dataclass(frozen=True, slots=True)
class _Task:
    """A video: its name, the size of its frames, and which frames it has."""

    name: str
    size: tuple[int | None, int | None]
    frames: range


def looks_like_cvat(path: Path) -> bool:
    """Whether it is XML whose root is ``annotations``, or the unpacked folder of an export."""
    file = path / _FILE
    return root_tag(file if file.is_file() else path) == "annotations"


@reader("cvat", guess=looks_like_cvat)
def read(path: Path, builder: Builder, origin: str) -> None:
    """CVAT XML 1.1 for images or for video: boxes (turned ones too), polygons, polylines, points, masks, skeletons, tags.

    The path is the file, or the unpacked folder of an export with annotations.xml and perhaps images. Tags and attributes with
    a choice become answers. A frame of a video is called ``<name>#000012`` unless an image ``frame_000012`` was listed; its
    sequence is the name of the video, its position the frame number. `line` of an error row counts the shapes of the file from
    0. Raises `UsageError` where the file is no such XML.
    """
    if path.is_dir():
        images, path = path / "images", path / _FILE
        adopt_images(builder, images, [Place(images)] if images.is_dir() else [])
    reading = _Reading(Gatherer(builder, origin, path.name), path.stem)
    try:
        for root, child in records(path):
            if root.tag != "annotations":
                raise UsageError(f"{path}: its root is <{root.tag[:80]}>, not <annotations>", hint="is this a CVAT export?")
            reading.child(child)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="give the path of a CVAT XML file") from error
    except XmlError as error:
        raise UsageError(f"{path} is not readable XML: {error}", hint="export it again") from error
    reading.rows.flush()
    for what, count in sorted(reading.passed_over.items()):
        builder.notes.append(f"{path.name}: {what} of {count:,} shapes is not kept")


class _Reading:
    """One pass over a file."""

    def __init__(self, rows: Gatherer, stem: str) -> None:
        self.rows, self.stem = rows, stem
        self.record = 0
        self.passed_over: Counter[str] = Counter()
        self.tasks: dict[str | None, _Task] = {}
        self.exported = rows.builder.images_listed
        self.placed: set[int] = set()
        self.free: set[str] = set()
        self.skeletons: dict[str, list[str]] = {}

    def child(self, element: "Element") -> None:
        """One child of the root."""
        if element.tag == "meta":
            self.meta(element)
        elif element.tag == "image":
            self.image(element)
        elif element.tag == "track":
            self.track(element)

    def meta(self, element: "Element") -> None:
        """Classes, kinds of attributes, and the videos that tracks run through."""
        labels = [label for label in element.iter("label") if text_of(label, "parent") is None]
        for name in (text_of(label, "name") for label in labels):
            if name is not None:
                self.rows.class_of(name)
        for attribute in element.iter("attribute"):
            if text_of(attribute, "input_type") in _FREE:
                self.free.add(text_of(attribute, "name") or "")
        for task in [*element.iter("task"), *element.iter("job")]:
            self.tasks[text_of(task, "id")] = made = self.task(task, element)
            self.tasks.setdefault(None, made)
            if text_of(task, "mode") == "interpolation":
                for number in made.frames:
                    self.frame(made, number)

    def task(self, task: "Element", meta: "Element") -> _Task:
        """What the file says of one task."""
        name = text_of(task, "source") or text_of(meta, "source") or text_of(task, "name") or self.stem
        size = task.find("original_size") or meta.find("original_size")
        sides = (None, None) if size is None else (side_of(text_of(size, "width")), side_of(text_of(size, "height")))
        first, last, count = (number_of(text_of(task, key)) for key in ("start_frame", "stop_frame", "size"))
        step = number_of((text_of(task, "frame_filter") or "step=1").partition("step=")[2])
        if not (0 <= first <= last < 2**53 and 1 <= step < 2**53):
            first, last, step = 0.0, count - 1 if 1 <= count < 2**53 else -1.0, 1.0
        frames = range(int(first), int(last) + 1, int(step))
        if len(frames) > MOST_FRAMES:
            what = f"{self.rows.file}: task {name!r} claims {len(frames):,} frames; only those with shapes are taken"
            self.rows.builder.notes.append(what)
            frames = range(0)
        return _Task(name, sides, frames)

    def frame(self, task: _Task, number: int) -> int:
        """Row of a frame of a video, or of the image that CVAT exports for it."""
        image = f"frame_{number:06d}"
        if not self.exported or self.rows.finder.frame(image, stem=True) not in self.rows.builder.frame_rows:
            return self.rows.video_frame(task.name, number, task.size)
        row = self.rows.frame(image, stems=True)
        if row not in self.placed:
            self.rows.label(row, *task.size)
            self.rows.place(row, task.name, number)
            self.placed.add(row)
        return row

    def image(self, element: "Element") -> None:
        """An image with its shapes and tags."""
        name = element.get("name")
        if not name:
            self.rows.refuse("an image without name; none of its shapes is kept", Facts(self.record))
            self.record += len(element)
            return
        size = side_of(element.get("width")), side_of(element.get("height"))
        row = self.rows.frame(name, stems=stem_of(name) == name)  # frames of videos have no extension there
        self.rows.label(row, *size)
        for place, child in enumerate(element):
            facts = Facts(self.record, f"{element.get('id', name)}/{place}")
            if child.tag == "tag":
                self.tag(row, child, facts)
            elif child.tag in DRAWN:
                self.object(row, child, child.get("label"), size, facts)
            self.record += 1

    def tag(self, row: int, element: "Element", facts: Facts) -> None:
        """What is said about a whole image."""
        facts.source = None
        if element.get("label"):
            self.rows.answer(row, "tag", element.get("label", ""), facts)
            self.attributes(row, element, facts)
        else:
            self.rows.refuse("a tag without label", facts, reason="orphan_category_id", frame=row)

    def track(self, element: "Element") -> None:
        """One object through a video; where it is outside of the picture it is no object."""
        number = number_of(element.get("id"))
        task = self.tasks.get(element.get("task_id")) or self.tasks.get(None) or _Task(self.stem, (None, None), range(0))
        for child in element:
            at = number_of(child.get("frame"))
            facts = Facts(self.record, f"track-{element.get('id')}/{child.get('frame')}")
            self.record += 1
            if not (0 <= at < 2**53 and 0 <= number < 2**53):
                self.rows.refuse(f"frame {child.get('frame')!r} of track {element.get('id')!r} is no number", facts)
                continue
            facts.track = int(number)
            row = self.frame(task, int(at))
            if child.get("outside") != "1":
                self.object(row, child, element.get("label"), task.size, facts)

    def object(self, row: int, element: "Element", name: str | None, size: tuple[int | None, int | None], facts: Facts) -> None:
        """One shape and the answers in its attributes."""
        lost = [what for what in ("z_order", "occluded", "group_id") if element.get(what, "0") != "0"]
        lost += ["the exact outline (64 corners stand for it)"] if element.tag == "ellipse" else []
        self.passed_over.update(lost)
        shape = shape_of(element, size, self.skeletons.setdefault(name or "", []))
        if not name:
            self.rows.add(row, "", Shape(), facts, Problem("orphan_category_id", "it has no label"))
        elif isinstance(shape, Problem):
            self.rows.add(row, "", Shape(), facts, shape)
        else:
            self.attributes(row, element, facts)
            self.rows.add(row, name, shape, facts)

    def attributes(self, row: int, element: "Element", facts: Facts) -> None:
        """Attributes as answers; a score is one only of a prediction, numbers and free texts have no place in the tables."""
        for attribute in element.findall("attribute"):
            name, value = attribute.get("name") or "", (attribute.text or "").strip()
            number = number_of(value)
            if name in ("score", "confidence") and not isnan(number) and self.rows.origin != "labels":
                facts.score = number
            elif value and name not in self.free and isnan(number) and len(value) <= _LONGEST:
                self.rows.answer(row, name, value, Facts(facts.record, facts.source))
            elif value:
                self.passed_over[f"attribute {name!r}"] += 1
