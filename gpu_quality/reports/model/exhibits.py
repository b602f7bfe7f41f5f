"""Single predictions and labels as pictures: where both lie, and what is to be said about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_quality.reports.columns import name_of
from gpu_quality.reports.scenes import Scenes, overlap
from gpu_quality.reports.shots import OTHER, Shot, object_marks
from gpu_quality.store.store import Store


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A prediction (solid line), a label (dashed), or both, and what came of it."""

    shot: Shot | None
    """None where the object is not in the store any more."""
    frame: str
    object: str
    """Id of the prediction, or of the missed label: the row of the store that the numbers are from."""
    name: str
    """Its class."""
    confidence: float | None
    iou: float | None
    told: str
    """Why it is here, in words."""
    partner: str = ""
    """Class of the other object where it differs."""
    missed: bool = False
    """It is a label, and the other object a prediction."""


class Stage:
    """The objects of the frames that are shown."""

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self._scenes = Scenes(store, ids)
        self._classes = store.identity.get("classes")

    def shot(self, frame: str, prediction: str = "", label: str = "") -> Shot | None:
        """Both as lines: the prediction solid, the label dashed."""
        own, other = (self._scenes.find(frame, name) if name else None for name in (prediction, label))
        if own is None and other is None:
            return None
        marks = (() if other is None else object_marks(other, OTHER, dashed=True)) + (() if own is None else object_marks(own))
        found = own if own is not None else other
        assert found is not None  # noqa: S101 - one of them is there
        return Shot(int(found["row"]), marks)

    def nearest(self, frame: str, prediction: str) -> str:
        """The label whose box a prediction overlaps most, one of its own class before all others; empty where none is."""
        own = self._scenes.find(frame, prediction)
        if own is None:
            return ""
        labels = [found for found in self._scenes.objects(int(own["row"])).values() if found["origin"] == 0]

        def rank(found: Mapping[str, Any]) -> tuple[bool, float]:
            return found["class_id"] == own["class_id"], overlap(found["box"], own["box"])

        near = max((found for found in labels if overlap(found["box"], own["box"]) > 0), key=rank, default=None)
        return "" if near is None else str(near["object"])

    def class_of(self, frame: str, name: str) -> str:
        """The class of an object; empty where it is not there."""
        found = self._scenes.find(frame, name) if name else None
        return "" if found is None else name_of(self._classes, int(found["class_id"]))
