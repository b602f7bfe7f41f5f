"""Health checks of records: ids, scores, tracks, and what readers refused."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gpu_quality.analysis.health_codes import CODES
from gpu_quality.analysis.health_rows import Ints, Rows, quoted, texts
from gpu_quality.analysis.health_view import View
from gpu_quality.annotations import Dataset

_NOT_FOUND = ("list", "open")
"""Stages at which the reason "missing" says that an image is not there."""


def record_findings(tables: Dataset, view: View, rows: Rows) -> Iterator[pd.DataFrame]:
    """Ids that repeat or are 0, scores that are missing or no share, tracks that change their class."""
    yield from _ids(tables, view, rows)
    yield from _scores(tables, view, rows)
    yield _tracks(tables, view, rows)


def _ids(tables: Dataset, view: View, rows: Rows) -> Iterator[pd.DataFrame]:
    source = texts(tables.objects, "source_id")
    again, first = _repeated(source, view, rows)
    detail = [f"id {quoted(name)} is taken by an earlier annotation of the file" for name in source.take(again)]
    yield rows.of_objects("duplicate_ann_id", again, detail, other=first)
    zero = np.flatnonzero((view.origin == 0) & np.asarray(source == "0", bool))
    yield rows.of_objects("ann_id_zero", zero, ["pycocotools takes an annotation with id 0 for one never matched"] * len(zero))


def _repeated(source: Any, view: View, rows: Rows) -> tuple[Ints, Ints]:
    """Objects whose id is taken, and by whom.

    One object followed through frames keeps its id: the same track in another frame is no repetition. Nor are several shapes of
    one record that has no id of its own and is called by its place.
    """
    number, file = pd.factorize(source)[0], pd.factorize(rows.file)[0]
    keys = pd.DataFrame({"origin": view.origin, "file": file, "id": number})
    order = np.lexsort((rows.record, number, file, view.origin))  # stable: among equal records the first row comes first
    later = keys.iloc[order].duplicated().to_numpy()
    if not later.any():
        return order[:0], order[:0]
    start = np.maximum.accumulate(np.where(later, 0, np.arange(len(order))))
    again, first = order[later], order[start][later]
    track = view.objects.track.numpy()
    members = order[later | np.append(later[1:], False)]  # all that share an id
    seen = keys.iloc[members].assign(frame=view.row[members]).duplicated().to_numpy()
    beside = np.isin(again, members[seen])
    followed = (track[again] >= 0) & (track[again] == track[first]) & ~beside
    place, name = rows.record[again], source.take(again)
    called = [text in (f"record-{at}", str(at)) for text, at in zip(name, place.tolist(), strict=True)]
    unnamed = np.array(called, bool) & (place == rows.record[first])
    keep = np.flatnonzero(~followed & ~unnamed)
    keep = keep[np.argsort(again[keep])]
    return again[keep], first[keep]


def _scores(tables: Dataset, view: View, rows: Rows) -> Iterator[pd.DataFrame]:
    predicted = view.origin > 0
    score = tables.objects.column("score").to_pandas().to_numpy(np.float64, na_value=np.nan)
    missing = np.flatnonzero(predicted & np.isnan(score))
    yield rows.of_objects("dt_missing_score", missing, ["it has no score"] * len(missing))
    beyond = np.flatnonzero(predicted & ((score < 0) | (score > 1)))
    detail = [f"score {value:.6g} is not between 0 and 1" for value in score[beyond].tolist()]
    yield rows.of_objects("dt_score_out_of_range", beyond, detail, score[beyond])


def _tracks(tables: Dataset, view: View, rows: Rows) -> pd.DataFrame:
    """Of each track of a sequence, the objects whose class is not that of the object before."""
    sequence, names = pd.factorize(texts(tables.frames, "sequence"))
    video = np.asarray(names != "")[sequence] if len(names) else np.zeros(0, bool)
    track, position = view.objects.track.numpy(), tables.frames.column("position").to_numpy()
    members = np.flatnonzero((track >= 0) & video[view.row])
    where = sequence[view.row[members]]
    order = np.lexsort((members, position[view.row[members]], track[members], where, view.origin[members]))
    members, where = members[order], where[order]
    changed = view.class_id[members][1:] != view.class_id[members][:-1]
    for key in (view.origin[members], where, track[members]):
        changed &= key[1:] == key[:-1]
    before, after = members[:-1][changed], members[1:][changed]
    known = [quoted(name) for name in (*tables.classes, "?")]
    both = zip(view.class_id[before].tolist(), view.class_id[after].tolist(), track[after].tolist(), strict=True)
    detail = [f"track {number} was {known[a]} and is {known[b]} here" for a, b, number in both]
    return rows.of_objects("track_class_change", after, detail, other=before)


def refused(tables: Dataset, view: View, rows: Rows) -> pd.DataFrame:
    """What readers could not use, and images that were not found, taken over from the error table.

    A kept box without area is found among the objects, a missing file once, however many parts of a run looked for it.
    """
    errors = tables.errors
    metric, stage, reason = (errors.column(name).to_pandas() for name in ("metric", "stage", "reason"))
    code = reason.where(~((reason == "missing") & stage.isin(_NOT_FOUND)), "missing_file")
    wanted = (code.isin(list(CODES)) & metric.isna()).to_numpy()
    found = pd.DataFrame({name: errors.column(name).to_pandas()[wanted] for name in ("frame", "object", "uri", "detail")})
    found["code"] = code[wanted]
    found["record"] = pd.to_numeric(errors.column("line").to_pandas()[wanted]).fillna(-1).astype(np.int64)
    found = found[~(found["code"] == "degenerate_bbox") | ~_among(found, rows, np.flatnonzero(view.flat))]
    lost = found["code"] == "missing_file"
    found = found[~(lost & found.duplicated(["code", "frame", "uri"]))]
    return _taken_over(found, rows)


def _among(found: pd.DataFrame, rows: Rows, kept: Ints) -> Any:
    """Which records are those of the given objects."""
    known = pd.MultiIndex.from_arrays([rows.file.take(kept), rows.record[kept]])
    return pd.MultiIndex.from_arrays([found["uri"], found["record"]]).isin(known)


def _taken_over(found: pd.DataFrame, rows: Rows) -> pd.DataFrame:
    n = len(found)
    lost = (found["code"] == "missing_file").to_numpy()
    known = pd.Index(rows.frame)
    return pd.DataFrame(
        {
            "file": pd.array(found["uri"], "str"),
            "record": found["record"].to_numpy(),
            "frame": pd.array(found["frame"], "str"),
            "object": pd.array(found["object"], "str"),
            "other": pd.array([None] * n, "str"),
            "value": np.full(n, np.nan),
            "detail": pd.array(found["detail"], "str"),
            "_code": pd.Index(list(CODES)).get_indexer(found["code"]),
            "_origin": np.where(lost, -1, _origins(found, rows)),
            "_frame": known.get_indexer(found["frame"]),
            "_object": -1,
            "_other": found["record"].to_numpy(),
        }
    )


def _origins(found: pd.DataFrame, rows: Rows) -> Ints:
    """Whose record each one is: ids of objects begin with the name of their origin, else the file tells, else the labels."""
    files = pd.DataFrame({"file": rows.file, "origin": rows.origin}).drop_duplicates("file").set_index("file")["origin"]
    origin: Ints = found["uri"].map(files).fillna(0).to_numpy().astype(np.int64)
    for number, name in enumerate(rows.origins):
        origin[found["object"].str.startswith(f"{name}/").fillna(False).to_numpy(bool)] = number
    return origin
