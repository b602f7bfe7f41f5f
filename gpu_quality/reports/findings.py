"""What the health checks and the track metrics say about labels and predictions, gathered before it is drawn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gpu_quality.reports.columns import Sheet
from gpu_quality.reports.scenes import Film, Found, Scenes
from gpu_quality.reports.shots import OTHER, Shot, object_marks
from gpu_quality.store.store import Store
from gpu_quality.text import number

if TYPE_CHECKING:
    import pandas as pd

SHOWN, PREDICTED, FILMS = 12, 4, 6
"""How many findings of a check, of one about predictions, and filmstrips of a kind, a report shows."""
HIGH_RISK: Final = 0.7
"""occlusion_risk from which on the metric speaks of high risk."""
CHANGED_CLASS, CHANGED_TRACK = 1, 2
"""Codes of the metric inconsistency."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd."""

    detail: str
    place: str
    """File and record, as the error table has them."""
    frame: str
    label: str
    """Class of the object, and its track."""
    shot: Shot | None
    film: Film | None


@dataclass(frozen=True, slots=True)
class Check:
    """A health check that spoke about one origin: how often, and its first findings."""

    code: str
    severity: str
    meaning: str
    origin: str
    count: int
    total: int | None
    """Objects or frames that could have been found; None where it is about classes or the whole."""
    findings: tuple[Finding, ...]
    predicted: bool = False
    """About a prediction set: what the model wrote, and nobody repairs by hand."""


@dataclass(frozen=True, slots=True)
class Classes:
    """How often every class occurs in one origin, the commonest first: name, objects, images, whether these are few."""

    origin: str
    question: str
    rows: tuple[tuple[str, int, int, bool], ...]
    ratio: float
    evenness: float


@dataclass(frozen=True, slots=True)
class Tracks:
    """Objects of videos that a track metric questions."""

    title: str
    rule: str
    origin: str
    count: int
    films: tuple[Film, ...]
    left: int
    """Objects that no filmstrip shows."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Everything that a report says about labels and predictions as such."""

    checks: tuple[Check, ...]
    classes: tuple[Classes, ...]
    tracks: tuple[Tracks, ...]
    notes: tuple[str, ...]

    @property
    def grave(self) -> int:
        """Findings in labels that are more than remarks."""
        return sum(check.count for check in self.checks if check.severity != "info" and not check.predicted)

    @property
    def predicted(self) -> int:
        """Findings in predictions that are more than remarks."""
        return sum(check.count for check in self.checks if check.severity != "info" and check.predicted)

    def shots(self) -> Iterator[Shot]:
        """Every picture in the order of the page."""
        found = list(chain.from_iterable(check.findings for check in self.checks))
        yield from (finding.shot for finding in found if finding.shot is not None)
        films = [finding.film for finding in found if finding.film is not None]
        films += chain.from_iterable(tracks.films for tracks in self.tracks)
        yield from (still.shot for film in films for still in film.stills if still is not None)


def label_findings(store: Store, frames: Sheet, objects: Sheet) -> Labels | None:
    """Health checks, class balance and questioned tracks of a store; None where nothing is annotated.

    What an earlier check left in the store is read; else the checks run now and leave their findings there.
    """
    if not (store.input.count("objects") or store.input.count("classifications") or store.identity.get("labels")):
        return None
    from gpu_quality.api.check import check

    found = check(store)
    scenes = Scenes(store, frames.ids())
    origins = list(store.identity.get("origins") or ["labels"])
    sizes = {} if not len(objects) else objects.table["origin"].value_counts().to_dict()
    counts = {name: int(sizes.get(i, 0)) for i, name in enumerate(origins)}
    checks = sorted(_checks(found.findings, scenes, counts, len(frames)), key=_rank)
    return Labels(tuple(checks), tuple(_classes(found.balance)), tuple(_tracks(objects, scenes, origins)), found.notes)


def _rank(check: Check) -> tuple[bool, bool]:
    """What labels need comes before what predictions have, and remarks come last."""
    return check.severity == "info", check.predicted


def _checks(found: "pd.DataFrame", scenes: Scenes, objects: Mapping[str, int], frames: int) -> Iterator[Check]:
    from gpu_quality.analysis.health import CODES

    models = list(objects)[1:]
    for keys, part in found.groupby(["severity", "code", "origin"], observed=True, dropna=False, sort=False):
        severity, code, origin = (key if isinstance(key, str) else "" for key in keys)
        first = part.iloc[0]
        total = None
        if isinstance(first["object"], str):
            total = objects.get(origin) or None
        elif isinstance(first["frame"], str):
            total = frames
        predicted = origin in models
        first_ones = part.head(PREDICTED if predicted else SHOWN).to_dict("records")
        shown = tuple(_finding(row, scenes, severity) for row in first_ones)
        yield Check(code, severity, CODES[code].meaning, origin, len(part), total, shown, predicted)


def _finding(row: Mapping[str, Any], scenes: Scenes, severity: str) -> Finding:
    frame, name, other, file = (row[key] if isinstance(row[key], str) else "" for key in ("frame", "object", "other", "file"))
    record = row["record"]
    known = record is not None and record == record and str(record) != "<NA>"
    place = f"{file}, record {int(record)}" if file and known else file
    subject, partner = scenes.find(frame, name), scenes.find(frame, other)
    told = "" if subject is None else scenes.told(subject)
    finding = Finding(str(row["detail"]), place, frame, told, None, None)
    at = scenes.row_of.get(frame)
    if severity == "info" or at is None or not known:
        return finding
    if subject is None:
        return replace(finding, shot=Shot(at))
    if other and partner is None:  # its partner is in another frame
        return replace(finding, film=scenes.film(subject, finding.detail))
    beside = () if partner is None else object_marks(partner, OTHER, dashed=True)
    return replace(finding, shot=Shot(at, (*object_marks(subject), *beside)))


def _classes(balance: "pd.DataFrame") -> Iterator[Classes]:
    """The balance of all splits together, per origin and question."""
    whole = balance[balance["split"].isna()]
    for keys, group in whole.groupby(["origin", "question"], dropna=False, sort=False):
        origin, question = (key if isinstance(key, str) else "" for key in keys)
        part = group.sort_values("class_count", ascending=False, kind="stable")
        names = ("class", "class_count", "class_images", "class_undersampled")
        rows = tuple(
            (str(name), int(count), int(images), bool(few))
            for name, count, images, few in zip(*(part[column] for column in names), strict=True)
        )
        yield Classes(origin, question, rows, float(part["imbalance_ratio"].iloc[0]), float(part["class_evenness"].iloc[0]))


def _tracks(objects: Sheet, scenes: Scenes, origins: Sequence[str]) -> Iterator[Tracks]:
    known = objects.columns
    if not {"track_continuity", "inconsistency", "occlusion_risk"} & set(known):
        return
    number_of = objects.table["origin"].to_numpy()
    going = objects.values("track_continuity") if "track_continuity" in known else np.full(len(objects), np.nan)
    changed = objects.values("inconsistency") if "inconsistency" in known else np.full(len(objects), np.nan)
    risk = objects.values("occlusion_risk") if "occlusion_risk" in known else np.full(len(objects), np.nan)
    hidden = risk >= HIGH_RISK
    kinds: list[tuple[str, str, np.ndarray[Any, Any], Callable[[int], str], bool]] = [
        ("vanished objects", "track_continuity is 0: the next frame lacks them, the one after has them again",
         going == 0, lambda _: "there, missing, there again", True),
        ("changed classes", "inconsistency is 1: what lay in their place a frame before has another class",
         changed == CHANGED_CLASS, lambda _: "another class than a frame before", False),
        ("changed tracks", "inconsistency is 2 or track_continuity 0.5: the thing goes on under another track id",
         (changed == CHANGED_TRACK) | (going == 0.5), lambda _: "the track id changes", False),
        ("possibly hidden objects", f"occlusion_risk is {HIGH_RISK} or more: smaller than usual, and of another form",
         hidden, lambda row: f"occlusion_risk {number(float(risk[row]))}", False),
    ]  # fmt: skip
    for title, rule, flagged, reason, is_gap in kinds:
        for place, origin in enumerate(origins):
            rows = np.flatnonzero(flagged & (number_of == place))
            if flagged is hidden:
                rows = rows[np.argsort(-risk[rows], kind="stable")]
            if len(rows):
                yield Tracks(title, rule, origin, len(rows), *_films(objects, scenes, rows.tolist(), reason, gap=is_gap))


def _films(
    objects: Sheet, scenes: Scenes, rows: Sequence[int], reason: Callable[[int], str], *, gap: bool
) -> tuple[tuple[Film, ...], int]:
    """The first filmstrips, and how many objects are left; one that a strip shows in its last frame is not shown once more."""
    films: list[Film] = []
    shown: set[tuple[int, int, int | None]] = set()
    for place, row in enumerate(rows):
        found: Found | None = scenes.find(objects.table["frame"].iloc[row], objects.table["object"].iloc[row])
        if found is None:
            continue
        if len(films) == FILMS:
            return tuple(films), len(rows) - place
        if found["track"] is not None:
            shown.add((found["origin"], found["track"], int(found["row"])))
            if (found["origin"], found["track"], scenes.before(int(found["row"]))) in shown:
                continue
        films.append(scenes.gap(found, reason(row)) if gap else scenes.film(found, reason(row)))
    return tuple(films), 0
