"""Label tables: one row an object, or one row an image with its class, in Parquet, Arrow, Feather or CSV files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations import AnswerColumns, Builder, ObjectColumns, Problem
from gpu_quality.annotations.columns import Floats, Ints
from gpu_quality.data.formats.finding import Finder
from gpu_quality.data.formats.table_columns import Piece, Problems, column_names, pieces_of
from gpu_quality.data.samples import CLASS
from gpu_quality.data.uris import TABLES
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader

_FRAME: Final = ("frame", "image", "file_name", "filename", "image_path", "image_name", "file", "path", "img", "image_id")
_CLASS: Final = ("class_name", "category_name", "class", "label", "category", "name", "class_id", "category_id")
_CORNERS: Final = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
_SIDES: Final = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)
_LISTS: Final = (("bbox", False), ("box", True), ("bbox_xyxy", True), ("box_xyxy", True))
"""Columns of four numbers, and whether these are corners; "bbox" is x, y, width, height as in COCO."""
_SIZES: Final = (("image_width", "image_height"), ("img_width", "img_height"), ("width", "height"))
_SCORE: Final = ("score", "confidence", "conf")
_TRACK: Final = ("track", "track_id", "tracker_id")
_CROWD: Final = ("crowd", "iscrowd", "is_crowd")
_ID: Final = ("object", "object_id", "annotation_id", "id")
_OTHERS: Final = ("area", "difficult", "annotator", "annotation_seconds", "question")


def looks_like_table(path: Path) -> bool:
    """Whether the path is a table whose columns name images, and boxes or classes."""
    if path.suffix.lower() not in (*TABLES, ".csv", ".tsv") or not path.is_file():
        return False
    columns = _Columns(column_names(path))
    return columns.frame is not None and (columns.boxed or columns.name is not None)


class _Columns:
    """Which column of a table means what."""

    def __init__(self, known: dict[str, bool]) -> None:
        self.known = [name for name, plain in known.items() if plain]
        self.frame = self._one(_FRAME)
        self.name = self._one(_CLASS)
        self.score, self.track, self.crowd, self.id = (self._one(names) for names in (_SCORE, _TRACK, _CROWD, _ID))
        self.corners = self._four(_CORNERS)
        self.sides = () if self.corners else self._four(_SIDES)
        self.list = next(((name, corners) for name, corners in _LISTS if name in known), None)
        self.boxed = bool(self.corners or self.sides or self.list)
        taken = set(self.sides)
        self.size = next((pair for pair in _SIZES if set(pair) <= set(self.known) and not set(pair) & taken), None)

    def _one(self, names: Sequence[str]) -> str | None:
        return next((name for name in names if name in self.known), None)

    def _four(self, choices: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        return next((names for names in choices if set(names) <= set(self.known)), ())

    @property
    def used(self) -> set[str]:
        """Every column that is read."""
        singles = {self.frame, self.name, self.score, self.track, self.crowd, self.id} - {None}
        lists = {self.list[0]} if self.list else set()
        return {*map(str, singles), *self.corners, *self.sides, *lists, *(self.size or ()), *(set(_OTHERS) & set(self.known))}


@reader("table", guess=looks_like_table)
def read(path: Path, builder: Builder, origin: str) -> None:
    """A table with a row for every object: the image, its box, and what else is known; the names of the columns tell.

    Images: frame, image, file_name … Boxes in pixels: x1 y1 x2 y2, xmin ymin xmax ymax, x y width height, or a column of four
    numbers (bbox: x, y, width, height; box: corners). Further: class or label, score or confidence, track, area, crowd,
    difficult, annotator, annotation_seconds, id. A row with an image and neither box nor class says that the image is empty. A
    table without boxes gives classes of whole images. Raises `UsageError` where columns are missing or the file is damaged.
    """
    columns = _Columns(column_names(path))
    if columns.frame is None or not (columns.boxed or columns.name):
        found = ", ".join(columns.known)[:200] or "none"
        raise UsageError(
            f"{path}: no columns that name images, and boxes or classes; found: {found}",
            hint="call them frame, x1, y1, x2, y2, class, and score for predictions",
        )
    builder.add_origin(origin)
    work = _Reading(path.name, builder, origin, columns)
    for piece in pieces_of(path, sorted(columns.used)):
        work.add(piece)
    others = sorted(set(columns.known) - columns.used)
    if others:
        builder.notes.append(f"{path.name}: columns that were passed over: {', '.join(others)[:300]}")
    if columns.list and not columns.list[1]:
        builder.notes.append(f"{path.name}: boxes in 'bbox' are taken for x, y, width, height in pixels, as in COCO")
    if 0 < work.farthest <= 1:
        text = "all boxes lie within 0 .. 1 and are taken for pixels; multiply relative ones by the size of their images"
        builder.notes.append(f"{path.name}: {text}")


class _Reading:
    """One table while it is read."""

    def __init__(self, file: str, builder: Builder, origin: str, columns: _Columns) -> None:
        self.file, self.builder, self.origin, self.columns = file, builder, origin, columns
        self.finder = Finder(builder)
        self.farthest = 0.0

    def add(self, piece: Piece) -> None:
        """Objects or answers of some rows."""
        for line, detail in piece.refused:
            self.builder.add_error(self.file, detail, line=line)
        problems: Problems = {}
        frame = self._frames(piece, problems)
        names = piece.texts(self.columns.name) if self.columns.name else ["object"] * len(piece)
        box = self._boxes(piece, problems) if self.columns.boxed else None
        bare = np.array([name is None for name in names]) if self.columns.name else np.ones(len(piece), bool)
        if box is not None:
            bare &= np.isnan(box).all(axis=1)
            self.farthest = float(np.nanmax(np.abs(box), initial=self.farthest))
        # A row without box and class says that its image is empty; one that was refused already is told as it is.
        keep = np.array([i for i in range(len(piece)) if not bare[i] or i in problems], np.int64)
        for i in keep.tolist():
            if names[i] is None:
                problems.setdefault(i, Problem("orphan_category_id", "the row names no class"))
            elif box is not None and np.isnan(box[i]).all():
                problems.setdefault(i, Problem("missing_geometry", "the row has no box"))
        self._label(piece, frame, problems)
        class_id = np.full(len(piece), -1, np.int64)
        good = [i for i in keep.tolist() if i not in problems]
        class_id[good] = self.builder.name_classes([str(names[i]) for i in good])
        score = piece.numbers(self.columns.score, problems) if self.columns.score and self.origin != "labels" else None
        own = {place: problems[i] for place, i in enumerate(keep.tolist()) if i in problems}
        if box is None:
            self.builder.add_answers(self.origin, self.file, self._answers(piece, frame, class_id, score).take(keep), own)
        else:
            made = self._objects(piece, (frame, class_id, box, score), problems)
            own = {place: problems[i] for place, i in enumerate(keep.tolist()) if i in problems}
            self.builder.add_objects(self.origin, self.file, made.take(keep), own)

    def _frames(self, piece: Piece, problems: Problems) -> Ints:
        names = piece.texts(str(self.columns.frame))
        frame = np.full(len(piece), -1, np.int64)
        given = [i for i, name in enumerate(names) if name is not None]
        frame[given] = self.finder.rows([str(names[i]) for i in given])
        problems |= {i: Problem("orphan_image_id", "the row names no image") for i in np.flatnonzero(frame < 0).tolist()}
        return frame

    def _boxes(self, piece: Piece, problems: Problems) -> Floats:
        """Boxes as corners; NaN where a row has none."""
        if names := self.columns.corners or self.columns.sides:
            box = np.stack([piece.numbers(name, problems) for name in names], axis=1)
        else:
            box = piece.fours(self.columns.list[0] if self.columns.list else "", problems)
        if self.columns.sides or (not self.columns.corners and self.columns.list and not self.columns.list[1]):
            box[:, 2:] += box[:, :2]
        return box

    def _label(self, piece: Piece, frame: Ints, problems: Problems) -> None:
        """Say of the images that the table knows them, and how large it says they are."""
        if self.origin != "labels":
            return
        known = frame >= 0
        ignored: Problems = {}
        sizes = [piece.numbers(name, ignored) for name in self.columns.size] if self.columns.size else []
        width, height = ([int(v) if 1 <= v < 2**31 else None for v in size[known]] for size in sizes) if sizes else ([], [])
        rows = frame[known]
        self.builder.label_frames(rows, width or [None] * len(rows), height or [None] * len(rows))
        problems |= {i: text for i, text in ignored.items() if i not in problems}

    def _answers(self, piece: Piece, frame: Ints, class_id: Ints, score: Floats | None) -> AnswerColumns:
        questions = piece.texts("question") if "question" in piece.columns else [CLASS] * len(piece)
        unscored = None if score is None else np.isnan(score)
        asked = [question or CLASS for question in questions]
        return AnswerColumns(frame, asked, class_id, piece.record, score=score, unscored=unscored)

    def _objects(self, piece: Piece, found: tuple[Ints, Ints, Floats, Floats | None], problems: Problems) -> ObjectColumns:
        frame, class_id, box, score = found

        def numbers(name: str | None) -> Floats | None:
            return piece.numbers(name, problems) if name is not None and name in piece.columns else None

        track, crowd, difficult = numbers(self.columns.track), numbers(self.columns.crowd), numbers("difficult")
        ids = piece.texts(self.columns.id) if self.columns.id else None
        return ObjectColumns(
            frame,
            class_id,
            box,
            piece.record,
            source_id=None if ids is None else [i or f"record-{r}" for i, r in zip(ids, piece.record.tolist(), strict=True)],
            score=score,
            unscored=np.isnan(score) if score is not None else np.ones(len(piece), bool) if self.origin != "labels" else None,
            track=None if track is None else np.where(np.isfinite(track) & (np.abs(track) < 2**53), track, -1).astype(np.int64),
            area=numbers("area"),
            crowd=None if crowd is None else crowd > 0,
            difficult=None if difficult is None else difficult > 0,
            annotator=piece.texts("annotator") if "annotator" in piece.columns else None,
            annotation_seconds=numbers("annotation_seconds"),
        )
