"""Which part of the data an evaluation is about: chosen classes, and slices by conditions on columns of a store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from gpu_quality.api.compared import Compared
from gpu_quality.api.slices import object_rows
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import close

Parts = dict[str, tuple[Bool[Tensor, " m"], Bool[Tensor, " n"]]]
"""By name of a slice: which labels, and which predictions, lie outside."""


def of_classes(
    given: Compared, parts: dict[str, tuple[Tensor, Tensor]], wanted: Sequence[str]
) -> tuple[Compared, dict[str, tuple[Tensor, Tensor]]]:
    """Only the wanted classes; all of them where none is named. Raises `UnknownNameError`."""
    if not wanted:
        return given, parts
    for name in wanted:
        if name not in given.classes:
            known = ", ".join(given.classes[:20])
            raise UnknownNameError(f"there is no class {name!r}", hint=close(name, given.classes) or f"there are {known}")
    kept = [row for row, name in enumerate(given.classes) if name in set(wanted)]
    new = torch.full((len(given.classes),), -1, dtype=torch.int64)
    new[kept] = torch.arange(len(kept))
    sides, rows = [], []
    for side in (given.labels, given.predictions):
        own = (new[side.class_id] >= 0).nonzero().flatten()
        chosen = side.select(own)
        sides.append(replace(chosen, class_id=new[chosen.class_id]))
        rows.append(own)
    places = [None if known is None else known[own.numpy()] for known, own in
              zip((given.label_rows, given.prediction_rows), rows, strict=True)]  # fmt: skip
    smaller = replace(
        given, labels=sides[0], predictions=sides[1], classes=tuple(given.classes[row] for row in kept),
        label_ids=[given.label_ids[i] for i in rows[0].tolist()],
        prediction_ids=[given.prediction_ids[i] for i in rows[1].tolist()], label_rows=places[0], prediction_rows=places[1],
    )  # fmt: skip
    return smaller, {name: (a[rows[0]], b[rows[1]]) for name, (a, b) in parts.items()}


def slices_of(
    store: Store | None, given: Compared, slices: Sequence[str] | Mapping[str, str]
) -> dict[str, tuple[Bool[Tensor, " m"], Bool[Tensor, " n"]]]:
    """Which labels and predictions lie outside of each slice: conditions, or names of saved slices. Raises `UsageError`."""
    named = dict(slices) if isinstance(slices, Mapping) else {text: text for text in slices}
    if not named:
        return {}
    if store is None or given.label_rows is None or given.prediction_rows is None:
        raise UsageError(
            "slices need a store: files alone have no columns", hint="gpu-quality run … --out OUT, then evaluate OUT"
        )
    rows = (given.label_rows, given.prediction_rows)
    outside = {name: ~object_rows(store, text) for name, text in named.items()}
    return {name: (torch.from_numpy(out[rows[0]]), torch.from_numpy(out[rows[1]])) for name, out in outside.items()}
