"""The rules of an evaluation as data: which pairs match, what is ignored, how a curve becomes a number; the named protocols."""

from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.text import close

Range = float | tuple[float, ...]
"""One limit for all classes, or one per class."""


@dataclass(frozen=True, slots=True)
class AreaRange:
    """Labels of this size count, others are ignored: area in square pixels from `low` to `high`, both ends included."""

    name: str
    low: Range
    high: Range


COCO_THRESHOLDS: Final = (*(0.5 + i * ((0.95 - 0.5) / 9) for i in range(9)), 0.95)
"""IoU .50, .55 .. .95 in the doubles every COCO tool has: the ninth is 0.8999999999999999."""
COCO_RECALLS: Final = (*(i * 0.01 for i in range(100)), 1.0)
"""Recall 0, .01 .. 1 in doubles; ten of them exceed i / 100, so that recall 7/10 does not reach grid point 70."""
COCO_AREAS: Final = (
    AreaRange("all", 0.0, 1e10),
    AreaRange("small", 0.0, 1024.0),
    AreaRange("medium", 1024.0, 9216.0),
    AreaRange("large", 9216.0, 1e10),
)
KEYPOINT_AREAS: Final = (COCO_AREAS[0], *COCO_AREAS[2:])


@dataclass(frozen=True, slots=True)
class EvaluationProtocol:
    """One set of rules; ``dataclasses.replace(COCO, thresholds=(0.5,))`` makes another. Every result carries its protocol.

    Source: reference evaluation.md 2 to 7. Only what a protocol's own numbers need is read: `curve` means nothing to counts.
    """

    name: str
    thresholds: tuple[float, ...] = (0.5,)
    """Overlaps a pair must reach, one matching each."""
    order: Literal["score", "iou"] = "score"
    """`score`: predictions by falling score pick labels; `iou`: pairs by falling overlap."""
    classes: Literal["same", "any", "same_first"] = "same"
    compare: Literal["ge", "gt"] = "ge"
    compare_ignored: Literal["ge", "gt"] = "ge"
    """The same against overlaps with ignored labels."""
    overlapping: bool = False
    """Pairs that share nothing never match, not even at threshold 0."""
    tie: Literal["last", "first", "stable", "listed"] = "last"
    """Which label wins at equal overlap. order = iou: `stable` = same class, then higher score, then position of label and of
    prediction; `listed` = position alone."""
    second_choice: bool = True
    """May a prediction take its next best free label where the best is taken."""
    ignore: Literal["none", "crowd", "difficult", "group_of"] = "crowd"
    max_detections: tuple[int, ...] = ()
    """Predictions that count, best scores first; several: one result each. () = all."""
    max_per: Literal["class", "frame"] = "class"
    """Whether `max_detections` holds for each class of a frame, or for a frame."""
    areas: tuple[AreaRange, ...] = ()
    """Ranges of size with results of their own; () = one result without ranges."""
    missing_score: float | None = None
    """Score of predictions that have none; None = refused."""
    zero_is_missing: bool = False
    """A score of 0 counts as missing (FiftyOne)."""
    rows: Literal["all", "both"] = "all"
    """`both`: only frames with a label and a prediction, before any confidence cut."""
    use_classes: bool = True
    """False: all classes are one."""
    inclusive: bool = False
    """Boxes name their last pixel, so that one of width w spans w + 1 pixels (VOC development kit)."""
    curve: Literal["101", "11", "all"] = "101"
    recalls: tuple[float, ...] = COCO_RECALLS
    empty_class: Literal["skip", "zero"] = "skip"
    """A class with predictions but no label: left out of means, or counted as 0."""
    minus_one: bool = False
    """Undefined figures are -1 instead of null in exported results."""
    group_of_weight: float = 1.0
    """What a group of objects counts, found or missed (Open Images); 0: ignored."""
    cross_fn: bool = True
    """A match across classes is a missed label of the label's class beside the false prediction."""
    average: Literal["pooled", "rows"] = "pooled"
    iou_mean: Literal["all", "matched"] = "all"
    subclasses: Literal["ignore", "require", "blend"] = "ignore"
    union: bool = False
    """Masks of a class and frame are one mask."""
    buffer: float = 70.0
    """Pixels by which points and lines are widened to both sides."""
    background: float = 0.1
    """Best overlap up to which a false prediction is background (TIDE)."""
    bounds: Literal["closed", "half_open"] = "closed"

    def __post_init__(self) -> None:
        """Refuse rules that contradict each other.

        Raises
        ------
        UsageError
            What is wrong, and what would do.
        """
        if not self.thresholds or any(not 0 <= t <= 1 for t in self.thresholds):
            raise UsageError(f"thresholds must be numbers from 0 to 1, at least one; got {self.thresholds}")
        if any(m < 1 for m in self.max_detections) or len(set(self.max_detections)) < len(self.max_detections):
            raise UsageError(f"max_detections must be different numbers of at least 1; got {self.max_detections}")
        if len({area.name for area in self.areas}) < len(self.areas):
            raise UsageError(f"two area ranges have one name: {', '.join(area.name for area in self.areas)}")
        if (self.tie in ("stable", "listed")) != (self.order == "iou"):
            raise UsageError(
                f"order={self.order} does not go with tie={self.tie}", hint="score: last or first; iou: stable or listed"
            )
        if self.order == "iou" and self.areas:
            raise UsageError("area ranges need order=score")
        if self.order == "score" and self.classes == "same_first":
            raise UsageError("classes=same_first needs order=iou")

    def options(self) -> dict[str, object]:
        """Every rule by name, ready for JSON: what a result says about how it was made."""
        return asdict(self)


COCO: Final = EvaluationProtocol("coco", thresholds=COCO_THRESHOLDS, max_detections=(1, 10, 100), areas=COCO_AREAS)
COCO_KEYPOINTS: Final = EvaluationProtocol("coco", thresholds=COCO_THRESHOLDS, max_detections=(20,), areas=KEYPOINT_AREAS)
VOC12: Final = EvaluationProtocol("voc12", tie="first", second_choice=False, ignore="difficult", inclusive=True, curve="all")
VOC07: Final = EvaluationProtocol("voc07", tie="first", second_choice=False, ignore="difficult", inclusive=True, curve="11")
OPENIMAGES: Final = EvaluationProtocol("openimages", tie="first", second_choice=False, ignore="group_of", curve="all")
LABELBOX: Final = EvaluationProtocol(
    "labelbox", order="iou", classes="any", compare="gt", tie="stable", ignore="none", missing_score=1.0, rows="both"
)
CONFUSION: Final = EvaluationProtocol("confusion", order="iou", classes="same_first", tie="stable", missing_score=1.0)
FIFTYONE_THRESHOLDS: Final = tuple(percent / 100 for percent in range(50, 100, 5))
"""The same as COCO's, but for the ninth, which is .9."""
FIFTYONE: Final = EvaluationProtocol(
    "fiftyone", thresholds=FIFTYONE_THRESHOLDS, max_detections=(100,), missing_score=-1.0, zero_is_missing=True
)
ENCORD: Final = EvaluationProtocol(
    "encord", tie="first", second_choice=False, overlapping=True, ignore="none", missing_score=1.0
)
ENCORD_DB: Final = replace(ENCORD, name="encord-db", curve="11", empty_class="zero")
"""What the peer's database shows: 11 points, recall in hundredths, recall averaged over overlaps."""
TIDE: Final = EvaluationProtocol(
    "tide", tie="first", compare_ignored="gt", max_detections=(100,), max_per="frame", empty_class="zero"
)

PROTOCOLS: Final = {
    protocol.name: protocol
    for protocol in (COCO, VOC07, VOC12, OPENIMAGES, LABELBOX, CONFUSION, FIFTYONE, ENCORD, ENCORD_DB, TIDE)
}
"""Protocols by name. Keypoints under COCO's rules have sizes and a maximum of their own: `COCO_KEYPOINTS`."""


def protocol_named(name: str) -> EvaluationProtocol:
    """The protocol with this name.

    Raises
    ------
    UnknownNameError
        There is none; the message lists close names.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError(f"there is no protocol {name!r}", hint=close(name, PROTOCOLS))
    return PROTOCOLS[name]
