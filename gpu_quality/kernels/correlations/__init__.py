"""Correlations of resamples: frames drawn with replacement, ranks found anew in each."""

import numpy as np
from jaxtyping import Float64, Int32

__all__ = ["resampled"]


def resampled(
    x: Float64[np.ndarray, " n"],
    y: Float64[np.ndarray, " n"],
    y_group: Int32[np.ndarray, " n"],
    frame: Int32[np.ndarray, " n"],
    *,
    frames: int,
    resamples: int,
    seed: int,
) -> Float64[np.ndarray, "resamples 2"]:
    """Pearson's and Spearman's correlation in each resample, -1..1; NaN where a side is constant.

    Rows come by rising x; `y_group` numbers the equal values of y from the lowest. Values should be centered. As many frames
    are drawn as there are; a frame drawn twice counts as two frames with the same rows.
    """
    from gpu_quality.kernels.correlations import cpu

    return cpu.resampled(x, y, y_group, frame, frames=frames, resamples=resamples, seed=seed)
