"""How evenly the classes are filled: objects and images of every class, per origin and split, and for every question."""

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gpu_quality.annotations import Dataset

Ints = NDArray[np.int64]

COLUMNS: Final = (
    "origin",
    "split",
    "question",
    "class_id",
    "class",
    "class_count",
    "class_images",
    "class_undersampled",
    "imbalance_ratio",
    "class_evenness",
)


def balance(tables: Dataset) -> pd.DataFrame:
    """Objects and images of every class, those without any included.

    One row per origin, split (null = all frames), question (null = objects) and class. `class_count` counts objects or
    answers, `class_images` the frames they are in; `class_undersampled` marks counts of at most half the median of the counts.
    `imbalance_ratio` (largest over smallest count that is not 0) and `class_evenness` (entropy of the shares over log2 of the
    number of classes, 0..1) belong to all classes of a group and stand in each of its rows; null where nothing is counted, and
    the evenness also where there is one class. Source: reference metrics.md 11.2.
    """
    marks = _marks(tables)
    split, names = pd.factorize(tables.frames.column("split").to_pandas())
    parts = []
    for question, classes in _questions(tables, marks).items():
        asked = marks[marks["question"].isna()] if question is None else marks[marks["question"] == question]
        for number, origin in enumerate(tables.origins):
            own = asked[asked["origin"] == number]
            if number and own.empty:
                continue
            for at, name in [(-1, None), *enumerate(names)]:
                rows = own if name is None else own[split[own["row"]] == at]
                place = {"origin": origin, "split": name, "question": question}
                parts.append(_group(rows, classes, tables.classes).assign(**place))
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _types().items()})
    return typed(pd.concat(parts, ignore_index=True))


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns in order, each of its type."""
    return table[list(COLUMNS)].astype(_types())


def _types() -> dict[str, Any]:
    kinds = {"class_id": "int64", "class_count": "int64", "class_images": "int64", "class_undersampled": "bool"}
    text = dict.fromkeys(("origin", "split", "question", "class"), "str")
    return {name: kinds.get(name, text.get(name, "float64")) for name in COLUMNS}


def _marks(tables: Dataset) -> pd.DataFrame:
    """Every object and every answer: origin, row of its frame, class, and the question it answers."""
    objects, answers = tables.objects, tables.classifications
    frames = pd.Index(tables.frames.column("frame").to_pandas())
    parts = [
        pd.DataFrame(
            {
                "origin": table.column("origin").to_numpy().astype(np.int64),
                "row": row,
                "class_id": table.column("class_id").to_numpy().astype(np.int64),
                "question": question,
            }
        )
        for table, row, question in (
            (objects, objects.column("row").to_numpy().astype(np.int64), pd.array([None] * len(objects), "str")),
            (answers, frames.get_indexer(answers.column("frame").to_pandas()), answers.column("question").to_pandas().array),
        )
    ]
    return pd.concat(parts, ignore_index=True)


def _questions(tables: Dataset, marks: pd.DataFrame) -> dict[str | None, Ints]:
    """The classes of the objects (None) and of every question.

    The list of classes is one for all. A class belongs to the questions it answers; one that answers none belongs to the
    objects or, where there are no objects and one question, to that.
    """
    asked = marks[marks["question"].notna()]
    every = np.arange(len(tables.classes))
    answered = {name: np.unique(part["class_id"]) for name, part in asked.groupby("question", sort=True)}
    of_objects = np.unique(marks["class_id"][marks["question"].isna()])
    free = np.setdiff1d(every, np.unique(asked["class_id"]))
    if not len(of_objects) and len(answered) == 1:
        return {name: np.union1d(classes, free) for name, classes in answered.items()}
    found: dict[str | None, Ints] = {}
    if len(of_objects) or not answered:
        found[None] = np.union1d(of_objects, free)
    return found | answered


def _group(rows: pd.DataFrame, classes: Ints, names: tuple[str, ...]) -> pd.DataFrame:
    """The rows of one origin, split and question."""
    count = np.bincount(rows["class_id"], minlength=len(names))[classes]
    single = rows.drop_duplicates(["class_id", "row"])
    return pd.DataFrame(
        {
            "class_id": classes,
            "class": [names[i] for i in classes],
            "class_count": count,
            "class_images": np.bincount(single["class_id"], minlength=len(names))[classes],
            "class_undersampled": count <= np.median(count) / 2 if len(count) else np.zeros(0, bool),
            "imbalance_ratio": imbalance_ratio(count),
            "class_evenness": class_evenness(count),
        }
    )


def imbalance_ratio(count: Ints) -> float:
    """Largest over smallest count that is not 0; NaN where all are."""
    some = count[count > 0]
    return float(some.max() / some.min()) if len(some) else np.nan


def class_evenness(count: Ints) -> float:
    """Entropy of the shares over log2 of the number of classes: 1 where all are equal, 0 where one has everything.

    NaN for a single class, and where nothing is counted.
    """
    share = count[count > 0] / max(count.sum(), 1)
    if len(count) < 2 or not len(share):
        return np.nan
    return float(np.clip(-(share * np.log2(share)).sum() / np.log2(len(count)), 0, 1))
