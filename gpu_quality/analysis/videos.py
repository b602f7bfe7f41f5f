"""One row per video: how its frame metrics spread, how long it is, and what is wrong with its labels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

LABELS: Final = "labels"
CHANGED_CLASS: Final = 1
"""Code of the metric `inconsistency` for an object whose class changed."""


def video_table(
    frames: "pd.DataFrame",
    objects: "pd.DataFrame | None",
    classifications: "pd.DataFrame | None",
    metrics: Mapping[str, str],
    *,
    origins: Sequence[str] = (LABELS,),
) -> "pd.DataFrame":
    """One row per sequence, sorted by name; images without a sequence are in no row.

    `frames` has `frame`, `sequence`, `position`, `seconds`, perhaps `frozen`, and the columns that `metrics` names: metric →
    column. Each gives ``video_mean_<metric>``, and min, max, std (population), p05 and p95 (linear), over values that are not
    null. `objects` has `frame`, `origin` (counts into `origins`), `track`, and perhaps `track_continuity` and `inconsistency`;
    counts of prediction sets end in ``_<set>``. `classifications` has `frame` and `origin`. Without both, nothing is said about
    labels. Raises `KeyError` when a named column is missing. Source: reference metrics.md 8.
    """
    import pandas as pd

    names = frames["sequence"].fillna("").astype(str).to_numpy(object)
    in_video = np.flatnonzero(names != "")
    part = frames.iloc[in_video]
    video, known = pd.factorize(names[in_video], sort=True)
    count = np.bincount(video, minlength=len(known))
    columns: dict[str, Any] = {"sequence": known, "video_frames": count, **_times(part, video, len(known))}
    for name, column in metrics.items():
        columns |= _spread(name, _numbers(part[column]), video, len(known))
    if "frozen" in part:
        columns["video_frozen_fraction"] = _mean(_numbers(part["frozen"]), video, len(known))
    place = pd.Index(part["frame"])
    if objects is not None or classifications is not None:
        columns |= _unlabeled(place, video, count, objects, classifications)
    if objects is not None:
        row = place.get_indexer(objects["frame"])
        inside = np.flatnonzero(row >= 0)
        owner = video[row[inside]]
        for number, origin in enumerate(origins):
            own = objects["origin"].to_numpy()[inside] == number
            suffix = "" if origin == LABELS else f"_{origin}"
            found = _object_counts(objects.iloc[inside[own]], owner[own], len(known))
            columns |= {name + suffix: values for name, values in found}
    return pd.DataFrame(columns)


def _numbers(column: "pd.Series[Any]") -> Floats:
    """A column as float64, null as NaN."""
    return np.asarray(column.to_numpy(np.float64, na_value=np.nan))


def _mean(values: Floats, video: Codes, videos: int) -> Floats:
    """Mean of the known values of every video; NaN where there are none."""
    has = ~np.isnan(values)
    count, total = np.bincount(video[has], minlength=videos), np.bincount(video[has], values[has], videos)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _spread(name: str, values: Floats, video: Codes, videos: int) -> dict[str, Floats]:
    """Mean, extremes, standard deviation and quantiles of one metric over the frames of every video."""
    has = ~np.isnan(values)
    order = np.lexsort((values[has], video[has]))
    values, video = values[has][order], video[has][order]
    count = np.bincount(video, minlength=videos)
    some, start = count > 0, np.cumsum(count) - count

    def spread_out(per_video: Floats) -> Floats:
        full = np.full(videos, np.nan)
        full[some] = per_video
        return full

    def quantile(share: float) -> Floats:
        rank = (count[some] - 1) * share
        low = np.floor(rank).astype(np.int64)
        first = start[some] + low
        after = np.minimum(first + 1, start[some] + count[some] - 1)
        return spread_out(values[first] + (values[after] - values[first]) * (rank - low))

    mean = _mean(values, video, videos)
    apart = np.bincount(video, (values - mean[video]) ** 2, videos)[some] / count[some]
    return {
        f"video_mean_{name}": mean,
        f"video_min_{name}": quantile(0.0),
        f"video_max_{name}": quantile(1.0),
        f"video_std_{name}": spread_out(np.sqrt(apart)),
        f"video_p05_{name}": quantile(0.05),
        f"video_p95_{name}": quantile(0.95),
    }


def _times(frames: "pd.DataFrame", video: Codes, videos: int) -> dict[str, Floats]:
    """Length and frame rate, from the first and the last frame whose time is known; NaN where they do not tell."""
    seconds, position = _numbers(frames["seconds"]), frames["position"].to_numpy(np.float64)
    timed = np.flatnonzero(~np.isnan(seconds))
    timed = timed[np.lexsort((position[timed], video[timed]))]
    count = np.bincount(video[timed], minlength=videos)
    last = np.cumsum(count) - 1
    some = np.flatnonzero(count > 1)
    first, last = timed[(last - count + 1)[some]], timed[last[some]]
    passed, steps = seconds[last] - seconds[first], position[last] - position[first]
    told = (passed > 0) & (steps > 0)
    fps, length = np.full(videos, np.nan), np.full(videos, np.nan)
    fps[some[told]] = steps[told] / passed[told]
    length[some[told]] = passed[told] + passed[told] / steps[told]
    return {"video_seconds": length, "video_fps": fps}


def _unlabeled(
    place: "pd.Index[Any]",
    video: Codes,
    count: NDArray[np.intp],
    objects: "pd.DataFrame | None",
    classifications: "pd.DataFrame | None",
) -> dict[str, Any]:
    """Frames that the labels say nothing about."""
    empty = np.ones(len(place), bool)
    for table in (objects, classifications):
        if table is not None:
            row = place.get_indexer(table["frame"][table["origin"].to_numpy() == 0])
            empty[row[row >= 0]] = False
    number = np.bincount(video[empty], minlength=len(count))
    return {"video_unlabeled_frames": number, "video_unlabeled_fraction": number / count}


def _object_counts(objects: "pd.DataFrame", video: Codes, videos: int) -> Iterator[tuple[str, Any]]:
    """How many objects and tracks the labels, or one prediction set, have, and how many of them are questioned."""
    import pandas as pd

    yield "video_label_count", np.bincount(video, minlength=videos)
    track = _numbers(objects["track"])
    tracked = track >= 0
    pairs = pd.DataFrame({"video": video[tracked], "track": track[tracked]}).drop_duplicates()
    yield "video_track_count", np.bincount(pairs["video"], minlength=videos)
    wrong = (
        ("video_broken_tracks", "track_continuity", 0.5),
        ("video_missing_objects", "track_continuity", 0.0),
        ("video_class_flips", "inconsistency", CHANGED_CLASS),
    )
    for name, column, value in wrong:
        if column in objects:
            yield name, np.bincount(video[_numbers(objects[column]) == value], minlength=videos)


def video_vectors(sequence: "pd.Series[str]", videos: "pd.Series[str]", vectors: NDArray[np.float16]) -> NDArray[np.float16]:
    """A unit vector per video [v, d]: the mean of those of its frames; NaN where no frame of it has one.

    `sequence` names the video of each row of `vectors`, `videos` the videos in the order of the result.
    """
    row_of = {name: row for row, name in enumerate(videos)}
    place = np.array([row_of.get(name, -1) for name in sequence], np.int64)
    known = (place >= 0) & ~np.isnan(vectors).any(1)
    total = np.zeros((len(videos), vectors.shape[1]))
    np.add.at(total, place[known], vectors[known].astype(np.float64))
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.where(length > 0, length, 1), np.nan).astype(np.float16)
