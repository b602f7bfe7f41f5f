"""A class with the face of pycocotools' COCOeval over our evaluation: the same arrays and lines, many times faster.

Not offered: tables per image and class (``evalImgs``, ``ious``), ``computeIoU``, ``evaluateImg``, other parameters for
``accumulate`` than for ``evaluate``; ask ``matching.match`` for who matched whom. Unlike pycocotools, annotation id 0 is
matched, an empty list of results gives 0, and the first line of the table holds for any numbers of detections. Names with
capitals are those of pycocotools.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import coco_table
from gpu_quality.evaluation.coco import CocoFigures
from gpu_quality.evaluation.coco import evaluate as evaluate_coco
from gpu_quality.evaluation.coco_columns import Problem, fields, numbers
from gpu_quality.evaluation.coco_files import CocoSets, read_coco
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.overlaps import Comparison
from gpu_quality.evaluation.protocol import COCO, COCO_KEYPOINTS, AreaRange, EvaluationProtocol
from gpu_quality.functional.keypoints import COCO_SIGMAS

KIND_OF: Final[dict[str, Kind]] = {"bbox": "box", "segm": "mask", "keypoints": "keypoints"}
_GONE: Final = ("evalImgs", "ious", "computeIoU", "computeOks", "evaluateImg")


class Params:
    """What is evaluated; every attribute may be set before ``evaluate``.

    `imgIds`, `catIds`: lists of ids, [] = all; `iouThrs`, `recThrs`: numbers; `maxDets`; `areaRng` with `areaRngLbl`: pairs of
    square pixels and their names; `useCats`: 0 pools all classes; `kpt_oks_sigmas`.
    """

    def __init__(self, iouType: str = "segm") -> None:  # noqa: N803 - pycocotools' name
        rules = COCO_KEYPOINTS if iouType == "keypoints" else COCO
        self.iouType = iouType
        self.imgIds: list[Any] = []
        self.catIds: list[Any] = []
        self.iouThrs: NDArray[np.float64] = np.array(rules.thresholds)
        self.recThrs: NDArray[np.float64] = np.array(rules.recalls)
        self.maxDets: list[int] = list(rules.max_detections)
        self.areaRng: list[list[float]] = [[area.low, area.high] for area in rules.areas]  # type: ignore[list-item]
        self.areaRngLbl: list[str] = [area.name for area in rules.areas]
        self.useCats = 1
        self.useSegm = None
        if iouType == "keypoints":
            self.kpt_oks_sigmas: NDArray[np.float64] = np.array(COCO_SIGMAS)


class COCOeval:
    """``evaluate``, ``accumulate``, ``summarize``, ``stats`` as pycocotools has them, over COCO objects of any make.

    `cocoGt` and `cocoDt` have a ``dataset`` as read from a file, or ``getImgIds``, ``getCatIds``, ``getAnnIds``, ``loadAnns``
    (masks: and ``loadImgs``); `cocoDt` may be a plain list of results. `iouType`: bbox, segm or keypoints.

    Raises
    ------
    UsageError
        `iouType` is none of these, or an object has neither.
    """

    def __init__(self, cocoGt: Any = None, cocoDt: Any = None, iouType: str = "segm") -> None:  # noqa: N803 - pycocotools' names
        if iouType not in KIND_OF:
            raise UsageError(f"iouType {iouType!r} is none of {', '.join(KIND_OF)}")
        self.cocoGt, self.cocoDt = cocoGt, cocoDt
        self.params = Params(iouType)
        self.eval: dict[str, Any] = {}
        self.stats: NDArray[np.float64] = np.zeros(0)
        self.problems: tuple[Problem, ...] = ()
        """Records that were refused or are odd, and why; filled by ``evaluate``."""
        self.figures: CocoFigures | None = None
        """The whole tables with their protocol, for curves, intervals and more; filled by ``evaluate``."""
        if cocoGt is not None:
            self.params.imgIds = sorted(record["id"] for record in _images(cocoGt))
            self.params.catIds = sorted(record["id"] for record in _categories(cocoGt))

    def __getattr__(self, name: str) -> Any:
        """Say of what pycocotools has, and this class has not, that it is missing."""
        hint = "; matching.match tells who matched whom" if name in _GONE else ""
        raise AttributeError(f"{type(self).__name__} has no {name!r}{hint}")

    def evaluate(self) -> None:
        """Match and accumulate everything.

        Raises
        ------
        UsageError
            A part of the labels or results is missing, or parameters contradict each other.
        """
        p = self.params
        p.imgIds, p.maxDets = _unique(p.imgIds), sorted(p.maxDets)
        p.catIds = _unique(p.catIds) if p.useCats else p.catIds
        kind = KIND_OF[p.iouType]
        sets, chosen = self._read(kind)
        self.problems = sets.problems
        predictions = _with_areas(sets, chosen)
        how = None
        if kind == "keypoints":
            how = Comparison(kind, sigmas=torch.from_numpy(np.asarray(p.kpt_oks_sigmas, np.float64)))
        rules = self._protocol()
        self.figures = evaluate_coco(sets.labels, predictions, rules, kind=kind, how=how, classes=len(sets.class_ids))
        self.eval = {}

    def accumulate(self) -> None:
        """Fill `eval` with the arrays precision [T, R, K, A, M], recall [T, K, A, M] and scores [T, R, K, A, M]; -1: no labels.

        Raises
        ------
        UsageError
            ``evaluate`` was not called.
        """
        figures = self._figures()
        arrays = {name: np.ascontiguousarray(getattr(figures, name).numpy()) for name in ("precision", "recall", "scores")}
        counts = list(arrays["precision"].shape)
        self.eval = {"params": self.params, "counts": counts, "date": f"{dt.datetime.now():%Y-%m-%d %H:%M:%S}"} | arrays

    def summarize(self) -> None:
        """Print the familiar lines, and keep their numbers in `stats`, -1 = undefined.

        Raises
        ------
        UsageError
            ``accumulate`` was not called.
        """
        if not self.eval:
            raise UsageError("call accumulate before summarize")
        figures = self._figures()
        print(coco_table.summary(figures))  # noqa: T201 - what this method is for
        self.stats = np.array(coco_table.stats(figures))

    def __str__(self) -> str:
        """The lines of ``summarize``."""
        return coco_table.summary(self._figures())

    def _figures(self) -> CocoFigures:
        if self.figures is None:
            raise UsageError("call evaluate first")
        return self.figures

    def _protocol(self) -> EvaluationProtocol:
        """The parameters as rules."""
        p = self.params
        if len(p.areaRng) != len(p.areaRngLbl):
            raise UsageError(f"areaRng has {len(p.areaRng)} ranges, areaRngLbl {len(p.areaRngLbl)} names")
        return replace(
            COCO,
            thresholds=tuple(float(t) for t in p.iouThrs),
            recalls=tuple(float(r) for r in p.recThrs),
            max_detections=tuple(int(m) for m in p.maxDets),
            areas=tuple(AreaRange(n, float(low), float(high)) for n, (low, high) in zip(p.areaRngLbl, p.areaRng, strict=True)),
            use_classes=bool(p.useCats),
        )

    def _read(self, kind: Kind) -> tuple[CocoSets, list[Any]]:
        """Labels and predictions of the chosen images and classes, and the records of the predictions."""
        p = self.params
        if self.cocoGt is None or self.cocoDt is None:
            raise UsageError("COCOeval needs labels (cocoGt) and predictions (cocoDt)")
        frames, classes = set(p.imgIds), set(p.catIds)
        images = [record for record in _images(self.cocoGt) if record["id"] in frames]
        categories = _categories(self.cocoGt)
        if p.useCats:
            known = {record["id"] for record in categories}
            categories = [record for record in categories if record["id"] in classes]
            categories += [{"id": one, "name": str(one)} for one in p.catIds if one not in known]
        sides = []
        for given in (self.cocoGt, self.cocoDt):
            own = [record for record in _annotations(given, p.imgIds) if record.get("image_id") in frames]
            sides.append([record for record in own if not p.useCats or record.get("category_id") in classes])
        labels = {"images": images, "annotations": sides[0], "categories": categories}
        return read_coco(labels, sides[1], kind=kind), sides[1]


def _with_areas(sets: CocoSets, records: Sequence[Any]) -> Instances:
    """Predictions with the area that their record gives, where it gives one."""
    (given,) = fields(records, ("area",))
    area = torch.from_numpy(numbers(given)[sets.prediction_rows])
    return replace(sets.predictions, area=torch.where(area.isfinite(), area, sets.predictions.area))


def _unique(ids: Iterable[Any]) -> list[Any]:
    return sorted(set(ids))


def _images(given: Any) -> list[Any]:
    """Records of images, as the file has them."""
    return _records(given, "images", "getImgIds", "loadImgs")


def _categories(given: Any) -> list[Any]:
    """Records of classes, as the file has them."""
    return _records(given, "categories", "getCatIds", "loadCats")


def _records(given: Any, name: str, ids: str, load: str) -> list[Any]:
    """A list of the data set, or what the methods of a COCO object give; ids alone where it cannot load records."""
    dataset = given if isinstance(given, Mapping) else getattr(given, "dataset", None)
    if isinstance(dataset, Mapping) and dataset.get(name) is not None:
        return list(dataset[name])
    if not hasattr(given, ids):
        raise UsageError(f"a COCO object needs a dataset with {name}, or {ids} and {load}; got a {type(given).__name__}")
    found = list(getattr(given, ids)())
    return list(getattr(given, load)(found)) if hasattr(given, load) else [{"id": one, "name": str(one)} for one in found]


def _annotations(given: Any, frames: Sequence[Any]) -> list[Any]:
    """Records of objects: of the data set, or of the methods of a COCO object."""
    if isinstance(given, list | tuple):
        return list(given)
    dataset = given if isinstance(given, Mapping) else getattr(given, "dataset", None)
    if isinstance(dataset, Mapping) and dataset.get("annotations") is not None:
        return list(dataset["annotations"])
    if not (hasattr(given, "getAnnIds") and hasattr(given, "loadAnns")):
        raise UsageError(
            f"a COCO object needs a dataset with annotations, or getAnnIds and loadAnns; got a {type(given).__name__}"
        )
    return list(given.loadAnns(given.getAnnIds(imgIds=list(frames))))
