"""Labels or predictions from one annotation format into another, by way of the canonical tables."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from gpu_quality import registry
from gpu_quality.annotations import Dataset
from gpu_quality.api import inputs
from gpu_quality.config import AnnotationSource, Source
from gpu_quality.data.formats import load_formats
from gpu_quality.errors import ResourceError, UsageError
from gpu_quality.text import clean, counted

_SHOWN: Final = 100
"""Error rows in the JSON answer; all of them are in `Conversion.errors`."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was read, what was written, and what got lost between."""

    out: Path
    format: str
    origin: str
    frames: int
    objects: int
    answers: int
    remarks: tuple[str, ...]
    """What was said while reading: formats that were guessed, fields that the tables cannot hold."""
    lost: tuple[str, ...]
    """What the written format cannot hold, with counts."""
    errors: tuple[dict[str, Any], ...]
    """Rows that could not be used, or are kept although they break a rule: uri, line, reason, detail, frame, object."""

    @property
    def reasons(self) -> dict[str, int]:
        """How many error rows there are for each reason."""
        return dict(sorted(Counter(row["reason"] for row in self.errors).items()))

    def to_dict(self) -> dict[str, Any]:
        """The same as one JSON object, with the first 100 error rows."""
        counts = {"frames": self.frames, "objects": self.objects, "answers": self.answers, "errors": len(self.errors)}
        told = {"remarks": list(self.remarks), "lost": list(self.lost), "reasons": self.reasons}
        head = {"out": str(self.out), "format": self.format, "origin": self.origin}
        return head | counts | told | {"error_rows": list(self.errors[:_SHOWN])}


def convert(
    labels: str | Path | None,
    *,
    to: str,
    out: str | Path,
    labels_format: str | None = None,
    images: str | Path | None = None,
    predictions: Mapping[str, str | Path] | None = None,
    predictions_format: str | None = None,
    origin: str | None = None,
    force: bool = False,
) -> Conversion:
    """Read labels and predictions, and write one origin of them ("labels" unless another is named) in the format `to`.

    What stands at `out` is replaced only with `force`; what is written appears as a whole or not at all. Raises `UsageError`
    where something cannot be read, there is no such format or origin, or `out` exists.
    """
    load_formats()
    writer = registry.find_writer(to)
    target, remarks = Path(out), list[str]()
    if target.exists() and not force:
        raise UsageError(f"{target} exists", hint="choose another --out, or replace it with --force")
    sets = {name: AnnotationSource(path=str(path), format=predictions_format) for name, path in (predictions or {}).items()}
    source = _source(labels, labels_format, images, sets)
    tables, _ = inputs.read_source(source, remarks.append, measured=True)
    chosen = origin or ("labels" if labels is not None else next(iter(tables.origins[1:]), "labels"))
    if chosen not in tables.origins:
        raise UsageError(f"there is no origin {chosen!r}", hint=f"known: {', '.join(tables.origins)}")
    remarks += _unmatched(tables, chosen, listed=images is not None)
    lost = _written(target, force, lambda path: writer.function(tables, chosen, path))
    number = tables.origins.index(chosen)
    objects, answers = (table.column("origin").to_numpy() == number for table in (tables.objects, tables.classifications))
    return Conversion(
        target,
        writer.name,
        chosen,
        tables.frames.num_rows,
        int(objects.sum()),
        int(answers.sum()),
        tuple(remarks),
        tuple(lost),
        _errors(tables),
    )


def _source(
    labels: str | Path | None, labels_format: str | None, images: str | Path | None, sets: dict[str, AnnotationSource]
) -> Source:
    if labels is None and not sets:
        raise UsageError("there is nothing to convert", hint="name labels with --labels, or predictions with --predictions")
    given = None if labels is None else AnnotationSource(path=str(labels), format=labels_format)
    return Source(images=None if images is None else str(images), labels=given, predictions=sets)


def _unmatched(tables: Dataset, origin: str, *, listed: bool) -> list[str]:
    """What is about frames that are not where they should be: among the images, and for predictions among the labels."""
    frames, number = tables.frames, tables.origins.index(origin)
    rows = tables.objects.filter(np.array(tables.objects.column("origin")) == number).column("row").unique().to_numpy()
    told = []
    labelled = np.array(frames.column("labelled"))
    for what, there in (
        ("not among the images", np.array(frames.column("size_bytes")) > 0 if listed else None),
        ("not known to the labels", labelled if origin != "labels" and labelled.any() else None),
    ):
        missing = [] if there is None else sorted(rows[~there[rows]].tolist())
        if missing:
            name = clean(frames.column("frame")[missing[0]].as_py())
            told.append(f"{origin}: {counted(len(missing), 'frame')} with objects, {what}: {name}{' …' * (len(missing) > 1)}")
    return told


def _errors(tables: Dataset) -> tuple[dict[str, Any], ...]:
    columns = ["uri", "line", "reason", "detail", "frame", "object"]
    return tuple(tables.errors.select(columns).to_pylist())


def _written(target: Path, force: bool, write: Callable[[Path], list[str]]) -> list[str]:  # noqa: FBT001
    """Write under a hidden folder beside the target and move everything that came of it into place."""
    staged = target.parent / f".stage-{os.getpid()}-{target.name}"
    try:
        staged.mkdir(parents=True)
        lost = write(staged / target.name)
        made = sorted(staged.iterdir(), key=lambda path: path.name != target.name)
        places = [target.parent / path.name for path in made]
        standing = [place for place in places if place.exists()]
        if standing and not force:
            raise UsageError(f"{standing[0]} exists", hint="choose another --out, or replace it with --force")
        for place in standing:
            _remove(place)
        for path, place in zip(made, places, strict=True):
            path.rename(place)
    except OSError as error:
        raise ResourceError(f"{target} cannot be written: {error.strerror or error}", hint="nothing was replaced") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return lost


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
