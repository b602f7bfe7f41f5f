"""Duplicates, labels and look-alikes of a report as plain values."""

from collections.abc import Iterable
from typing import Any

from gpu_quality.reports.content import Content
from gpu_quality.reports.copies import Copy
from gpu_quality.reports.findings import Check, Finding
from gpu_quality.reports.plain import plain
from gpu_quality.reports.scenes import Film


def duplicates_json(content: Content) -> dict[str, Any] | None:
    """What `duplicates` found as far as the page shows it, with whole counts; None where nobody asked."""
    found = content.copies
    if not found.asked and not found.leaks and not found.notes:
        return None
    groups = [
        {"frames": group.count, "reason": group.reason, "drift": group.drift or None, "members": _copies(group.copies)}
        for group in found.groups
    ]
    leaks = [
        {
            "between": leaks.between,
            "pairs": leaks.count,
            "counts": list(leaks.counts),
            "shown": [{"ends": _copies(pair.ends), "sign": pair.sign} for pair in leaks.pairs],
        }
        for leaks in found.leaks
    ]
    notes = [content.private(note) for note in found.notes]
    return {"asked": found.asked, "counts": dict(found.counts), "how": found.how, "groups": groups, "leaks": leaks,
            "notes": notes}  # fmt: skip


def _copies(found: Iterable[Copy]) -> list[dict[str, Any]]:
    return [{"frame": copy.frame, "place": copy.place or None, "sign": copy.sign or None, "keep": copy.keep} for copy in found]


def labels_json(content: Content) -> dict[str, Any] | None:
    """Health checks, class balance and tracks; None where nothing is annotated."""
    found = content.labels
    if found is None:
        return None
    classes = [
        {
            "origin": part.origin,
            "question": part.question or None,
            "classes": [
                {"class": name, "count": count, "images": images, "few": few} for name, count, images, few in part.rows
            ],
            "ratio": plain(part.ratio),
            "evenness": plain(part.evenness),
        }
        for part in found.classes
    ]
    tracks = [
        {
            "what": part.title,
            "rule": part.rule,
            "origin": part.origin,
            "count": part.count,
            "shown": [_film(content, film) for film in part.films],
        }
        for part in found.tracks
    ]
    checks = [_check(content, check) for check in found.checks]
    notes = [content.private(note) for note in found.notes]
    return {"problems": found.grave, "checks": checks, "classes": classes, "tracks": tracks, "notes": notes}


def _check(content: Content, check: Check) -> dict[str, Any]:
    return {
        "code": check.code,
        "severity": check.severity,
        "meaning": check.meaning,
        "origin": check.origin or None,
        "count": check.count,
        "of": check.total,
        "findings": [_finding(content, finding) for finding in check.findings],
    }


def _finding(content: Content, found: Finding) -> dict[str, Any]:
    told = {"frame": found.frame or None, "label": found.label or None, "place": content.private(found.place) or None}
    return {**told, "detail": content.private(found.detail)}


def _film(content: Content, film: Film) -> dict[str, Any]:
    """The frames of a filmstrip; null where the video begins or ends."""
    stills = [still and {"frame": content.ids[still.shot.row], "note": still.note} for still in film.stills]
    return {"reason": content.private(film.reason), "frames": stills}


def meaning_json(content: Content) -> dict[str, Any] | None:
    """Labels that their look-alikes disagree with; None without vectors."""
    found = content.meaning
    if found is None:
        return None
    doubts = [
        {"frame": doubt.frame, "label": doubt.label, "majority": doubt.majority, "same": plain(doubt.same)}
        for doubt in found.doubts
    ]
    known = int((found.place == found.place).all(1).sum())
    return {"encoder": found.card, "compared": found.compared, "doubtful": found.doubtful, "doubts": doubts, "on_map": known}
