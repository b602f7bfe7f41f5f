"""Pascal VOC: one XML file an image; boxes count pixels from 1 and include their last one."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.folder import list_images, uri_of
from gpu_quality.data.formats.gathering import Facts, Gatherer, Shape
from gpu_quality.data.formats.label_files import holds_images
from gpu_quality.data.formats.stems import stem_of
from gpu_quality.data.formats.xml_records import XmlError, number_of, records, root_tag, side_of, text_of
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_FOLDER: Final = "Annotations"
_IMAGES: Final = "JPEGImages"
_SUFFIX: Final = ".xml"
_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")


def looks_like_voc(path: Path) -> bool:
    """Whether it is such an XML file, or a folder of them, perhaps below ``Annotations``."""
    if path.is_dir():
        files = (file for place in (path / _FOLDER, path) if place.is_dir() for file in place.glob("*.xml"))
        first = next(files, None)
        return first is not None and root_tag(first) == "annotation"
    return root_tag(path) == "annotation"


@reader("voc", guess=looks_like_voc)
def read(path: Path, builder: Builder, origin: str) -> None:
    """Pascal VOC XML: a folder of files, perhaps with their images, a VOC folder with ``Annotations`` (and ``JPEGImages``), or
    one file.

    A box of pixels xmin to xmax counted from 1 is ``xmin - 1 .. xmax``. Files and objects that break a rule become error rows;
    `line` is the place of the object in its file. Raises `UsageError` where there is no XML file.
    """
    if path.is_file():
        files, folder = [path], path.parent
    else:
        folder = path / _FOLDER if (path / _FOLDER).is_dir() else path
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() == _SUFFIX)
        if not files:
            raise UsageError(f"{path} holds no .xml file", hint="name the folder of annotations, or the VOC folder above it")
    images = path / _IMAGES if (path / _IMAGES).is_dir() else folder
    if not builder.images_listed and path.is_dir() and (images != folder or holds_images(folder)):
        builder.root = list_images(images, builder)
    reading = _Reading(Gatherer(builder, origin, path.name))
    for file in files:
        reading.file(file, uri_of(file.relative_to(folder).as_posix()))
    reading.rows.flush()
    for what, count in sorted(reading.passed_over.items()):
        builder.notes.append(f"{path.name}: {what} of {count:,} objects is not kept")


class _Reading:
    """One pass over the files."""

    def __init__(self, rows: Gatherer) -> None:
        self.rows = rows
        self.passed_over: Counter[str] = Counter()

    def file(self, path: Path, name: str) -> None:
        """The frame and the objects of one file."""
        try:
            children = [child for root, child in _annotation(path)]
        except (XmlError, OSError) as error:
            text = error.strerror if isinstance(error, OSError) else f"not readable XML: {error}"
            self.rows.builder.add_error(name, f"{text}; none of its objects is kept")
            return
        known = {child.tag: child for child in reversed(children)}
        said = "filename" in known and (known["filename"].text or "").strip()
        frame = self.frame(said or "", name[: -len(_SUFFIX)])
        size = known.get("size")
        width, height = (None if size is None else side_of(text_of(size, side)) for side in ("width", "height"))
        self.rows.label(frame, width, height)
        for place, element in enumerate(child for child in children if child.tag == "object"):
            self.object(frame, element, Facts(place, f"{name[: -len(_SUFFIX)]}/{place}", file=name))

    def frame(self, said: str, stem: str) -> int:
        """The frame of a file: the image that it names, in a folder called like its own, or its twin of another extension."""
        folder, sign, last = stem.rpartition("/")
        image, builder = said.replace("\\", "/").rpartition("/")[2], self.rows.builder
        named = said if builder.images_listed and not folder else f"{folder}{sign}{image}"
        known, finder = builder.frame_rows, self.rows.finder
        twin = not said or (builder.images_listed and stem_of(image) == last and finder.frame(named) not in known)
        if twin and (not said or finder.frame(stem, stem=True) in known):
            return self.rows.frame(stem, stems=True)
        return self.rows.frame(named)

    def object(self, frame: int, element: "Element", facts: Facts) -> None:
        """One object; poses, parts and being cut off have no place in the tables."""
        found = {"truncated": text_of(element, "truncated") not in (None, "0"), "part": element.find("part") is not None}
        self.passed_over.update(what for what, there in found.items() if there)
        facts.difficult = text_of(element, "difficult") in ("1", "true", "True")
        score = next((text for name in ("confidence", "score") if (text := text_of(element, name)) is not None), None)
        facts.score = None if score is None else number_of(score)
        name, shape = text_of(element, "name"), _shape(element)
        if name is None:
            self.rows.add(frame, "", Shape(), facts, Problem("orphan_category_id", "it has no name, which is its class"))
        elif isinstance(shape, Problem):
            self.rows.add(frame, "", Shape(), facts, shape)
        else:
            self.rows.add(frame, name, shape, facts)


def _annotation(path: Path) -> "Iterator[tuple[Element, Element]]":
    for root, child in records(path):
        if root.tag != "annotation":
            raise XmlError(f"its root is <{root.tag[:80]}>, not <annotation>")
        yield root, child


def _shape(element: "Element") -> Shape | Problem:
    """Box and, as some tools add, polygon of an object."""
    box = element.find("bndbox")
    if box is None:
        return Problem("missing_geometry", "it has no bndbox")
    texts = [text_of(box, corner) for corner in _CORNERS]
    if None in texts:
        return Problem("missing_geometry", f"its bndbox has no {_CORNERS[texts.index(None)]}")
    x1, y1, x2, y2 = (number_of(text) for text in texts)
    polygon = element.find("polygon")
    ring = [] if polygon is None else _ring(polygon)
    return Shape((x1 - 1, y1 - 1, x2, y2), [ring] if ring else [])


def _ring(polygon: "Element") -> list[float]:
    """Points ``x1 y1 x2 y2 ...``, or ``pt`` elements, as flat numbers that count from 0."""
    points = [(text_of(pt, "x"), text_of(pt, "y")) for pt in polygon.findall("pt")]
    if not points:
        count = sum(child.tag.startswith("x") for child in polygon)
        points = [(text_of(polygon, f"x{i}"), text_of(polygon, f"y{i}")) for i in range(1, count + 1)]
    return [number_of(text) - 1 for point in points for text in point]
