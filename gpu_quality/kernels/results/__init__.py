"""Detections in COCO's results format, straight from the text of a file to columns: no object is made for a row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Results", "results"]


@dataclass(frozen=True, slots=True)
class Results:
    """Fields of all detections, in the order of the file."""

    image_id: NDArray[np.int64]
    category_id: NDArray[np.int64]
    bbox: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of detections."""
        return len(self.score)


def results(text: bytes) -> Results | None:
    """Image, class, box and score of every object of a JSON list, each number to the bit a JSON parser gives.

    None where the text is anything but plain objects that all have these four, ids being whole numbers: a parser must tell
    what it is. Other members are passed over.
    """
    from gpu_quality.kernels.results import cpu

    return cpu.results(text)
