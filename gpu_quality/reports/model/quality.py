"""Model quality as a report tells it: every evaluated prediction set of a store, gathered before anything is drawn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gpu_quality.evaluation.calibration import Reliability
from gpu_quality.reports.columns import Sheet
from gpu_quality.reports.model.cells import PAIRS_SHOWN, PER_PAIR, Confusions, confusions_of
from gpu_quality.reports.model.curves import Curves, curves_of
from gpu_quality.reports.model.exhibits import Stage
from gpu_quality.reports.model.figures import (
    ClassFigures,
    Counts,
    ErrorKinds,
    F1Grid,
    calibration_of,
    classes_of,
    counts_of,
    errors_of,
    f1_grid,
    known,
)
from gpu_quality.reports.model.outcomes import Gallery, galleries_of
from gpu_quality.reports.model.reading import Stored, read_stored
from gpu_quality.reports.shots import Shot
from gpu_quality.store.store import Store
from gpu_quality.text import counted

PER_GALLERY, OF_SEVERAL = 12, 6
"""Pictures of a gallery; where a store has several evaluated sets."""
NOT_EVALUATED: Final = "was never evaluated; `gpu-quality evaluate` does that."


@dataclass(frozen=True, slots=True)
class EvaluatedSet:
    """Everything a report says about one prediction set."""

    name: str
    suffix: str
    """What its columns and results are called after their name."""
    protocol: str
    kind: str
    iou: float
    confidence: float
    inputs: Mapping[str, int]
    """frames, labels, predictions, ignored_labels, ignored_predictions, refused_rows."""
    metrics: Mapping[str, float | None]
    """The protocol's figures by their short names."""
    recall_key: str
    """Name of its average recall, empty where it has none."""
    counts: Counts
    classes: tuple[ClassFigures, ...]
    """The worst first, those without labels last."""
    curves: Curves
    grid: F1Grid | None
    errors: ErrorKinds | None
    calibration: Reliability | None
    confusions: Confusions
    galleries: tuple[Gallery, ...]
    notes: tuple[str, ...]

    def source(self, table: str = "") -> str:
        """Where a number is from: a table of the store as a query calls it, or the file of the figures."""
        return f"evaluation_{table}{self.suffix}" if table else f"results/evaluation{self.suffix}.json"

    def shots(self) -> Iterator[Shot]:
        """Its pictures in the order of the page."""
        pairs = (exhibit for pair in self.confusions.pairs for exhibit in pair.examples)
        shown = (exhibit for gallery in self.galleries for exhibit in gallery.exhibits)
        for exhibits in (pairs, shown):
            yield from (exhibit.shot for exhibit in exhibits if exhibit.shot is not None)


@dataclass(frozen=True, slots=True)
class ModelQuality:
    """Every prediction set of a store: those that were evaluated, and a sentence for each that was not."""

    sets: tuple[EvaluatedSet, ...]
    notes: tuple[str, ...]

    def shots(self) -> Iterator[Shot]:
        """Every picture in the order of the page."""
        for found in self.sets:
            yield from found.shots()


def model_of(store: Store, frames: Sheet, objects: Sheet) -> ModelQuality | None:
    """What a store knows about its models; None where nothing was evaluated and there are no predictions."""
    names = [str(name) for name in (store.identity.get("origins") or ["labels"])[1:]]
    sizes = objects.table["origin"].value_counts().to_dict() if len(objects) else {}
    suffixes = [f"_{name}" if len(names) > 1 else "" for name in names]
    found = [read_stored(store, at, name, suffix) for at, (name, suffix) in enumerate(zip(names, suffixes, strict=True), 1)]
    stored = [one for one in found if isinstance(one, Stored)]
    notes = [
        _why(name, one, sizes.get(0, 0), sizes.get(at, 0)) for at, (name, one) in enumerate(zip(names, found, strict=True), 1)
    ]
    if not stored and not any(notes):
        return None
    stage = Stage(store, frames.ids())
    shown = PER_GALLERY if len(stored) == 1 else OF_SEVERAL
    return ModelQuality(tuple(_gathered(store, one, stage, shown) for one in stored), tuple(note for note in notes if note))


def _why(name: str, found: Stored | str | None, labels: int, predictions: int) -> str:
    """Why a prediction set has no figures; empty where it has, or has nothing to be judged."""
    if isinstance(found, Stored) or (found is None and not predictions):
        return ""
    if isinstance(found, str):
        return f"{name}: {found}"
    if not labels:
        return f"{name}: {counted(predictions, 'prediction')}, but there are no labels to compare them with."
    return f"{name}: {counted(predictions, 'prediction')}, and the set {NOT_EVALUATED}"


def _gathered(store: Store, stored: Stored, stage: Stage, shown: int) -> EvaluatedSet:
    facts, params = stored.facts, stored.params
    names = list(dict.fromkeys(str(name) for name in stored.tables["classes"]["class"]))
    counts, per_class = counts_of(stored.tables["confusion"], names)
    iou = float(params["iou"])
    curves = curves_of(stored.tables["curves"], per_class, iou)
    errors, gone = errors_of(store, stored)
    few = shown < PER_GALLERY
    return EvaluatedSet(
        name=stored.name,
        suffix=stored.suffix,
        protocol=str(facts["protocol"]),
        kind=str(facts["kind"]),
        iou=iou,
        confidence=float(params["confidence"]),
        inputs=facts["counts"],
        metrics={str(key): known(value) for key, value in facts["metrics"].items()},
        recall_key=_recall_key(facts["metrics"], params.get("max_detections") or ()),
        counts=counts,
        classes=classes_of(stored, per_class, curves),
        curves=curves,
        grid=f1_grid(stored.tables["grid"]) if len(stored.tables["grid"]) else None,
        errors=errors,
        calibration=calibration_of(stored),
        confusions=confusions_of(stored, stage, names, pairs=PAIRS_SHOWN // (1 + few), each=PER_PAIR),
        galleries=galleries_of(store, stored, stage, shown),
        notes=tuple(note for note in (*map(str, facts.get("warnings", ())), *stored.notes, gone) if note),
    )


def _recall_key(metrics: Mapping[str, Any], most: Sequence[int]) -> str:
    """COCO's average recall at the largest number of detections, else what is called AR."""
    wanted = (f"AR{max(most)}" if most else "AR", "AR")
    return next((key for key in wanted if key in metrics), "")
