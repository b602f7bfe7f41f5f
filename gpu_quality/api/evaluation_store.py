"""An evaluation in the store it is about: columns of outcomes, and files below ``results/`` that queries read."""

import json
from typing import Final

import numpy as np
import pandas as pd
import torch

from gpu_quality.api.evaluation import Evaluation
from gpu_quality.api.outcomes import write_outcomes
from gpu_quality.api.results import stored
from gpu_quality.store.layer import as_table, table_bytes
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store

RESULT: Final = "evaluation"


def save(store: Store, found: Evaluation) -> list[str]:
    """Write the columns of an evaluation and its tables into the store; returns the names of the columns written."""
    written = write_outcomes(store, found)
    suffix = found.compared.suffix
    grid = found.grid()
    tables = {
        "classes": found.per_class.reset_index(),
        "grid": grid,
        "curves": pd.concat(
            [found.curve(name).assign(**{"class": name}) for name in found.classes] or [pd.DataFrame()], ignore_index=True
        ),
        "confusion": _cells(found),
    }
    with writer_lock(store.path):
        store.save_result(f"{RESULT}{suffix}.json", json.dumps({**found.to_dict(), "tide": found.tide_summary()}).encode())
        for name, table in tables.items():
            data = {str(key): stored(table[key]) for key in table}
            store.save_result(f"{RESULT}_{name}{suffix}.parquet", table_bytes(as_table(data)))
    return written


def _cells(found: Evaluation) -> pd.DataFrame:
    """The members of every cell of the confusion matrix: label class, predicted class, frame, label, prediction, IoU."""
    matrix = found.confusion()
    given = found.whole or found.compared
    names = np.array([*found.classes, *(["(other)"] if matrix.folded else []), "None"], dtype=object)
    size = len(matrix.matrix)
    cell = torch.repeat_interleave(torch.arange(matrix.matrix.numel()), matrix.offset.diff())
    ids = [np.array([*known, None], dtype=object) for known in (given.label_ids, given.prediction_ids)]
    members = matrix.members
    return pd.DataFrame(
        {
            "label_class": names[(cell // size).numpy()].astype(str),
            "predicted_class": names[(cell % size).numpy()].astype(str),
            "frame": np.array(given.frames, dtype=object)[members.frame.numpy()].astype(str),
            "label": ids[0][members.label.numpy()],
            "prediction": ids[1][members.prediction.numpy()],
            "iou": members.iou.numpy(),
        }
    )
