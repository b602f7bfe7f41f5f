"""What a class-form metric walks over: frames with their labels, or with one set of predictions."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_quality.authoring.images import Images
from gpu_quality.authoring.names import short_hash
from gpu_quality.authoring.place import Place, open_place
from gpu_quality.authoring.progress import Progress, Ticker
from gpu_quality.authoring.walk import LabelRows, Walk
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.text import close

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DatasetIterator", "Iterator", "PredictionIterator"]


@dataclass(frozen=True, slots=True)
class OntologyObject:
    """A class of objects."""

    name: str
    feature_node_hash: str


@dataclass(frozen=True, slots=True)
class Ontology:
    """The classes there are."""

    objects: tuple[OntologyObject, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """What is known of the data as a whole."""

    ontology: Ontology
    label_rows: Mapping[str, dict[str, Any]]


class Iterator(ABC, Sized):
    """Frames one after the other, those of a sequence in its order; every call of `iterate` is a pass of its own.

    While a pass runs, `label_hash`, `du_hash`, `frame` and `num_frames` say where it is: the sequence (or lone image) by hash,
    the number of the frame in it, and how many it has. Hashes are twelve hexadecimal digits of the SHA-256 of ids.
    """

    def __init__(
        self,
        cache_dir: Path | Place,
        subset_size: int | None = None,
        *,
        origin: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Open a store or a folder of images; with `subset_size` only the first so many sequences or lone images count.

        Raises `UsageError` where there is nothing to walk over, `UnknownNameError` for an origin the store does not have.
        """
        self.place = cache_dir if isinstance(cache_dir, Place) else open_place(cache_dir)
        self.cache_dir = self.place.store.path
        self.origin = self._choose(list(self.place.store.identity["origins"]), origin)
        self.images = Images(self.place)
        self.walk = Walk(self.place, self.images, self.place.store.identity["origins"].index(self.origin))
        self.rows = self._subset(subset_size)
        self.length = len(self.rows)
        self.label_rows = LabelRows(self.walk, self.rows)
        classes = tuple(OntologyObject(name, short_hash(name)) for name in self.walk.classes)
        self.project = Project(Ontology(classes), self.label_rows)
        self.dataset_title = ""
        self.label_hash, self.du_hash, self.frame, self.num_frames = "", "", -1, -1
        self.row = -1
        """Row of the frame the pass is at; -1 before it begins."""
        self._progress = progress or Ticker()

    @staticmethod
    @abstractmethod
    def _choose(origins: Sequence[str], asked: str | None) -> str:
        """The origin whose objects are shown."""

    def _subset(self, size: int | None) -> list[int]:
        rows: list[int] = self.walk.order
        if size is None:
            return rows
        groups = set(list(dict.fromkeys(self.walk.group[rows].tolist()))[:size])
        return [row for row in rows if self.walk.group[row] in groups]

    def __len__(self) -> int:
        """Number of frames of a pass."""
        return self.length

    def iterate(self, desc: str = "") -> "Generator[tuple[dict[str, Any], Image.Image | None], None, None]":
        """Every frame as a data unit (a dictionary) and its image, a Pillow image in RGB, upright.

        The image is decoded when it is first touched; it is None where the file cannot be read, so look before you use it.
        """
        self._progress.begin(self.length, 0, desc or "frames")
        try:
            for row in self.rows:
                self.row = row
                self.label_hash = self.du_hash = self.walk.label_hash(row)
                self.frame, self.num_frames = int(self.walk.frame[row]), int(self.walk.count[row])
                unit = self.walk.unit(row)
                yield unit, self.images.image(row)
                self._progress.advance(1, 0)
        finally:
            self._progress.end()

    def get_identifier(self, object: Any = None, frame: int | None = None) -> str:  # noqa: A002 - the known name
        """The text that names the frame the pass is at, or a label of it, in a metric's CSV."""
        labels = [object] if isinstance(object, dict) else list(object or ())
        number = self.frame if frame is None else frame
        return identifier(self.label_hash, self.du_hash, number, labels)

    def get_data_url(self) -> str:
        """Where the image of the frame lies, relative to the folder of images."""
        return self.images.uris[self.row]


class DatasetIterator(Iterator):
    """Frames with their labels."""

    @staticmethod
    def _choose(origins: Sequence[str], asked: str | None) -> str:
        if asked not in (None, origins[0]):
            raise UsageError(f"{asked!r} is a prediction set", hint="use PredictionIterator for predictions")
        return origins[0]


class PredictionIterator(Iterator):
    """Frames with the objects of one prediction set: the one named `origin`, or the only one there is."""

    @staticmethod
    def _choose(origins: Sequence[str], asked: str | None) -> str:
        sets = list(origins[1:])
        if not sets:
            raise UsageError("this store has no predictions", hint="gpu-quality run … --predictions NAME=PATH --out OUT")
        if asked is None and len(sets) > 1:
            raise UsageError(f"there are {len(sets)} prediction sets: {', '.join(sets)}", hint="say which with origin=")
        if asked is not None and asked not in sets:
            raise UnknownNameError(
                f"there is no prediction set {asked!r}", hint=close(asked, sets) or f"there are {', '.join(sets)}"
            )
        return asked or sets[0]


def identifier(label_hash: str, du_hash: str, frame: int, labels: Sequence[Mapping[str, Any]]) -> str:
    """Hashes of label row and data unit, the frame's number, and the hash of each label."""
    hashes = [str(label.get("objectHash") or label.get("classificationHash") or label["featureHash"]) for label in labels]
    return "_".join([label_hash, du_hash, f"{frame:05d}", *hashes])
