"""Everything the page says as one object that JSON can hold: the same findings, counts and numbers, without pictures."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_quality.reports.columns import name_of
from gpu_quality.reports.content import GROUPS_SHOWN, PER_GROUP, PER_ISSUE, Content, Origin, Strip, gather
from gpu_quality.reports.measures import ERRORS_SHOWN, reasons_of
from gpu_quality.reports.model.plain import model_json
from gpu_quality.reports.next_steps import about, further, steps
from gpu_quality.reports.page import write
from gpu_quality.reports.plain import distribution_json, issue_json, plain, row_json
from gpu_quality.reports.sections import tiles
from gpu_quality.reports.twin.findings import duplicates_json, labels_json, meaning_json
from gpu_quality.reports.twin.why import drift_json, far_json, selection_json, why_json
from gpu_quality.store.store import Store


def report_json(store: Store | str | Path, path: str | Path | None = None, *, budget_mb: float = 5.0) -> dict[str, Any]:
    """What the report of a store says, for programs; parts that the page lacks are null. `path`: the page is written too.

    ``status``, ``tiles``, ``issues``, ``duplicates``, ``copies``, ``labels``, ``meaning``, ``extremes``, ``distributions``,
    ``objects`` and ``errors`` hold the numbers of the parts of the page, lists as long as there, with whole counts beside
    them; ``next`` what to do, ``about`` how the numbers were made. Raises as `report` does.
    """
    opened = store if not isinstance(store, str | Path) else Store.open(Path(store))
    content, now = gather(opened), dt.datetime.now(dt.UTC)
    written = None if path is None else write(content, path, now, budget_mb)
    page = {"path": written and str(written), "bytes": written and written.stat().st_size}
    return {**page, **twin(content, now)}


def twin(content: Content, written: dt.datetime) -> dict[str, Any]:
    """The object of what was gathered; `written` is the moment that the page shows."""
    at = content.source.get("at")
    scored = dt.datetime.fromtimestamp(at, dt.UTC).isoformat() if isinstance(at, int | float) else None
    return {
        "title": content.title,
        "store": content.name,
        "scored": scored,
        "written": written.isoformat(timespec="seconds"),
        "status": {key: value for key, value in content.status.items() if key != "layers"},
        "flagged": content.flagged,
        "tiles": [{"value": value, "label": label} for value, label, _ in tiles(content)],
        "issues": [issue_json(issue, content.frames, PER_ISSUE) for issue in content.issues],
        "duplicates": duplicates_json(content),
        "copies": _copies(content),
        "labels": labels_json(content),
        "model": None if content.model is None else model_json(content.model),
        **why_json(content),
        "meaning": meaning_json(content),
        "outliers": far_json(content),
        "drift": drift_json(content),
        "selection": selection_json(content),
        "extremes": _extremes(content.strips, content.frames),
        "distributions": [distribution_json(d) for d in content.distributions],
        "objects": [_origin(content, origin) for origin in content.origins],
        "errors": _errors(content),
        "next": [{"what": step.what, "command": step.command, "source": step.source} for step in steps(content)],
        "further": [{"what": step.what, "command": step.command} for step in further(content)],
        "about": {key: str(value) for key, value in about(content)},
    }


def _copies(content: Content) -> list[dict[str, Any]]:
    """Groups that columns found and the part about duplicates does not show."""
    ids, found = content.ids, []
    for entry in content.copies.without(content.groups)[0]:
        if entry.members:
            shown = [[ids[row] for row in members[:PER_GROUP]] for members in entry.members[:GROUPS_SHOWN]]
            sizes = [len(members) for members in entry.members]
            found.append({"column": entry.column.name, "groups": len(sizes), "frames": sum(sizes), "members": shown})
    return found


def _extremes(strips: Sequence[Strip], sheet: Any) -> list[dict[str, Any]]:
    """The rows that the page shows as pictures, with their values."""
    return [
        {
            "column": strip.column.name,
            "end": strip.end,
            "suspicious": strip.suspicious,
            "rows": [
                {**row_json(sheet, row), "value": plain(value)} for row, value in zip(strip.rows, strip.values, strict=True)
            ],
        }
        for strip in strips
    ]


def _origin(content: Content, origin: Origin) -> dict[str, Any]:
    classes = content.identity.get("classes")
    extremes = _extremes(origin.strips, origin.sheet)
    for entry in extremes:
        for row in entry["rows"]:
            row["class"] = name_of(classes, row["class_id"])
    return {
        "origin": origin.name,
        "objects": len(origin.sheet),
        "classes": origin.classes,
        "extremes": extremes,
        "distributions": [distribution_json(d) for d in origin.distributions],
    }


def _errors(content: Content) -> dict[str, Any]:
    """Counts by reason, and the rows that the page lists."""
    rows = []
    for row in content.errors.head(ERRORS_SHOWN).to_dict("records"):
        line = row["line"]
        place = {key: row[key] if isinstance(row[key], str) else None for key in ("frame", "uri", "object", "metric")}
        place["uri"] = None if place["uri"] is None else content.private(place["uri"])
        where = {"line": int(line) if line is not None and line >= 0 else None, "stage": row["stage"], "reason": row["reason"]}
        rows.append({**place, **where, "detail": content.private(row["detail"])})
    return {"count": len(content.errors), "reasons": dict(reasons_of(content.errors)), "rows": rows}
