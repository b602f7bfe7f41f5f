"""What a torch data set of images tells about its items without decoding any of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpu_quality.annotations import AnswerColumns, Builder, Problem
from gpu_quality.data.samples import CLASS


def add_items(dataset: Any, builder: Builder) -> None:
    """Frames of a map-style data set: item `i` is frame ``00000042``; its class, where the data set knows the classes of all.

    Classes are known as torchvision's data sets have them: numbers in `targets` (or `samples`), names in `classes`.
    """
    count = len(dataset)
    rows = builder.add_frames(
        [f"{i:08d}" for i in range(count)], uris=[f"dataset:{i}" for i in range(count)], position=list(range(count))
    )
    builder.images_listed = True
    known = _targets(dataset)
    if known is None or len(known[0]) != count:
        return
    targets, names = known
    builder.name_classes(names)
    strange = [i for i, target in enumerate(targets) if not 0 <= target < len(names)]
    bad = {i: Problem("orphan_category_id", f"class {targets[i]} is not among {len(names)}") for i in strange}
    class_id = np.full(count, -1, np.int64)
    good = [i for i in range(count) if i not in bad]
    class_id[good] = builder.name_classes([names[targets[i]] for i in good])
    builder.label_frames(rows, [None] * count, [None] * count)
    columns = AnswerColumns(rows, [CLASS] * count, class_id, np.arange(count))
    builder.add_answers("labels", type(dataset).__name__, columns, bad)


def _targets(dataset: Any) -> tuple[list[int], list[str]] | None:
    """Class numbers of all items and the names of the classes; None where the data set does not tell them as whole numbers."""
    if hasattr(dataset, "indices") and hasattr(dataset, "dataset"):  # a subset of another data set
        inner = _targets(dataset.dataset)
        try:
            return None if inner is None else ([inner[0][int(i)] for i in dataset.indices], inner[1])
        except (IndexError, TypeError, ValueError):
            return None
    targets = getattr(dataset, "targets", None)
    if targets is None and isinstance(getattr(dataset, "samples", None), Sequence):
        targets = [sample[1] for sample in dataset.samples if isinstance(sample, tuple | list) and len(sample) == 2]
    try:
        numbers = np.asarray(targets)
    except (ValueError, TypeError, RuntimeError):
        return None
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not numbers.size:
        return None
    classes = getattr(dataset, "classes", None)
    if isinstance(classes, Sequence) and not isinstance(classes, str):
        return numbers.tolist(), [str(name) for name in classes]
    kinds, place = np.unique(numbers, return_inverse=True)
    return place.tolist(), [str(kind) for kind in kinds]
