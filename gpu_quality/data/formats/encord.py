"""Encord label rows as JSON; pickles of predictions are refused, as loading one runs whatever code it holds."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.coco_shapes import number, side
from gpu_quality.data.formats.encord_shapes import shape_of
from gpu_quality.data.formats.gathering import Facts, Gatherer, Shape
from gpu_quality.data.formats.json_kinds import json_kind
from gpu_quality.data.formats.json_lines import json_lines
from gpu_quality.data.formats.labelbox_answers import answers_of
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader

_PICKLES: Final = (".pkl", ".pickle")
_PROTOCOLS: Final = (2, 3, 4, 5)
_HINT: Final = (
    "load it in the environment that wrote it and dump COCO results there: json.dump([{'image_id': ..., 'category_id': ..., "
    "'bbox': [x, y, w, h], 'score': ...} for p in predictions], open('results.json', 'w'))"
)


def is_pickle(path: Path) -> bool:
    """Whether the file is a pickle by its name or its first bytes."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except OSError:
        return False
    return path.suffix.lower() in _PICKLES or (len(head) == 2 and head[0] == 0x80 and head[1] in _PROTOCOLS)


def looks_like_encord(path: Path) -> bool:
    """Whether it is JSON with data units, or a pickle, which is then refused with a hint."""
    return is_pickle(path) or json_kind(path) == "encord"


@reader("encord", guess=looks_like_encord)
def read(path: Path, builder: Builder, origin: str) -> None:
    """Encord label rows: a JSON list of rows whose data units hold objects and classifications; coordinates are relative.

    The frame of an image is called by its title, a frame of a video ``<title>#000012``; objects of a video are tracks. `line`
    of an error row is the place of its label row. Raises `UsageError` for a pickle, and where the file cannot be read.
    """
    if is_pickle(path):
        raise UsageError(f"{path} is a pickle: loading one runs any code it holds, so it is never loaded here", hint=_HINT)
    reading = _Reading(Gatherer(builder, origin, path.name))
    for place, record in _rows(path):
        if isinstance(record, str) or not isinstance(record.get("data_units"), dict):
            text = record if isinstance(record, str) else f"it has no data_units: {', '.join(map(repr, record))[:80]}"
            reading.rows.refuse(text, Facts(place))
        else:
            reading.row(place, record)
    reading.rows.flush()
    for what, count in sorted(reading.told.items()):
        builder.notes.append(f"{path.name}: {count:,} {what}")


def _rows(path: Path) -> Iterable[tuple[int, dict[str, Any] | str]]:
    """Label rows of a list, of lines, or a file that is one row."""
    found = list(_whole(path)) if path.is_file() and path.stat().st_size < 1 << 28 else []
    return found or json_lines(path)


def _whole(path: Path) -> Iterable[tuple[int, dict[str, Any] | str]]:
    import orjson

    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf").lstrip()
    if data.startswith(b"{"):
        try:
            yield 0, orjson.loads(data)
        except orjson.JSONDecodeError:
            return


class _Reading:
    """One pass over a file."""

    def __init__(self, rows: Gatherer) -> None:
        self.rows = rows
        self.told: Counter[str] = Counter()
        self.tracks: dict[str, int] = {}

    def row(self, place: int, record: Mapping[str, Any]) -> None:
        """One label row: an image, a group of images, or a video."""
        answers = _dict(record.get("classification_answers")), _dict(record.get("object_answers"))
        for key, value in record["data_units"].items():
            unit = _dict(value)
            title = next(
                (t for t in (unit.get("data_title"), record.get("data_title"), key) if isinstance(t, str) and t), "unit"
            )
            labels = _dict(unit.get("labels"))
            size = side(unit.get("width")), side(unit.get("height"))
            if "objects" in labels or "classifications" in labels or not labels:
                frame = self.rows.frame(title)
                self.rows.label(frame, *size)
                self.frame(frame, labels, size, answers, Facts(place))
                continue
            for at, group in labels.items():
                if not (at.isascii() and at.isdecimal() and len(at) < 16):
                    self.rows.refuse(f"frame {at[:80]!r} of {title[:80]!r} is no number", Facts(place))
                    continue
                frame = self.rows.video_frame(title, int(at), size)
                self.frame(frame, _dict(group), size, answers, Facts(place), video=title)

    def frame(
        self,
        frame: int,
        labels: Mapping[str, Any],
        size: tuple[int | None, int | None],
        answers: tuple[Mapping[str, Any], Mapping[str, Any]],
        facts: Facts,
        video: str = "",
    ) -> None:
        """Objects and answers of one frame."""
        for record in _list(labels.get("objects")):
            self.object(frame, _dict(record), size, answers[1], facts, video)
        for record in _list(labels.get("classifications")):
            identity = _dict(record).get("classificationHash")
            self.answers(frame, answers[0].get(identity) if isinstance(identity, str) else None, facts)

    def object(
        self,
        frame: int,
        record: Mapping[str, Any],
        size: tuple[int | None, int | None],
        answers: Mapping[str, Any],
        facts: Facts,
        video: str,
    ) -> None:
        """One object and the answers about it."""
        identity = record.get("objectHash")
        identity = identity if isinstance(identity, str) and identity else None
        own = Facts(facts.record, identity, annotator=_text(record.get("createdBy")))
        if video and identity:
            own.source = f"{identity}/{frame}"
            own.track = self.tracks.setdefault(f"{video}\0{identity}", len(self.tracks))
        own.score = None if record.get("confidence") is None else number(record["confidence"])
        name, shape = _text(record.get("name")) or _text(record.get("value")), shape_of(record, size)
        if name is None or isinstance(shape, Problem):
            nameless = Problem("orphan_category_id", "it has no name, which is its class")
            self.rows.add(frame, "", Shape(), own, shape if isinstance(shape, Problem) else nameless)
            return
        self.rows.add(frame, name, shape, own)
        self.answers(frame, answers.get(identity) if identity else None, own)

    def answers(self, frame: int, record: Any, facts: Facts) -> None:
        """Answers to questions."""
        for part in _list(_dict(record).get("classifications")):
            for answer in answers_of(_dict(part)):
                if isinstance(answer, str):
                    self.told[answer] += 1
                elif isinstance(answer, Problem):
                    self.rows.refuse(answer.detail, facts, reason=answer.reason, frame=frame)
                else:
                    question, chosen, score = answer
                    self.rows.answer(frame, question, chosen, Facts(facts.record, facts.source, score=score))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
