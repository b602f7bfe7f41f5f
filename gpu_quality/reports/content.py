"""Everything a report says, gathered from a store before anything is drawn."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from gpu_quality.reports.asked import Drifted, Selected, drift_of, selection_of
from gpu_quality.reports.charts import BINS
from gpu_quality.reports.columns import OWN, Column, Sheet, name_of
from gpu_quality.reports.copies import Copies, copies_of
from gpu_quality.reports.far import Far, far_of
from gpu_quality.reports.figures import Distribution, End, Groups, Issue, distributions, extremes, groups, issues
from gpu_quality.reports.findings import Labels, label_findings
from gpu_quality.reports.meaning import Meaning, meaning_of
from gpu_quality.reports.model.quality import ModelQuality, model_of
from gpu_quality.reports.shots import Shot, box_mark
from gpu_quality.reports.why.answers import Why, why_of
from gpu_quality.store.store import Store
from gpu_quality.text import clean

MAIN: Final = {
    "frame": (
        "frame_f1", "label_quality", "brightness", "contrast", "sharpness", "noise", "blockiness", "saturation",
        "colorfulness", "entropy", "uneven_illumination", "aspect_ratio", "area", "object_count", "singularity", "uniqueness",
    ),
    "object": (
        "object_sharpness", "object_brightness", "object_contrast", "object_area_relative", "object_aspect_ratio",
        "border_closeness", "annotation_duplicate", "object_singularity",
    ),
}  # fmt: skip
"""Metrics whose extremes are shown as pictures; a person's own metrics always are."""
ENDS: Final[tuple[End, ...]] = ("lowest", "highest")
PER_ISSUE, PER_END, PER_GROUP, GROUPS_SHOWN, OWN_SHOWN = 12, 6, 6, 8, 6
"""How many pictures: of an issue, of one end of a metric, of a group; how many groups and own metrics."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Pictures of one end of a metric: which rows, and their values."""

    column: Column
    end: End
    rows: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def suspicious(self) -> bool:
        """Whether bad values lie at this end."""
        return (self.end, self.column.bad) in (("lowest", "low"), ("highest", "high"))


@dataclass(frozen=True, slots=True)
class Origin:
    """The objects of the labels or of one prediction set."""

    name: str
    sheet: Sheet
    distributions: tuple[Distribution, ...]
    strips: tuple[Strip, ...]
    classes: int
    """How many classes they have."""

    def shot(self, row: int) -> Shot:
        """The picture of an object."""
        return Shot(int(self.sheet.table["row"].iloc[row]), (box_mark(self.sheet.table["box"].iloc[row]),))


@dataclass(frozen=True)
class Content:
    """What was found, before it is drawn."""

    path: Path
    identity: Mapping[str, Any]
    status: Mapping[str, Any]
    source: Mapping[str, Any]
    frames: Sheet
    errors: pd.DataFrame
    issues: Sequence[Issue]
    groups: Sequence[Groups]
    copies: Copies
    distributions: Sequence[Distribution]
    strips: Sequence[Strip]
    origins: Sequence[Origin]
    labels: Labels | None
    meaning: Meaning | None
    model: ModelQuality | None
    why: Why | None
    far: Far | None
    drift: Drifted | None
    selection: Selected | None
    unlabelled: int
    """Frames without labels in a run that has some."""

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the frames."""
        return self.frames.ids()

    @property
    def flagged(self) -> int:
        """Frames with at least one issue."""
        return len(np.unique(np.concatenate([issue.rows for issue in self.issues]))) if self.issues else 0

    @property
    def name(self) -> str:
        """What the store's folder is called; the rest of its path is nobody's business."""
        return self.path.resolve().name

    @property
    def title(self) -> str:
        """What the folder of images is called, or the store where that folder is somebody's home or not known."""
        root = Path(str(self.source.get("root") or ""))
        return self.name if not root.name or root == Path.home() or root.parent == Path.home().parent else root.name

    def private(self, text: object) -> str:
        """Text without the places of this machine: an ellipsis stands for image folder, store and home."""
        shown = clean(text, 2000)
        places = [str(self.source.get("root") or ""), str(self.path.resolve()), str(Path.home())]
        for place in sorted((place for place in places if len(place) > 1), key=len, reverse=True):
            shown = shown.replace(place, "…")
        return shown

    def shots(self) -> Iterator[Shot]:
        """Every picture the page shows, the most telling first; a picture shown twice comes twice."""
        for issue in self.issues:
            yield from (Shot(row) for row in issue.rows[:PER_ISSUE].tolist())
        yield from self.copies.shots()
        for found in self.copies.without(self.groups)[0]:
            for members in found.members[:GROUPS_SHOWN]:
                yield from (Shot(row) for row in members[:PER_GROUP])
        if self.labels is not None:
            yield from self.labels.shots()
        for part in (self.model, self.why, self.meaning, self.far, self.drift, self.selection):
            yield from () if part is None else part.shots()
        for strip in self.strips:
            yield from (Shot(row) for row in strip.rows)
        for origin in self.origins:
            for strip in origin.strips:
                yield from (origin.shot(row) for row in strip.rows)


def gather(store: Store) -> Content:
    """Read a store and compute every figure of its report."""
    frames, objects = Sheet.read(store, "frame"), Sheet.read(store, "object")
    return Content(
        path=Path(store.path),
        identity=store.identity,
        status=store.status(),
        source=_source(Path(store.path)),
        frames=frames,
        errors=store.errors(),
        issues=issues(frames),
        groups=groups(frames),
        copies=copies_of(store, frames),
        distributions=distributions(frames, BINS),
        strips=_strips(frames),
        origins=_origins(store, objects),
        labels=label_findings(store, frames, objects),
        meaning=meaning_of(store, frames, objects),
        model=model_of(store, frames, objects),
        why=why_of(store),
        far=far_of(store, frames.ids()),
        drift=drift_of(store, frames.ids()),
        selection=selection_of(store),
        unlabelled=_unlabelled(store),
    )


def _unlabelled(store: Store) -> int:
    if not store.identity.get("labels"):
        return 0
    return int((~store.table("frame", ["labelled"])["labelled"].to_numpy(bool)).sum())


def _source(store: Path) -> dict[str, Any]:
    """What the run noted about itself; nothing where it did not."""
    try:
        found = json.loads((store / "logs" / "source.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _strips(sheet: Sheet) -> tuple[Strip, ...]:
    numbers = {column.name: column for column in sheet.of_kind("number")}
    own = [column for column in numbers.values() if column.topic == OWN][:OWN_SHOWN]
    main = [numbers[name] for name in MAIN[sheet.per] if name in numbers] or list(numbers.values())[:OWN_SHOWN]
    strips = []
    for name in dict.fromkeys(column.name for column in (*own, *main)):
        values = sheet.values(name)
        if len(np.unique(values[np.isfinite(values)])) < 2:
            continue  # nothing to compare
        for end in ENDS:
            rows = tuple(extremes(sheet, name, end, PER_END).tolist())
            strips.append(Strip(numbers[name], end, rows, tuple(values[list(rows)].tolist())))
    return tuple(strips)


def _origins(store: Store, sheet: Sheet) -> tuple[Origin, ...]:
    if not len(sheet):
        return ()
    found = []
    for number in sorted(set(sheet.table["origin"].tolist())):
        part = replace(sheet, table=sheet.table[sheet.table["origin"] == number].reset_index(drop=True))
        name = name_of(store.identity.get("origins"), int(number))
        found.append(Origin(name, part, tuple(distributions(part, BINS)), _strips(part), part.table["class_id"].nunique()))
    return tuple(found)
