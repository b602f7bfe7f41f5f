"""Similarity of keypoints of two objects: how far apart they are for their size and for how exactly each can be placed."""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.errors import UsageError

_TENTHS: Final = (0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89)
COCO_SIGMAS: Final = tuple(tenths / 10 for tenths in _TENTHS)
"""Spread of annotators as a share of the object's scale: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles."""

_PAIRS: Final = 1 << 16
"""Pairs compared at a time: about 30 MB for 17 keypoints."""

Floats = NDArray[np.float64]


def checked_sigmas(sigmas: Float64[Tensor, " s"] | None, keypoints: int) -> Floats:
    """The given sigmas, or COCO's, as numbers.

    Raises
    ------
    UsageError
        There is not one sigma per keypoint, or one is not positive and finite.
    """
    values = np.array(COCO_SIGMAS) if sigmas is None else sigmas.numpy()
    if len(values) != keypoints or not keypoints:
        whose = "COCO has" if sigmas is None else "got"
        raise UsageError(
            f"objects have {keypoints} keypoints, {whose} {len(values)} sigmas", hint="give one sigma per keypoint"
        )
    if not (np.isfinite(values) & (values > 0)).all():
        raise UsageError(f"sigmas must be positive and finite; got {values.tolist()}")
    return values


def oks(
    predicted: Float64[Tensor, "p l 3"],
    labeled: Float64[Tensor, "q k 3"],
    area: Float64[Tensor, " q"],
    box: Float64[Tensor, "q 4"],
    pairs: Int64[Tensor, "2 n"],
    sigmas: Float64[Tensor, " s"] | None = None,
) -> Float64[Tensor, " n"]:
    r"""How well keypoints agree, 0..1: 1 where every visible one is met exactly.

    .. math:: \frac{1}{|V|} \sum_{k \in V} \exp\left(-\frac{d_k^2}{2 (2 \sigma_k)^2 (\text{area} + 2^{-52})}\right)

    V are the keypoints of the label with v > 0, d in pixels. Where it has none, d is the distance of each predicted keypoint
    to the label's box x y w h, extended by its own width and height to every side, and the mean runs over all keypoints.
    ``pairs[0]`` are rows of predictions, ``pairs[1]`` rows of labels. Bits as pycocotools has them: sums of one length are
    taken together, in the order NumPy sums one row. Source: COCO keypoint evaluation.

    Raises
    ------
    UsageError
        Labels and predictions have different numbers of keypoints, or sigmas do not fit them.
    """
    if predicted.shape[1] != labeled.shape[1]:
        raise UsageError(f"predictions have {predicted.shape[1]} keypoints, labels {labeled.shape[1]}")
    spread = (checked_sigmas(sigmas, labeled.shape[1]) * 2) ** 2
    visible = labeled[:, :, 2].numpy() > 0
    count = visible.sum(1)
    order = np.argsort(~visible, axis=1, kind="stable")  # [q, k]: visible ones first
    scale = area.numpy() + np.spacing(1)
    found, given, (prediction, label) = predicted.numpy(), labeled.numpy(), pairs.numpy()
    out = np.empty(len(label))
    for visibles in np.unique(count[label]):
        rows = np.flatnonzero(count[label] == visibles)
        for part in np.split(rows, range(_PAIRS, len(rows), _PAIRS)):
            p, q = prediction[part], label[part]
            if visibles:
                which = order[q, :visibles]  # [n, visibles]
                dx, dy = ((found[p[:, None], which, axis] - given[q[:, None], which, axis]) for axis in (0, 1))
                spreads = spread[which]
            else:
                dx, dy = (_outside(found[p, :, axis], box.numpy()[q], axis) for axis in (0, 1))
                spreads = spread[None]
            error = (dx * dx + dy * dy) / spreads / scale[q, None] / 2
            out[part] = np.ascontiguousarray(np.exp(-error)).sum(1) / error.shape[1]
    return torch.from_numpy(out)


def _outside(place: Floats, box: Floats, axis: int) -> Floats:
    """How far keypoints lie outside boxes that are extended by their own size to every side; [n, k]."""
    start, size = box[:, axis, None], box[:, axis + 2, None]
    return np.maximum(0, start - size - place) + np.maximum(0, place - (start + size * 2))
