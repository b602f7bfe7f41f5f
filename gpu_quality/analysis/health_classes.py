"""Health checks of classes and questions: empty and rare ones, imbalance, gaps in their numbers."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from gpu_quality.analysis.health_codes import Limits
from gpu_quality.analysis.health_rows import Rows, quoted, texts
from gpu_quality.annotations import Dataset

_NAMED = 10
"""Gaps named in a sentence."""


def class_findings(
    tables: Dataset, rows: Rows, balance: pd.DataFrame, limits: Limits, questions: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Everything that is told of the labels' classes as a whole; `balance` is that of `balance.balance`."""
    own = balance[(balance["origin"] == tables.origins[0]) & balance["split"].isna()]
    count = own.groupby("class_id", sort=True)["class_count"].sum()
    names = {i: quoted(tables.classes[i]) for i in count.index}
    empty, rare = count[count == 0], count[(count > 0) & (count < limits.few_instances)]
    yield rows.of_data("zero_instance_category", [f"class {names[i]} has no labels" for i in empty.index], [0.0] * len(empty))
    told = [f"class {names[i]} has {n} label{'s' * (n != 1)}" for i, n in rare.items()]
    yield rows.of_data("low_instance_category", told, rare.astype(np.float64).tolist())
    for question, part in own.groupby("question", dropna=False, sort=False):
        yield _imbalance(part, "" if pd.isna(question) else f" among the answers to {quoted(question)}", rows, limits)
    yield _gaps(tables, rows)
    yield _unused(tables, rows, questions)


def _imbalance(part: pd.DataFrame, among: str, rows: Rows, limits: Limits) -> pd.DataFrame:
    some = part[part["class_count"] > 0].sort_values("class_count", kind="stable")
    if some.empty or some["imbalance_ratio"].iloc[0] < limits.imbalance:
        return rows.of_data("imbalance", [], [])
    least, most, ratio = some.iloc[0], some.iloc[-1], float(some["imbalance_ratio"].iloc[0])
    (few, rarest), (many, commonest) = ((row["class_count"], quoted(row["class"])) for row in (least, most))
    detail = f"{commonest} has {many:,} labels{among}, {rarest} {few:,}: {ratio:,.1f} to 1"
    return rows.of_data("imbalance", [detail], [ratio])


def _gaps(tables: Dataset, rows: Rows) -> pd.DataFrame:
    """Numbers missing between the lowest and the highest class number, where all classes have numbers."""
    sources = tables.class_sources
    if not sources or not all(_is_number(source) for source in sources):
        return rows.of_data("non_contiguous_category_ids", [], [])
    numbers = sorted({int(source) for source in sources})
    gaps = [(a + 1, b - 1) for a, b in pairwise(numbers) if b - a > 1]
    missing = sum(b - a + 1 for a, b in gaps)
    if not missing:
        return rows.of_data("non_contiguous_category_ids", [], [])
    told = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in gaps[:_NAMED])
    more = ", …" if len(gaps) > _NAMED else ""
    detail = f"class numbers run from {numbers[0]} to {numbers[-1]} without {missing:,} of them: {told}{more}"
    return rows.of_data("non_contiguous_category_ids", [detail], [float(missing)])


def _is_number(source: str) -> bool:
    return source.removeprefix("-").isdecimal() and source.isascii() and len(source) < 20


def _unused(tables: Dataset, rows: Rows, questions: Sequence[str]) -> pd.DataFrame:
    """Questions that somebody else answers, or that are said to be asked, and that the labels never answer."""
    answers = tables.classifications
    asked, origin = texts(answers, "question"), answers.column("origin").to_numpy()
    answered = set(asked[origin == 0])
    predicted = set(asked[origin > 0]) if answered else set()
    unused = sorted((predicted | set(questions)) - answered)
    return rows.of_data("unused_question", [f"no label answers {quoted(question)}" for question in unused], [0.0] * len(unused))
