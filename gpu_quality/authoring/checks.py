"""Limits of values computed elsewhere (reference: evaluation.md 13). What breaks one raises `ValueError` that says which."""

import math
from typing import Any

from gpu_quality.analysis.custom import AGGREGATIONS, CONFIDENCES, CONFUSION, LARGEST_COUNT, LARGEST_SCALAR, Counts

Single = float | Counts
Value = Single | dict[float, Single]
"""A number or [TP, FP, TN, FN], once or per confidence."""


def aggregation_of(given: object, value: Value) -> str:
    """How values of this row are aggregated. Raises `ValueError`."""
    sample = next(iter(value.values())) if isinstance(value, dict) else value
    if isinstance(sample, tuple):
        if given not in (None, CONFUSION):
            raise ValueError(f"aggregation {given!r:.40} for [TP, FP, TN, FN]; their only one is {CONFUSION}")
        return CONFUSION
    if given is None:
        return AGGREGATIONS[0]
    if given not in AGGREGATIONS:
        raise ValueError(f"aggregation {given!r:.40}; there are {', '.join(AGGREGATIONS)}")
    return str(given)


def checked_value(given: object) -> Value:
    """A checked value: a number, four counts, or either per confidence. Raises `ValueError`."""
    if not isinstance(given, dict):
        return _single(given)
    low, high = CONFIDENCES
    if not low <= len(given) <= high:
        raise ValueError(f"{len(given)} confidences, expected {low} to {high}")
    values = {checked_number(key, 0, 1): _single(value) for key, value in given.items()}
    if len(values) < len(given):
        raise ValueError("one confidence is given twice")
    if len({isinstance(value, tuple) for value in values.values()}) > 1:
        raise ValueError("numbers and [TP, FP, TN, FN] in one value")
    return values


def _single(given: object) -> Single:
    if isinstance(given, list):
        if len(given) != 4:
            raise ValueError(f"{len(given)} counts, expected [TP, FP, TN, FN]")
        tp, fp, tn, fn = (_count(part) for part in given)
        return tp, fp, tn, fn
    if isinstance(given, str):
        raise ValueError(f"metricValue {given!r:.40} is text, expected a number")  # noqa: TRY004 - one kind of complaint
    return checked_number(given, 0, LARGEST_SCALAR)


def _count(given: object) -> int:
    whole = isinstance(given, int | float) and not isinstance(given, bool) and float(given).is_integer()
    if not whole or not 0 <= given <= LARGEST_COUNT:  # type: ignore[operator]
        raise ValueError(f"count {given!r:.40}, expected a whole number from 0 to {LARGEST_COUNT:,}")
    return int(given)  # type: ignore[call-overload, no-any-return]


def checked_number(given: Any, low: float, high: float) -> float:
    """A finite number between two limits. Raises `ValueError`."""
    try:
        number = math.nan if isinstance(given, bool | None) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and low <= number <= high):
        limits = "any finite number" if low == -math.inf else f"a number from {low:g} to {high:g}"
        raise ValueError(f"{given!r:.40} is not {limits}")
    return number
