"""Labelbox NDJSON: rows of an export, or rows as they are imported (labels, predictions), one JSON object a line."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.coco_shapes import number
from gpu_quality.data.formats.gathering import Facts, Gatherer, Shape
from gpu_quality.data.formats.json_kinds import json_kind
from gpu_quality.data.formats.json_lines import json_lines
from gpu_quality.data.formats.labelbox_answers import answers_of
from gpu_quality.data.formats.labelbox_frames import between, media_size, names_of
from gpu_quality.data.formats.labelbox_shapes import DRAWN, shape_of
from gpu_quality.registry import reader


def looks_like_labelbox(path: Path) -> bool:
    """Whether its JSON names data rows."""
    return json_kind(path) == "labelbox"


@reader("labelbox", guess=looks_like_labelbox)
def read(path: Path, builder: Builder, origin: str) -> None:
    """Labelbox NDJSON: boxes, polygons, masks, lines, points, radio, checklist and nested answers, confidences, video frames.

    The frame of a data row is called by its external id, else its global key, else its id; a frame of a video
    ``<name>#000011`` has the video as sequence; it counts from 0, Labelbox from 1. Of an export, `labels` takes the labels of
    all projects and a prediction set the predictions of all model runs. Masks on the web are never fetched. `line` of an error
    row counts from 1. Raises `UsageError` where the file cannot be read.
    """
    reading = _Reading(Gatherer(builder, origin, path.name), path.parent)
    for line, record in json_lines(path):
        if isinstance(record, str):
            reading.rows.refuse(record, Facts(line))
        elif "data_row" in record:
            reading.export(record, line)
        elif "dataRow" in record:
            reading.imported(record, line)
        else:
            reading.rows.refuse(f"the row has neither data_row nor dataRow: {', '.join(map(repr, record))[:80]}", Facts(line))
    reading.rows.flush()
    for what, count in sorted((+reading.told).items()):
        builder.notes.append(f"{path.name}: {count:,} {what}")


class _Reading:
    """One pass over a file."""

    def __init__(self, rows: Gatherer, folder: Path) -> None:
        self.rows, self.folder = rows, folder
        self.told: Counter[str] = Counter()
        self.tracks: dict[str, int] = {}

    def export(self, record: Mapping[str, Any], line: int) -> None:
        """A data row with everything known about it."""
        name = self.name_of(record["data_row"])
        size = media_size(record.get("media_attributes"))
        if name is None:
            self.rows.refuse("data_row has no external_id, global_key or id; none of its annotations is kept", Facts(line))
            return
        chosen = list(_label_lists(record, predictions=self.rows.origin != "labels"))
        video = any(isinstance(_dict(label.get("annotations")).get("frames"), dict) for label in chosen)
        if not video:
            self.rows.label(self.rows.frame(name), *size)
            self.learn(record["data_row"], self.rows.frame(name))
        for label in chosen:
            facts = Facts(line, annotator=_text(_dict(label.get("label_details")).get("created_by")))
            found = _dict(label.get("annotations"))
            self.told["relationships are not kept"] += len(_list(found.get("relationships")))
            if not video:
                self.group(self.rows.frame(name), found, size, facts)
                continue
            for key, group in _dict(found.get("frames")).items():
                self.video_frame(record["data_row"], self.video_of(name), key, group, size, facts)

    def name_of(self, data_row: Any) -> str | None:
        """What a data row is called: as the labels call it, which may know it by another of its names."""
        names = names_of(data_row)
        rows = self.rows.builder.image_rows if self.rows.origin != "labels" else {}
        known = [rows[name] for name in names if name in rows]
        return self.rows.builder.uris(np.array(known[:1], np.int64))[0] if known else next(iter(names), None)

    def video_of(self, name: str) -> str:
        """The video of a data row that may be called by one of its frames."""
        return name.rpartition("#")[0] or name if name in self.rows.builder.frame_rows else name

    def learn(self, data_row: Any, row: int) -> None:
        """Keep the names of a data row of the labels: rows of predictions may use any of them."""
        if self.rows.origin == "labels":
            for name in names_of(data_row):
                self.rows.builder.image_rows.setdefault(name, row)

    def video_frame(
        self, data_row: Any, name: str, key: str, group: Any, size: tuple[int | None, int | None], facts: Facts
    ) -> None:
        """What is annotated on one frame of a video."""
        if not (key.isascii() and key.isdecimal() and 0 < int(key[:16]) < 10**15) or not isinstance(group, dict):
            self.rows.refuse(f"frame {key[:80]!r} of a video is no number from 1 with annotations", facts)
            return
        row = self.rows.video_frame(name, int(key) - 1, size)
        self.learn(data_row, row)
        self.group(row, group, size, facts, video=name)

    def group(
        self, row: int, found: Mapping[str, Any], size: tuple[int | None, int | None], facts: Facts, video: str = ""
    ) -> None:
        """Objects and answers of one frame; those of a video are listed by their ids."""
        objects = found.get("objects")
        for record in objects.values() if isinstance(objects, dict) else _list(objects):
            self.object(row, _dict(record), size, facts, video=video)
        for record in _list(found.get("classifications")):
            self.answers(row, _dict(record), facts)

    def object(
        self,
        row: int,
        record: Mapping[str, Any],
        size: tuple[int | None, int | None],
        facts: Facts,
        video: str = "",
        name_of: str = "feature_id",
    ) -> None:
        """One object and the answers nested in it."""
        identity = _text(record.get(name_of))
        own = Facts(facts.record, identity, annotator=facts.annotator)
        if video and identity is not None:
            own.track = self.tracks.setdefault(f"{video}\0{identity}", len(self.tracks))
            own.source = f"{identity}/{row}"
        own.score = _confidence(record)
        self.told["custom metrics are not kept here; gpu-quality metric import takes them"] += len(
            _list(record.get("customMetrics", record.get("custom_metrics")))
        )
        name = _text(record.get("name")) or _text(record.get("value")) or _text(record.get("schemaId"))
        shape = shape_of(record, size, self.folder)
        if name is None or isinstance(shape, Problem):
            nameless = Problem("orphan_category_id", "it has no name or schemaId, which is its class")
            self.rows.add(row, "", Shape(), own, shape if isinstance(shape, Problem) else nameless)
            return
        self.rows.add(row, name, shape, own)
        for nested in _list(record.get("classifications")):
            self.answers(row, _dict(nested), own)

    def answers(self, row: int, record: Mapping[str, Any], facts: Facts) -> None:
        """Answers to one question, and to the questions nested in them."""
        for answer in answers_of(record):
            if isinstance(answer, str):
                self.told[answer] += 1
            elif isinstance(answer, Problem):
                self.rows.refuse(answer.detail, facts, reason=answer.reason, frame=row)
            else:
                question, chosen, score = answer
                own = Facts(facts.record, facts.source, score=score, annotator=facts.annotator)
                self.rows.answer(row, question, chosen, own)

    def imported(self, record: Mapping[str, Any], line: int) -> None:
        """One annotation or prediction that names its data row."""
        facts = Facts(line)
        identity = record["dataRow"]
        name = self.name_of(identity if isinstance(identity, dict) else {"id": _text(identity)})
        if "metricName" in record:
            self.told["metric rows are no annotations; gpu-quality metric import takes them"] += 1
        elif name is None:
            self.rows.refuse(f"dataRow has no globalKey or id: {repr(identity)[:80]}", facts)
        elif "segments" in record:
            self.segments(name, record, facts)
        elif any(record.get(key) is not None for key in DRAWN):
            row = self.rows.frame(name)
            self.rows.label(row)
            width, height = (int(side[0]) for side in self.rows.builder.frame_sizes(np.array([row], np.int64)))
            size = (width, height) if width > 0 and height > 0 else (None, None)
            self.object(row, record, size, facts, name_of="uuid")
        elif "answer" in record or "answers" in record:
            row = self.rows.frame(name)
            self.rows.label(row)
            self.answers(row, record, facts)
        else:
            facts.source = _text(record.get("uuid"))
            self.rows.refuse(f"the row holds neither {', '.join(DRAWN)} nor answer", facts, reason="missing_geometry")

    def segments(self, name: str, record: Mapping[str, Any], facts: Facts) -> None:
        """An object through a video: boxes between two keyframes lie on straight lines."""
        name = self.video_of(name)
        for segment in _list(record.get("segments")):
            keyframes = [_dict(key) for key in _list(_dict(segment).get("keyframes"))]
            made = between(keyframes)
            if isinstance(made, Problem):
                facts.source = _text(record.get("uuid"))
                self.rows.refuse(made.detail, facts, reason=made.reason)
                continue
            for position, drawn in made:
                row = self.rows.video_frame(name, position - 1, (None, None))
                kept = {key: value for key, value in record.items() if key not in ("segments", "classifications")}
                self.object(row, kept | drawn, (None, None), facts, video=name, name_of="uuid")


def _label_lists(record: Mapping[str, Any], *, predictions: bool) -> Iterator[Mapping[str, Any]]:
    """Labels of all projects, or predictions of all model runs; an export without projects has the labels in its runs."""
    runs = [
        run for experiment in _dict(record.get("experiments")).values() for run in _dict(_dict(experiment).get("runs")).values()
    ]
    if predictions:
        for run in runs:
            yield from (_dict(label) for label in _list(_dict(run).get("predictions")))
        if runs:
            return
    projects = list(_dict(record.get("projects")).values()) or ([] if predictions else runs)
    for project in projects:
        yield from (_dict(label) for label in _list(_dict(project).get("labels")))


def _confidence(record: Mapping[str, Any]) -> float | None:
    value = record.get("confidence")
    return None if value is None else number(value)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" else None
