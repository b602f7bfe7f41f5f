"""The label files of a YOLO data set and the images they are about."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gpu_quality.annotations import Builder
from gpu_quality.data.formats.folder import list_images, path_of
from gpu_quality.data.formats.label_files import prefix_of, text_files
from gpu_quality.data.formats.stems import Stems
from gpu_quality.data.formats.yolo_layout import NAMES, Layout, Part, label_of
from gpu_quality.errors import EmptyInputError
from gpu_quality.text import clean, counted


class LabelFile(NamedTuple):
    """One label file, and the image it is about: an id of a frame, or a path that ends like one."""

    image: str
    path: Path
    split: str | None


def label_files(layout: Layout, builder: Builder, stems: Stems) -> Iterator[LabelFile]:
    """Every label file of the layout, part by part in order of names; images without one are not labelled."""
    for part in layout.parts:
        if part.labels is not None and part.labels.is_dir():
            yield from _of_folder(part, builder, stems, strict=len(layout.parts) > 1)
        elif part.labels is None:
            yield from _of_list(part, builder)


def _of_folder(part: Part, builder: Builder, stems: Stems, *, strict: bool) -> Iterator[LabelFile]:
    labels = part.labels or Path()
    prefix = prefix_of(builder, part.images) if part.images is not None else ""
    no_labels = {Path(name).stem for name in NAMES}
    files = [(name, path) for name, path in text_files(labels, builder) if name not in no_labels]
    found = [LabelFile((prefix or "") + name, path, part.split) for name, path in files]
    if strict and prefix is None and not any(stems.frame(file.image) in builder.frame_rows for file in found):
        what = counted(len(found), "label file")
        builder.notes.append(f"{what} in {clean(labels)} passed over: none belongs to an image that was listed")
        return
    yield from found


def _of_list(part: Part, builder: Builder) -> Iterator[LabelFile]:
    for image, name in _listed(part, builder):
        file = Path(label_of(str(image)))
        if file.is_file():
            yield LabelFile(name, file, part.split)


def _listed(part: Part, builder: Builder) -> Iterator[tuple[Path, str]]:
    """Images that a text names, and the names to find their frames by."""
    if part.images is None or not part.images.is_file():
        return
    scratch = Builder()
    try:
        root = list_images(part.images, scratch)
    except EmptyInputError:
        return
    prefix = prefix_of(builder, root)
    for uri in scratch.frame_rows:
        name = uri if prefix is None else prefix + uri
        yield path_of(root, uri), name if name in builder.frame_rows else name.removeprefix("images/")


def images_of(part: Part, builder: Builder) -> dict[str, int]:
    """Frames, by id, of the images of a part that are known."""
    rows = builder.frame_rows
    if part.labels is None:
        return {name: rows[name] for _, name in _listed(part, builder) if name in rows}
    prefix = None if part.images is None else prefix_of(builder, part.images)
    return {} if prefix is None else {frame: row for frame, row in rows.items() if frame.startswith(prefix)}
