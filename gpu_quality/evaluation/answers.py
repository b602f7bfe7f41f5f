"""Which answer of a model belongs to which label: one answer per frame and question, joined by id, never by position."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from gpu_quality.errors import UsageError


@dataclass(frozen=True, slots=True)
class Joined:
    """Rows of labels and predictions with the same key, side by side: labels in their order, then predictions without one."""

    label: Int64[Tensor, " m"]
    """Row of the label, -1: nobody labeled this."""
    prediction: Int64[Tensor, " m"]
    """Row of the prediction, -1: the model said nothing."""

    def both(self) -> "Joined":
        """Only what was labeled and predicted."""
        kept = (self.label >= 0) & (self.prediction >= 0)
        return Joined(self.label[kept], self.prediction[kept])

    def label_class(self, class_id: Int64[Tensor, " l"]) -> Int64[Tensor, " m"]:
        """Class of the label in each row, -1 = none."""
        return _taken(class_id, self.label)

    def prediction_class(self, class_id: Int64[Tensor, " p"]) -> Int64[Tensor, " m"]:
        """Predicted class in each row, -1 = none."""
        return _taken(class_id, self.prediction)


def join(label: Int64[Tensor, " l"], prediction: Int64[Tensor, " p"]) -> Joined:
    """Labels and predictions by key; a key is whatever tells frame, object and question, as `keys` makes it.

    Raises
    ------
    UsageError
        A key occurs twice on one side: such questions have several answers and are multi-label.
    """
    for name, side in (("labels", label), ("predictions", prediction)):
        _refuse_twice(name, side)
    every, number = torch.unique(torch.cat([label, prediction]), return_inverse=True)
    place = torch.full((len(every),), -1, dtype=torch.int64, device=label.device)
    place[number[len(label) :]] = torch.arange(len(prediction), device=label.device)
    taken = torch.zeros(len(every), dtype=torch.bool, device=label.device)
    taken[number[: len(label)]] = True
    alone = (~taken[number[len(label) :]]).nonzero().flatten()
    return Joined(
        label=torch.cat([torch.arange(len(label), device=label.device), torch.full_like(alone, -1)]),
        prediction=torch.cat([place[number[: len(label)]], alone]),
    )


def keys(*columns: Int64[Tensor, " c"]) -> Int64[Tensor, " c"]:
    """One number for each combination of values, such as frame, object and question; call it once for both sides together."""
    number: Tensor = torch.unique(torch.stack(columns, 1), dim=0, return_inverse=True)[1]
    return number


def chosen(row: Int64[Tensor, " a"], class_id: Int64[Tensor, " a"], rows: int, classes: int) -> Bool[Tensor, "m l"]:
    """Which of `classes` options were ticked in each of `rows` questions, from one pair (row, class) per tick."""
    out = torch.zeros((rows, classes), dtype=torch.bool, device=row.device)
    out[row, class_id] = True
    return out


def _taken(class_id: Int64[Tensor, " a"], row: Int64[Tensor, " m"]) -> Int64[Tensor, " m"]:
    out = torch.full_like(row, -1)
    there = row >= 0
    out[there] = class_id[row[there]]
    return out


def _refuse_twice(name: str, key: Int64[Tensor, " a"]) -> None:
    ordered, rows = key.sort(stable=True)
    again = (ordered[1:] == ordered[:-1]).nonzero().flatten()
    if len(again):
        first, second = int(rows[again[0]]), int(rows[again[0] + 1])
        raise UsageError(
            f"{len(again):,} of {len(key):,} {name} answer a question that is answered already: rows {first} and {second}",
            hint="evaluate questions with several answers as multi-label",
        )
