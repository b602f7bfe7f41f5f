"""Health checks of frames: missing files, wrong sizes, names used twice, images without labels."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from gpu_quality.analysis.health_rows import Bools, Rows, quoted, texts
from gpu_quality.analysis.health_view import Sides, numbers
from gpu_quality.annotations import Dataset


def frame_findings(tables: Dataset, rows: Rows, decoded: Sides | None) -> Iterator[pd.DataFrame]:
    """Everything that is told of a frame as a whole."""
    yield _missing(tables, rows)
    yield _repeated_names(tables, rows)
    yield _unlabeled(tables, rows)
    if decoded is not None:
        yield _sizes(tables, rows, decoded)


def labeled(tables: Dataset) -> Bools:
    """Which frames have a label or an answer of the labels."""
    found = np.zeros(tables.frames.num_rows, bool)
    own = tables.objects.column("origin").to_numpy() == 0
    found[tables.objects.column("row").to_numpy()[own]] = True
    answers = tables.classifications
    told = texts(answers, "frame")[answers.column("origin").to_numpy() == 0]
    found |= pd.Index(texts(tables.frames, "frame")).isin(told)
    return found


def has_labels(tables: Dataset) -> bool:
    """Whether there are labels at all, even if they call every image empty."""
    return bool(tables.frames.column("labelled").to_numpy().any() or labeled(tables).any())


def _missing(tables: Dataset, rows: Rows) -> pd.DataFrame:
    """Images that annotations name, where images were listed and these were not among them; addresses cannot be listed.

    Those that a run looked for in vain are in the error table already.
    """
    size = tables.frames.column("size_bytes").to_numpy()
    told = tables.errors.column("frame").to_pandas()[tables.errors.column("reason").to_pandas() == "missing"]
    found = np.flatnonzero((size < 0) & (size >= 0).any() & ~pd.Index(rows.frame).isin(told))
    uri = texts(tables.frames, "uri").take(found)
    found, uri = (part[["://" not in text for text in uri]] for part in (found, uri))
    part = rows.of_frames(
        "missing_file", found, ["annotations name it, but it is not among the images"] * len(found), origin=-1
    )
    return part.assign(file=uri)


def _repeated_names(tables: Dataset, rows: Rows) -> pd.DataFrame:
    """A second image of one name became a frame called ``name#id``."""
    ids = texts(tables.frames, "frame")
    unseen = tables.frames.column("size_bytes").to_numpy() < 0
    marked = np.flatnonzero([has and "#" in text for has, text in zip(unseen.tolist(), ids, strict=True)])
    names = [text.rpartition("#")[0] for text in ids.take(marked)]
    real = pd.Index(ids).isin(names)
    known = set(ids[real])
    found = [(row, name) for row, name in zip(marked.tolist(), names, strict=True) if name in known]
    detail = [f"another image of the labels is also called {quoted(name)}" for _, name in found]
    return rows.of_frames("duplicate_file_name", np.array([row for row, _ in found], np.int64), detail)


def _unlabeled(tables: Dataset, rows: Rows) -> pd.DataFrame:
    known = tables.frames.column("labelled").to_numpy()
    found = np.flatnonzero(~labeled(tables)) if has_labels(tables) else np.zeros(0, np.int64)
    told = ("the labels do not name this image", "the labels name this image and nothing in it")
    return rows.of_frames("unlabeled_image", found, [told[int(k)] for k in known[found]])


def _sizes(tables: Dataset, rows: Rows, decoded: Sides) -> pd.DataFrame:
    claimed = [numbers(tables.frames.column(name)) for name in ("width", "height")]
    real = [numbers(side) for side in decoded]
    with np.errstate(invalid="ignore"):
        apart = [np.abs(a - b) for a, b in zip(claimed, real, strict=True)]
    gap = np.fmax(*apart)
    found = np.flatnonzero(gap > 0)
    sides = [side[found].tolist() for side in (*claimed, *real)]
    detail = [f"declared {a:.0f} x {b:.0f} px, the image is {c:.0f} x {d:.0f} px" for a, b, c, d in zip(*sides, strict=True)]
    return rows.of_frames("size_mismatch", found, detail, gap[found])
