"""The verb `select`: which frames to label next, and why each of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.analysis.selection import POOL
from gpu_quality.api.compared import prediction_set
from gpu_quality.api.results import made_from
from gpu_quality.api.select_choice import Asked, Matrix, Shown, chosen, copies_by_vectors, matrix
from gpu_quality.api.select_columns import quotas_of, wanted
from gpu_quality.api.select_input import Copies, Frames, classes_of, copies_of, frames_of
from gpu_quality.api.select_result import Selection, facts_of, notes_of, save, table_of
from gpu_quality.api.subjects import check_seed
from gpu_quality.errors import UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close

WAYS: Final = ("kcenter", "kmeans", "none")
CONFIDENCE: Final = 0.5
"""From which confidence on a prediction shows a class, where no evaluation says."""


def select(
    store: str | Path | Store,
    *,
    count: int,
    by: str | Sequence[str] = (),
    diverse: str | None = None,
    exclude: str | Sequence[str] = (),
    where: str = "",
    quotas: Mapping[str, int] | Sequence[str] = (),
    balance: bool = False,
    duplicates: str | float = "auto",
    predictions: str | None = None,
    confidence: float | None = None,
    pool_factor: int = POOL,
    seed: int = 0,
) -> Selection:
    """Choose frames to label next: interesting, unlike each other and unlike what is known, with quotas of classes.

    `by` names columns of frames, ``NAME[:high|:low][=WEIGHT]`` (see `select_columns.wanted`); their rank fractions make one
    score. `diverse` is "kcenter" (farthest first), "kmeans" (`count` clusters) or "none"; by default "kcenter" where `by` is
    empty. Diverse frames are looked for among the ``pool_factor * count`` best. `exclude`: "labelled", "selected" (the last
    selection and, where that excluded "selected" too, those before it), or files with one frame a line; these are known, and
    what is chosen by "kcenter" is far from them. `where` is an SQL condition or the name of a slice. `quotas`: wanted frames by
    class; `balance` takes turns between the classes. A frame shows the classes of its labels, one without labels those
    predicted with at least `confidence` (default: the evaluation's, else .5). `duplicates`: "auto" (the saved answer, else
    stored columns), "off", or a cosine; of each group one is chosen. The answer is kept in ``results/selection.*``.

    Raises `UsageError` for what makes no sense, `UnknownNameError`, and `EmptyInputError` where no frame is left.
    """
    duplicates = _refuse(count, diverse, duplicates, pool_factor, confidence, seed)
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    origin = _set_of(opened, predictions, needed=bool(quotas) or balance)
    terms, notes = wanted(opened, by, origin)
    way = diverse or ("none" if terms else "kcenter")
    if way == "none" and not terms:
        raise UsageError("nothing says which frames to prefer", hint="--by COLUMN,… or --diverse kcenter")
    quota = quotas_of(quotas, tuple(map(str, opened.identity.get("classes") or ())), count)
    frames = frames_of(opened, _list(exclude), where)
    vectors = matrix(opened) if way != "none" or isinstance(duplicates, float) else None
    copies = _copies(opened, frames, vectors, duplicates)
    sure = _confidence(opened, origin) if confidence is None else confidence
    pairs = classes_of(opened, origin, sure) if quota or balance else (np.zeros(0, np.int64),) * 2
    asked = Asked(count, way, quota, balance, pool_factor, seed)
    values = [(term, term.values(opened)) for term in terms]
    found = chosen(asked, frames, copies, vectors, values, Shown(*pairs))
    params = {
        "count": count, "by": [term.asked for term in terms], "diverse": way, "exclude": _list(exclude), "where": where,
        "quotas": {str(opened.identity["classes"][name]): wanted_ for name, wanted_ in quota.items()}, "balance": balance,
        "duplicates": duplicates, "predictions": origin, "confidence": sure if quota or balance else None,
        "pool_factor": pool_factor, "seed": seed,
    }  # fmt: skip
    classes = tuple(map(str, opened.identity.get("classes") or ()))
    facts = {**facts_of(found, classes), "duplicates": copies.source, "params": params, "made_from": made_from(opened)}
    notes = [*notes, *frames.notes, *copies.notes, *notes_of(found, classes)]
    before = [frames.frame[row] for row in np.flatnonzero(frames.selected)]
    return save(opened, Selection(opened, table_of(found, classes), facts, tuple(notes)), before)


def _refuse(
    count: int, diverse: str | None, duplicates: str | float, factor: int, confidence: float | None, seed: int
) -> str | float:
    """Refuse what nobody can do before anything is read; returns `duplicates` as a number where it is one."""
    if count < 1:
        raise UsageError(f"--count {count}: it must be 1 or more")
    if factor < 1:
        raise UsageError(f"--pool {factor}: it must be 1 or more")
    check_seed(seed)
    if confidence is not None and not 0 <= confidence <= 1:
        raise UsageError(f"--confidence {confidence:g}: it must be from 0 to 1")
    if diverse is not None and diverse not in WAYS:
        raise UsageError(
            f"--diverse {clean(diverse)}: there is no such way", hint=close(diverse, WAYS) or f"choose one of {', '.join(WAYS)}"
        )
    if duplicates in ("auto", "off"):
        return duplicates
    try:
        cosine = float(duplicates)
    except ValueError:
        cosine = 0.0
    if not 0 < cosine <= 1:
        raise UsageError(f"--duplicates {clean(duplicates)}: it is auto, off, or a cosine above 0 and at most 1")
    return cosine


def _list(exclude: str | Sequence[str]) -> list[str]:
    items = exclude.split(",") if isinstance(exclude, str) else list(exclude)
    return [item.strip() for item in items if item.strip()]


def _set_of(store: Store, predictions: str | None, *, needed: bool) -> str | None:
    """The prediction set that is meant; None where there is none, or where several are and none is `needed`.

    Raises `UsageError` for a set that is not there, and where several leave a choice that matters.
    """
    sets = len(store.identity.get("origins") or ()) - 1
    if predictions is None and (sets < 1 or (sets > 1 and not needed)):
        return None
    return prediction_set(store, predictions)


def _confidence(store: Store, origin: str | None) -> float:
    """The confidence of the evaluation of a prediction set."""
    for facts in store.columns().values():
        if facts.get("metric") == "outcome" and facts.get("set") == origin:
            return float((facts.get("options") or {}).get("confidence") or 0.0)
    return CONFIDENCE


def _copies(store: Store, frames: Frames, vectors: Matrix | None, duplicates: str | float) -> Copies:
    if isinstance(duplicates, float) and vectors is not None:
        return copies_by_vectors(vectors, duplicates)
    if duplicates == "off":
        none = np.full(len(frames.frame), -1, np.int64)
        return Copies(none, np.zeros(len(none), bool), "duplicates may be chosen together")
    return copies_of(store, frames)
