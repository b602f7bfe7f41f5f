"""YOLO: one text file per image with relative coordinates, and a data.yaml that says where the images are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.annotations.columns import Ints, Problem
from gpu_quality.data.formats.label_files import adopt_images, glance, lines_of
from gpu_quality.data.formats.measure import measure
from gpu_quality.data.formats.number_lines import Lines, is_number, pieces
from gpu_quality.data.formats.stems import Stems
from gpu_quality.data.formats.yolo_files import LabelFile, images_of, label_files
from gpu_quality.data.formats.yolo_layout import YAMLS, Layout, layout_of
from gpu_quality.data.formats.yolo_lines import all_quads, columns_of, forms_of
from gpu_quality.data.formats.yolo_write import write_folder
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader, writer
from gpu_quality.text import clean, counted

FILES: Final = 2000
"""Label files whose lines become columns at a time."""
_LONGEST_NUMBER: Final = 32
"""Characters of a class number; np.savetxt writes 24."""


def looks_like_yolo(path: Path) -> bool:
    """Whether the path is a data.yaml, a folder with one, or a folder of text files of a class number and relative numbers."""
    if path.is_file():
        return path.suffix in (".yaml", ".yml") and _names_images(path)
    if any((path / name).is_file() and _names_images(path / name) for name in YAMLS):
        return True
    found = next((words for folder in _label_folders(path) if (words := glance(folder))), [])
    return bool(found) and all(map(_is_line, found))


def _label_folders(path: Path) -> list[Path]:
    """Where label files may lie: here, in labels/, or in a folder of labels/."""
    labels = path / "labels"
    below = sorted(p for p in labels.iterdir() if p.is_dir()) if labels.is_dir() else []
    return [labels, *below] if labels.is_dir() else [path]


def _names_images(path: Path) -> bool:
    """Whether a YAML file has one of train, val, test or path, and one of names or nc, at the start of a line."""
    keys = {words[0].partition(":")[0] for words in glance(path, 1000) if ":" in words[0]}
    return bool(keys & {"train", "val", "test", "path"}) and bool(keys & {"names", "nc"})


def _is_line(words: list[str]) -> bool:
    """Whether words are a class number and at least four numbers of which the first four lie within the image."""
    if len(words) < 5 or not words[0].isdecimal() or not all(map(is_number, words)):
        return False
    first = [float(word) for word in words[1:5]]
    half = (first[2] / 2, first[3] / 2)
    is_box = len(words) > 6 or all(abs(c - 0.5) + s <= 0.51 for c, s in zip(first[:2], half, strict=True))
    return is_box and all(-0.01 <= value <= 1.01 for value in first)


@reader("yolo", guess=looks_like_yolo)
def read(path: Path, builder: Builder, origin: str) -> None:
    """YOLO v5 and later: detect, segment, OBB and pose; from a data.yaml, a data set's folder, or a folder of label files.

    A label file without lines says that its image shows nothing; an image without label file is not labelled. Raises
    `UsageError` where the path as a whole is unusable or no size of an image is known; a wrong line becomes an error row.
    """
    layout = layout_of(path)
    builder.notes.extend(f"{origin}: {note}" for note in layout.notes)
    adopt_images(builder, layout.base, layout.places)
    stems = Stems(builder)
    state = _Reading(path, layout, builder, origin)
    found = 0
    for piece in pieces(label_files(layout, builder, stems), FILES):
        found += len(piece)
        state.add(piece, stems)
    if not found and origin == "labels":
        raise UsageError(f"{path}: there is no label file", hint="labels of images/a/b.jpg are looked for in labels/a/b.txt")
    if origin == "labels":
        _place_splits(layout, builder)
    state.tell()


def _place_splits(layout: Layout, builder: Builder) -> None:
    """The split of listed images without labels, where the images were listed by somebody else."""
    for part in layout.parts:
        if part.split is not None:
            rows = list(images_of(part, builder).values())
            builder.place_frames(np.array(rows, np.int64), split=[part.split] * len(rows))


@dataclass(slots=True)
class _Reading:
    """What is known while the files of one origin are read, piece by piece."""

    path: Path
    layout: Layout
    builder: Builder
    origin: str
    turned: bool | None = None
    sized: bool = False
    confident: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    """Class numbers by the word that a file has for them."""

    def __post_init__(self) -> None:
        names, builder = self.layout.names, self.builder
        builder.add_origin(self.origin)
        if names and self.origin == "labels":
            rows = builder.add_classes(list(names.values()), [str(number) for number in names])
            builder.class_rows.update(zip(names, rows.tolist(), strict=True))
        elif not names and builder.classes != builder.class_sources:
            note = f"{self.origin}: no data.yaml or classes.txt names the classes, so their numbers are taken for the class ids"
            first = next(iter(builder.class_rows.items()), ("?", 0))
            means = f"{first[0]} means {clean(builder.classes[first[1]], 40)!r}; a classes.txt beside them says otherwise"
            builder.notes.append(f"{note} of the labels: {means}")

    def add(self, files: Sequence[LabelFile], stems: Stems) -> None:
        """Objects of some files."""
        builder = self.builder
        rows = stems.rows([file.image for file in files])
        if self.origin == "labels":
            builder.label_frames(rows, [None] * len(rows), [None] * len(rows))
            placed = [i for i, file in enumerate(files) if file.split is not None]
            builder.place_frames(rows[placed], split=[files[i].split for i in placed])
        found = Lines()
        for file, row in zip(files, rows.tolist(), strict=True):
            self.read_file(file.path, row, found)
        if len(found):
            self.hand_over(found)

    def read_file(self, path: Path, row: int, found: Lines) -> None:
        """Lines of one label file."""
        base, name = f"{self.layout.base}/", str(path)
        name = clean(name.removeprefix(base) if name.startswith(base) else path.name, 1000)
        for number, line in lines_of(path, name, self.builder):
            words = line.split()
            if not words:
                continue
            label = self.class_number(words[0])
            if label:
                found.add(name, number, row, label, words[1:])
            else:
                found.refuse(name, number, row, f"a line starts with a class number from 0, found {words[0][:80]!r}")

    def class_number(self, word: str) -> str:
        """The class number that a word stands for, as text; empty where it is none. Some tools write 1.0 for 1."""
        if len(word) > _LONGEST_NUMBER:
            return ""
        known = self.numbers.get(word)
        if known is None:
            value = float(word) if is_number(word) and "_" not in word else -1.0
            known = self.numbers[word] = str(int(value)) if 0 <= value < 1e9 and value.is_integer() else ""
        return known

    def hand_over(self, found: Lines) -> None:
        """Lines as objects."""
        frames = np.array(found.frame, np.int64)
        measure(self.builder, frames)
        width, height = (np.where(side > 0, side, np.nan) for side in self.builder.frame_sizes(frames))
        self.sized |= bool(np.isfinite(width).any())
        if not self.sized and self.builder.root is None:
            hint = "give the images too: gpu-quality run IMAGES --labels LABELS"
            raise UsageError(f"{self.path}: coordinates are relative to the sizes of images, and none is known", hint=hint)
        count = found.numbers().count
        forms = forms_of(count, self.layout.keypoints)
        self.confident += int(forms.scored.sum())
        if forms.outline.any() and self.turned is None:
            self.turned = self.decide_turned(quads=all_quads(forms, count))
        class_id = self.class_rows(found)
        columns = columns_of(
            found, class_id, (width, height), self.layout.keypoints, turned=bool(self.turned), scored=self.origin != "labels"
        )
        self.builder.add_objects(self.origin, self.path.name, columns, found.problems)

    def decide_turned(self, *, quads: bool) -> bool:
        """Whether four points are a turned box: what the data set says, else what the first outlines look like."""
        if self.layout.task not in ("", "detect"):
            return self.layout.task == "obb"
        if quads:
            note = f"{self.origin}: every outline has four points, so rectangles are read as rotated boxes"
            self.builder.notes.append(f"{note}; `task: segment` in data.yaml makes them polygons")
        return quads

    def class_rows(self, found: Lines) -> Ints:
        """Class rows of all lines; a number that nobody knows makes its line a problem."""
        fresh = {label for i, label in enumerate(found.label) if i not in found.problems} - self.classes.keys()
        for label in sorted(fresh, key=int):
            self.classes[label] = self.class_row(int(label))
        for i, label in enumerate(found.label):
            if i not in found.problems and self.classes[label] < 0:
                known = len(self.layout.names) or len(self.builder.class_rows)
                text = f"class {label} is not among the {counted(known, 'class', 'classes')} that are known"
                found.problems[i] = Problem("orphan_category_id", text)
        known_rows = (self.classes.get(label, -1) for label in found.label)
        return np.fromiter(known_rows, np.int64, len(found))

    def class_row(self, number: int) -> int:
        """Row of the class with this number, -1 where it has no name though others do.

        Names of a data.yaml or classes.txt decide; without them a prediction set has the numbers of the labels' classes.
        """
        builder, names = self.builder, self.layout.names
        if names and self.origin == "labels":
            return int(builder.class_rows.get(number, -1))
        if names:
            return int(builder.name_classes([names[number]])[0]) if number in names else -1
        if number in builder.class_rows:
            return builder.class_rows[number]
        if builder.classes != builder.class_sources:  # the labels have names, and this number is none of theirs
            return -1
        row = int(builder.add_classes([str(number)], [str(number)])[0])
        if self.origin == "labels":
            builder.class_rows[number] = row
        return row

    def tell(self) -> None:
        """Say what was passed over."""
        if self.confident and self.origin == "labels":
            what = counted(self.confident, "line")
            self.builder.notes.append(f"labels: the confidence at the end of {what} was passed over; labels have none")


@writer("yolo")
def write(dataset: Dataset, origin: str, path: Path) -> list[str]:
    """A folder with labels/ (a text file per image), data.yaml and lists of images; one task, chosen by the shapes.

    Returns what the format could not hold. Raises `UsageError` where the folder already holds labels.
    """
    return write_folder(dataset, origin, path)
