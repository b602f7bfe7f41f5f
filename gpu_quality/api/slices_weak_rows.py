"""What a search for weak slices looks at in a store: measures and classes as codes, and what came of the rows."""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from gpu_quality.analysis.weak_codes import Feature, Term, category, numeric
from gpu_quality.api.slices import quoted, shown_of_frames, sql_text
from gpu_quality.api.subjects import Measure, Subjects
from gpu_quality.api.subjects_rows import outcome
from gpu_quality.text import clean, counted

_PLAIN_UNITS: Final = re.compile(r"(fraction|score|ratio|flag|count|objects)\b|$")
"""Units that add nothing to a number in a sentence."""


def failed_of(given: Subjects) -> tuple[str, list[str]]:
    """The condition of rows that failed, as stored columns have it, and what these columns count differently.

    The condition is empty where outcomes were matched at another overlap than the stored ones. A stored outcome knows no
    confidence: a label that only an unsure prediction finds is matched there, and missed here.
    """
    stored, sure = outcome(given.store, str(given.at["predictions"])), given.at["confidence"] or 0.0
    if stored is None or given.at["iou"] != stored["options"].get("iou"):
        return "", []
    name = quoted(stored["name"])
    if given.rows == "P":
        score = given.store.column("score", "object").iloc[given.place]
        at_least = f"score >= {sure!r}" if score.notna().all() else f"(score < {sure!r}) is not true"
        return f"{name} = 'fp'" + (f" and {at_least}" if sure else ""), []
    kept = given.store.column(stored["name"], "object").iloc[given.place].fillna("").to_numpy(object)
    unsure = int(((given.known_success() == 0) & (kept == "matched")).sum())
    told = f"{counted(unsure, 'label')} missed here, found only below confidence {sure:g}: {name} = 'fn' leaves these out"
    return f"{name} = 'fn'", [told] if unsure else []


def features_of(given: Subjects, wanted: Sequence[str], without: Sequence[str]) -> tuple[list[Feature], list[str]]:
    """Measures and classes as codes, and remarks on what cannot be searched."""
    known = {"class", *given.measures}
    of_data = (name for name, measure in given.measures.items() if not measure.of_model)
    names = [name for name in wanted or ("class", *of_data) if name in known and name not in set(without)]
    beside, hidden, found = shown_of_frames(given.store), list[str](), list[Feature | None]()
    for name in names:
        if name == "class":
            found.append(_classes(given))
            continue
        measure = given.measures[name]
        column = beside.get(name) if measure.level == "F" else name
        if column is None:
            hidden.append(name)
            continue
        found.append(_feature(given, measure, quoted(column)))
    notes = [f"not searched, because objects have a column of the same name: {', '.join(hidden)}"] if hidden else []
    return [one for one in found if one is not None], notes


def _feature(given: Subjects, measure: Measure, column: str) -> Feature | None:
    """One measure as codes."""
    values = given.values(measure.name)
    if measure.flag:
        truth = str(given.table[measure.name].dtype) in ("bool", "boolean")
        tests = (f"not {column}", column) if truth else (f"{column} = 0", f"{column} = 1")
        names = (f"without {measure.name}", f"with {measure.name}")
        terms = [Term(measure.name, test, words) for test, words in zip(tests, names, strict=True)]
        return category(measure.name, np.where(np.isnan(values), -1, values == 1).astype(np.int64), terms)
    unit = "" if _PLAIN_UNITS.match(measure.unit) else measure.unit
    return numeric(measure.name, values, column=column, unit=unit)


def _classes(given: Subjects) -> Feature | None:
    import pandas as pd

    codes, names = pd.factorize(given.table["class"])
    terms = [Term("class", f"class = {sql_text(str(name))}", f"class {clean(name, 60)}") for name in names]
    return category("class", codes.astype(np.int64), terms)
