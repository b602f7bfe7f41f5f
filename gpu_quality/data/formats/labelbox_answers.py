"""Answers of Labelbox classifications: radio, checklist, and the questions nested in them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.coco_shapes import number

Answer = tuple[str, str, float | None]
"""Question, answer, confidence."""
_DEEPEST: Final = 16
_FREE: Final = "free texts are not kept"


def answers_of(record: Mapping[str, Any], depth: int = 0) -> Iterator[Answer | Problem | str]:
    """The answers of a classification; a problem where there is none, a text for what is an answer but no choice."""
    question = _name(record)
    if question is None:
        yield Problem("bad_annotation", "a classification has no name or schemaId")
        return
    if depth > _DEEPEST:
        yield Problem("bad_annotation", f"classifications are nested more than {_DEEPEST} deep")
        return
    chosen = next((record[key] for key in ("radio_answer", "checklist_answers", "answer", "answers") if record.get(key)), None)
    if chosen is None:
        has_text = "text_answer" in record or "answer" in record
        yield _FREE if has_text else Problem("bad_annotation", f"classification {question[:80]!r} has no answer")
        return
    if isinstance(chosen, str):
        yield _FREE
        return
    for answer in chosen if isinstance(chosen, list) else [chosen]:
        yield from _answer(question, answer, number_or_none(record.get("confidence")), depth)


def _answer(question: str, answer: Any, score: float | None, depth: int) -> Iterator[Answer | Problem | str]:
    name = _name(answer) if isinstance(answer, dict) else None
    if name is None:
        yield Problem("bad_annotation", f"an answer to {question[:80]!r} has no name: {repr(answer)[:80]}")
        return
    own = number_or_none(answer.get("confidence"))
    yield question, name, score if own is None else own
    nested = answer.get("classifications")
    for record in nested if isinstance(nested, list) else []:
        if isinstance(record, dict):
            yield from answers_of(record, depth + 1)


def number_or_none(value: Any) -> float | None:
    """A confidence, None where none is given."""
    return None if value is None else number(value)


def _name(record: Mapping[str, Any]) -> str | None:
    found = (record.get(key) for key in ("name", "value", "schemaId"))
    return next((name for name in found if isinstance(name, str) and name), None)
