"""Detection figures while a model trains: `update` batch by batch, `compute` when asked, `merge` and `sync` over processes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import torch
from jaxtyping import Float64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import coco_table
from gpu_quality.evaluation.coco import CocoFigures, evaluate
from gpu_quality.evaluation.evaluator_batches import Batch, joined, ordered
from gpu_quality.evaluation.evaluator_input import BoxFormat, Image, batch
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.overlaps import Comparison
from gpu_quality.evaluation.protocol import COCO, COCO_KEYPOINTS, EvaluationProtocol, protocol_named

KINDS: tuple[Kind, ...] = ("box", "mask", "keypoints")


class Collected(NamedTuple):
    """Everything seen so far, ready for any evaluation: rows of frames and classes instead of ids."""

    labels: Instances
    predictions: Instances
    class_ids: tuple[int, ...]
    """The label each row of a class stands for."""
    frames: int
    repeated: int
    """Images left out because their image_id had been there: samplers of several processes pad with some."""


class Evaluator:
    """COCO figures of predictions that come batch by batch, as exact as from files, with torchmetrics' keys and COCO's.

    `protocol` is a name or rules of one's own that sort by score; `kind` is box, mask or keypoints. `classes` fixes the labels
    that count as classes (a number n: 0..n-1; or the labels themselves); by default those that were seen. `box_format` is xyxy,
    xywh or cxcywh. `sigmas`: spread of each keypoint, COCO's by default. Tensors may be on any device; what is kept is on the
    CPU: about 100 bytes a box, masks as compressed run lengths.

    Raises
    ------
    UsageError
        An option is none of these.
    UnknownNameError
        There is no such protocol.
    """

    def __init__(
        self,
        protocol: str | EvaluationProtocol = "coco",
        kind: Kind = "box",
        classes: int | Sequence[int] | None = None,
        *,
        box_format: BoxFormat = "xyxy",
        sigmas: Float64[Tensor, " k"] | None = None,
    ) -> None:
        rules = protocol_named(protocol) if isinstance(protocol, str) else protocol
        if kind not in KINDS:
            raise UsageError(f"kind {kind!r} is none of {', '.join(KINDS)}")
        if box_format not in get_args(BoxFormat):
            raise UsageError(f"box_format {box_format!r} is none of {', '.join(get_args(BoxFormat))}")
        if rules.order != "score" or rules.curve != "101":
            raise UsageError(
                f"protocol {rules.name} has no COCO figures", hint="take coco, or rules with order=score and curve=101"
            )
        self.protocol = COCO_KEYPOINTS if rules is COCO and kind == "keypoints" else rules
        self.kind: Kind = kind
        self.box_format: BoxFormat = box_format
        self.classes = (
            None if classes is None else tuple(range(classes)) if isinstance(classes, int) else tuple(sorted(set(classes)))
        )
        self.sigmas = sigmas
        self._batches: list[Batch] = []

    def update(self, preds: Sequence[Image], target: Sequence[Image]) -> None:
        """Add images: a dictionary each, of `n` predicted objects and of `m` labels.

        Predictions: boxes [n, 4], scores [n], labels [n] whole numbers; masks [n, h, w] booleans, or a list of COCO run
        lengths; keypoints [n, k, 3]. Labels: the same without scores, and if known iscrowd [m], area [m] in square pixels,
        image_id. Images with an image_id are ordered by it, and one that comes twice counts once.

        Raises
        ------
        UsageError
            A key is missing, a shape is wrong, or a number is NaN or infinite: which, and where. Nothing is added then.
        """
        found = batch(preds, target, self.kind, self.box_format)
        if self._batches and found.images and (self._batches[0].image_id is None) != (found.image_id is None):
            raise UsageError("some images have an image_id, others have none", hint="give every image one, or none")
        if found.images:
            self._batches.append(found)

    def compute(self) -> dict[str, Any]:
        """The figures of all images so far, by torchmetrics' names and by COCO's.

        Those of torchmetrics are float64 tensors, -1 = undefined; those of COCO are numbers, None = undefined.
        `classes` are the labels that ``map_per_class`` goes by.

        Raises
        ------
        UsageError
            There are no images, or a label is none of the classes.
        """
        found = self.collect()
        figures = self._evaluate(found)
        named = coco_table.torchmetrics_keys(figures, list(found.class_ids))
        tensors = {
            key: torch.tensor(value, dtype=torch.int64 if key == "classes" else torch.float64) for key, value in named.items()
        }
        return tensors | coco_table.keys(figures) | {"images": found.frames, "repeated_images": found.repeated}

    def figures(self) -> CocoFigures:
        """The whole tables of precision and recall, for curves, summaries and more.

        Raises
        ------
        UsageError
            As `compute`.
        """
        return self._evaluate(self.collect())

    def collect(self) -> Collected:
        """Labels and predictions of all images so far, for any function of evaluation.

        Raises
        ------
        UsageError
            There are no images, or a label is none of the classes.
        """
        if not self._batches:
            raise UsageError("there is nothing to evaluate: update was not called, or with no images")
        whole = joined(self._batches)
        kept, repeated = ordered(whole)
        seen = torch.cat([kept.labels.class_id, kept.predictions.class_id]).unique()  # type: ignore[no-untyped-call]
        ids = seen if self.classes is None else torch.tensor(self.classes, dtype=torch.int64)
        sides = [_with_rows(side, ids, name) for side, name in ((kept.labels, "target"), (kept.predictions, "preds"))]
        return Collected(sides[0], sides[1], tuple(ids.tolist()), kept.images, repeated)

    def _evaluate(self, found: Collected) -> CocoFigures:
        how = None if self.kind == "box" else Comparison(self.kind, sigmas=self.sigmas)
        classes = len(found.class_ids)
        return evaluate(found.labels, found.predictions, self.protocol, kind=self.kind, how=how, classes=classes)

    def reset(self) -> None:
        """Forget all images."""
        self._batches.clear()

    def merge(self, other: "Evaluator") -> None:
        """Add the images of another evaluator behind one's own.

        Raises
        ------
        UsageError
            It has other rules.
        """
        self.load_state(other.state(), add=True)

    def state(self) -> dict[str, Any]:
        """All that was seen, with the rules it was seen under; it can be pickled, and any number of them loaded."""
        rules = {"protocol": self.protocol, "kind": self.kind, "classes": self.classes}
        return rules | {"batches": [joined(self._batches)] if self._batches else []}

    def load_state(self, state: Mapping[str, Any], *, add: bool = False) -> None:
        """Take over what another evaluator saw, in place of one's own images or (`add`) behind them.

        Raises
        ------
        UsageError
            It was seen under other rules, or is no state.
        """
        for name in ("protocol", "kind", "classes", "batches"):
            if name not in state:
                raise UsageError(f"this is no state of an Evaluator: {name!r} is missing")
            if name != "batches" and state[name] != getattr(self, name):
                raise UsageError(f"the other evaluator has {name} {state[name]!r:.80}, this one {getattr(self, name)!r:.80}")
        batches = (self._batches if add else []) + list(state["batches"])
        if len({part.image_id is None for part in batches}) > 1:
            raise UsageError("some images have an image_id, others have none", hint="give every image one, or none")
        self._batches = batches

    def sync(self) -> "Evaluator":
        """An evaluator with the images of all processes of ``torch.distributed``, in order of rank.

        All processes must call it. Without ``torch.distributed`` it holds the images of this one.
        """
        from torch import distributed

        whole = Evaluator(self.protocol, self.kind, self.classes, box_format=self.box_format, sigmas=self.sigmas)
        states: list[Any] = [self.state()]
        if distributed.is_available() and distributed.is_initialized():
            states = [None] * distributed.get_world_size()
            distributed.all_gather_object(states, self.state())
        for state in states:
            whole.load_state(state, add=True)
        return whole


def _with_rows(side: Instances, ids: Tensor, name: str) -> Instances:
    """Rows of classes instead of labels."""
    row = torch.searchsorted(ids, side.class_id)
    known = row < len(ids)
    known[known.clone()] = ids[row[known]] == side.class_id[known]
    if not bool(known.all()):
        wrong = side.class_id[~known].unique().tolist()  # type: ignore[no-untyped-call]
        raise UsageError(
            f"{name} has labels that are none of the {len(ids)} classes: {', '.join(map(str, wrong[:5]))}",
            hint="pass all labels as classes, or leave classes out",
        )
    return replace(side, class_id=row)
