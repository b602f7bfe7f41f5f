"""Which classes are seen together, and how many objects frames have: counts of frames."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]


def co_occurrence(row: ArrayLike, class_id: ArrayLike, *, classes: int) -> pd.DataFrame:
    """In how many frames two classes are seen together.

    `row` and `class_id` hold the frame and the class (0 .. classes - 1) of each object. Columns: `class_id`, `other_id` (the
    higher number), `frames` (with both), `share` and `other_share` (of the frames with the one, and with the other, 0..1); only
    pairs that some frame has, the most frequent first.
    """
    from scipy import sparse

    frame, kind = np.asarray(row, np.int64), np.asarray(class_id, np.int64)
    number = np.unique(frame, return_inverse=True)[1]
    seen = sparse.coo_array((np.ones(len(frame), np.int64), (number, kind)), shape=(int(number.max(initial=-1)) + 1, classes))
    there = seen.tocsr()  # adds up repeated objects
    there.data[:] = 1
    both = (there.T @ there).tocoo()
    alone = np.zeros(classes, np.int64)
    same = both.row == both.col
    alone[both.row[same]] = both.data[same]
    one = both.row < both.col
    first, second, frames = (values[one].astype(np.int64) for values in (both.row, both.col, both.data))
    table = pd.DataFrame({"class_id": first, "other_id": second, "frames": frames})
    table["share"], table["other_share"] = frames / alone[first], frames / alone[second]
    return table.sort_values(["frames", "class_id", "other_id"], ascending=[False, True, True], ignore_index=True)


def crowding(row: ArrayLike, *, frames: int) -> pd.DataFrame:
    """How many frames have how many objects: `objects`, `frames`; frames without any included, rising.

    `row` holds the frame of each object, 0 .. frames - 1.
    """
    per_frame = np.bincount(np.asarray(row, np.int64), minlength=frames)
    count = np.bincount(per_frame) if frames else np.zeros(0, np.int64)
    objects = np.flatnonzero(count)
    return pd.DataFrame({"objects": objects, "frames": count[objects]}).astype("int64")
