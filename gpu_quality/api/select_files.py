"""A selection as a file: frames one a line for a labeling tool, or a COCO file of the chosen frames with their labels."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from gpu_quality import registry
from gpu_quality.annotations import CLASSIFICATIONS, OBJECTS, Dataset, empty
from gpu_quality.api.select_result import Selection
from gpu_quality.data.formats import load_formats
from gpu_quality.errors import ResourceError, UsageError
from gpu_quality.store.commit import commit_bytes
from gpu_quality.store.store import Store
from gpu_quality.text import clean, counted


def listed(selection: Selection) -> str:
    """The uris of the chosen frames, first choice first, one a line; files are named from the folder of the images on.

    Raises `UsageError` for a name that does not fit on one line.
    """
    uris = [str(uri) for uri in selection.table["uri"]]
    for uri in uris:
        if uri.strip() != uri or len(uri.splitlines()) != 1:
            raise UsageError(f"{clean(uri)!r} cannot stand on a line of its own", hint="--format csv or json holds any name")
    return "".join(f"{uri}\n" for uri in uris)


def write_coco(selection: Selection, out: str | Path) -> list[str]:
    """Write the chosen frames and their labels as a COCO file; returns sentences about what it does not hold.

    Frames without labels are images without annotations. Raises `ResourceError`, `UsageError`.
    """
    load_formats()
    tables, bare = _subset(selection.store, selection.table["place"].to_numpy(np.int64))
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "selection.json"
            lost = registry.find_writer("coco").function(tables, "labels", path)
            data = path.read_bytes()
    except OSError as error:
        raise ResourceError(f"no room to prepare {clean(out)}: {error.strerror or error}", hint="nothing is written") from error
    commit_bytes(Path(out), data)
    notes = [f"{clean(out)}: {what}" for what in lost]
    if bare:
        notes.append(f"{counted(bare, 'frame')} of {len(tables.frames):,} without labels: images without annotations")
    return notes


def _subset(store: Store, places: "np.ndarray[Any, np.dtype[np.int64]]") -> tuple[Dataset, int]:
    """The tables of some frames, in the order of the input, with their labels; and how many of them are not labeled."""
    chosen = np.zeros(store.input.count("frames"), bool)
    chosen[places] = True
    row = np.cumsum(chosen) - 1
    frames = store.frames().filter(chosen)
    bare = len(frames) - int(np.array(frames.column("labelled")).sum())
    frames = _with(frames, "labelled", [True] * len(frames))
    known = store.columns()
    for side in ("width", "height"):
        if frames.column(side).null_count and side in known:
            measured = store.column(side).to_numpy(np.float64, na_value=np.nan)[chosen]
            given = zip(frames.column(side).to_pylist(), measured.tolist(), strict=True)
            frames = _with(frames, side, [int(m) if g is None and m == m else g for g, m in given])
    objects = store.objects() if store.input.count("objects") else empty(OBJECTS)
    own = np.array(objects.column("row"))
    objects = objects.filter(chosen[own] & (np.array(objects.column("origin")) == 0))
    objects = _with(objects, "row", row[np.array(objects.column("row"))].tolist())
    answers = store.classifications() if store.input.count("classifications") else empty(CLASSIFICATIONS)
    inside = set(frames.column("frame").to_pylist())
    keep = [name in inside and origin == 0 for name, origin in _pairs(answers)]
    answers = answers.filter(np.array(keep, bool))
    identity = store.identity
    classes, sources = (tuple(map(str, identity.get(key) or ())) for key in ("classes", "class_sources"))
    return Dataset(frames, objects, answers, store.input_errors().slice(0, 0), classes, sources), bare


def _pairs(answers: Any) -> "zip[tuple[Any, ...]]":
    return zip(*(answers.column(name).to_pylist() for name in ("frame", "origin")), strict=True)


def _with(table: Any, name: str, values: list[Any]) -> Any:
    """A table with other values in a column, of the same type."""
    place = table.schema.get_field_index(name)
    return table.set_column(place, name, [values]).cast(table.schema)
