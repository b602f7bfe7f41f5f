"""What lies far from the rest: the answer of `outliers` in short, gathered before it is drawn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gpu_quality.api.results import kept_table
from gpu_quality.errors import GpuQualityError
from gpu_quality.reports.plain import records
from gpu_quality.reports.scenes import Scenes
from gpu_quality.reports.shots import Shot, object_marks
from gpu_quality.reports.why.answers import affordable, current, evaluated_set
from gpu_quality.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

METRICS_SHOWN, SUBJECTS_SHOWN = 10, 6
NAME: Final = "outliers"


@dataclass(frozen=True, slots=True)
class Extent:
    """How many values of a metric lie far from the others; None where the rule does not say how severe."""

    metric: str
    unit: str
    of: str
    """The class inside which the rule was applied; empty for everything."""
    values: int
    outliers: int
    severe: int | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Stranger:
    """A frame or object that is an outlier in many metrics."""

    subject: str
    frame: str
    label: str
    metrics: int
    severe: int
    farthest: str
    shot: Shot | None


@dataclass(frozen=True, slots=True)
class Far:
    """Outliers of frames, labels or predictions."""

    rows: str
    rule: str
    judged: int
    measures: int
    outliers: int
    severe: int | None
    extents: tuple[Extent, ...]
    """The metrics with most of them first."""
    strangers: tuple[Stranger, ...]
    notes: tuple[str, ...]

    def shots(self) -> Iterator[Shot]:
        """Pictures this part shows."""
        yield from (found.shot for found in self.strangers if found.shot is not None)


def far_of(store: Store, ids: Sequence[str]) -> Far | None:
    """The kept answer of `outliers`; in an evaluated store without one the outliers among frames, computed now.

    None where nobody asked and nothing was evaluated, or the store is too large. `ids` are those of the frames.
    """
    notes: list[str] = []
    facts = current(store, NAME, notes)
    try:
        if facts is not None:
            tables = [kept_table(store, NAME, table) for table in ("summary", "subjects")]
            if tables[0] is not None and tables[1] is not None:
                return _far(facts, tables[0], tables[1], Scenes(store, ids), notes)
        chosen = evaluated_set(store)
        if not affordable(store) or chosen is None:
            return None
        from gpu_quality.api.outliers import outliers

        found = outliers(store, predictions=chosen)
        return _far({**found.facts, "notes": found.notes}, found.summary, found.subjects, Scenes(store, ids), notes)
    except GpuQualityError as error:
        return _silent(*notes, f"Outliers are not shown: {error}")
    except (KeyError, TypeError, ValueError):
        return _silent(*notes, f"results/{NAME}.json is not what was written, and is not shown: `outliers` makes it anew.")


def _silent(*notes: str) -> Far:
    """Nothing, and why."""
    return Far("frames", "", 0, 0, 0, None, (), (), notes)


def _far(facts: Mapping[str, Any], summary: "pd.DataFrame", subjects: "pd.DataFrame", scenes: Scenes, notes: list[str]) -> Far:
    params, counts = facts["params"], facts["counts"]
    rows = records(summary[summary["outliers"] > 0].head(METRICS_SHOWN))
    extents = tuple(
        Extent(
            str(row["metric"]), str(row["unit"] or ""), str(row["class"] or ""), int(row["values"]), int(row["outliers"]),
            None if row["severe"] is None else int(row["severe"]), row["low"], row["high"],
        )
        for row in rows
    )  # fmt: skip
    strangers = tuple(_stranger(row, scenes) for row in records(subjects.head(SUBJECTS_SHOWN)))
    return Far(
        str(params["rows"]), str(params["rule"]), int(counts["judged"]), len(facts["measures"]), int(counts["outliers"]),
        None if counts["severe"] is None else int(counts["severe"]), extents, strangers, (*notes, *facts["notes"]),
    )  # fmt: skip


def _stranger(row: Mapping[str, Any], scenes: Scenes) -> Stranger:
    subject, frame = str(row["subject"]), str(row["frame"])
    at = scenes.row_of.get(frame)
    found = scenes.find(frame, subject) if subject != frame else None
    marks = () if found is None else object_marks(found)
    shot = None if at is None else Shot(at, marks)
    label = str(row["class"] or "")
    return Stranger(subject, frame, label, int(row["metrics"]), int(row["severe"] or 0), str(row["farthest"]), shot)
