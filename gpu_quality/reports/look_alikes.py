"""The part of a report about look-alikes: labels their neighbors disagree with, and a map of the data set."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.reports.html import Markup, joined, tag
from gpu_quality.reports.meaning import Meaning
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import figure, more, section, sheet_of
from gpu_quality.reports.shots import Shot
from gpu_quality.text import counted, share

DOTS: Final = 4000
"""Dots of a map; of more frames every second, third … is one."""
WIDTH, HEIGHT, EDGE = 1000, 640, 46
SIDE: Final = 78
"""Longer side of a picture on the map."""


def meaning_section(found: Meaning | None, ids: list[str], album: Album) -> Markup | None:
    """The part of the page about vectors; None where there is nothing to show."""
    if found is None or (not found.doubts and not len(found.faces)):
        return None
    how = "an ImageNet network, not CLIP" if found.card == "default" else "with words" if found.words else "without words"
    lead = tag("p.lead", f"By the encoder {found.card} ({how}). It knows what things look like, not what you label them for.")
    return section("meaning", "Look-alikes", lead, _doubtful(found, album), _map(found, ids, album))


def _doubtful(found: Meaning, album: Album) -> Markup | str:
    if not found.doubts:
        return ""
    pictures = [
        figure(
            album, doubt.shot, doubt.frame, f"labeled {doubt.label}", f"most alike: {doubt.majority}",
            f"{share(round(doubt.same * 100), 100)} of the nearest agree",
            alt=f"{doubt.label} in {doubt.frame}, most objects like it are {doubt.majority}",
        )
        for doubt in found.doubts
    ]  # fmt: skip
    title = tag("h3.named", "Labels their look-alikes disagree with ", tag("span.badge.warn", f"{found.doubtful:,}"))
    told = (
        f"Of {counted(found.compared, 'label')} compared with the 9 objects most like each (of other images), these have a "
        "class that most of those do not have. A wrong label, a rare view, or a thing that looks like another."
    )
    rest = more(found.doubtful, len(found.doubts), "label")
    return tag("article", title, tag("p", told), sheet_of(pictures), rest, attributes={"id": "doubts"})


def _map(found: Meaning, ids: list[str], album: Album) -> Markup | str:
    """Frames as dots, like ones side by side, with some of them shown."""
    known = np.flatnonzero(np.isfinite(found.place).all(1))
    if len(known) < 3:
        return ""
    spot = _spots(found.place, known)
    every = -(-len(known) // DOTS)
    dots = "".join(f"M{spot[row, 0]:.0f} {spot[row, 1]:.0f}h0" for row in known[::every].tolist())
    drawn: list[Markup] = [tag("path.dots", attributes={"d": Markup(dots)})]
    taken: list[tuple[float, float]] = []
    for row in found.faces:
        x, y = spot[row]
        picture = album.pictures.get(Shot(row))
        if picture is None or picture.missing or any(abs(x - a) < SIDE and abs(y - b) < SIDE for a, b in taken):
            continue  # one picture over another shows neither
        taken.append((x, y))
        drawn.append(_face(picture.uri, picture.width, picture.height, x, y, ids[row]))
    label = f"map of {counted(len(known), 'frame')}; like frames are near each other"
    box = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": label}
    told = f"{counted(len(known), 'frame')} on the two directions in which they differ most (map_x, map_y); " + (
        f"every {every}. is a dot, " if every > 1 else ""
    )
    caption = tag("p.muted", told + f"{counted(len(taken), 'frame')} shown where there is room.")
    return tag(
        "article", tag("h3", "Map"), tag("svg.chart.map", joined(drawn), attributes=box), caption, attributes={"id": "map"}
    )


def _spots(place: NDArray[np.float64], known: NDArray[np.int64]) -> NDArray[np.float64]:
    """Places in the drawing; both axes as wide as it allows, which keeps neighbors neighbors."""
    low, high = place[known].min(0), place[known].max(0)
    span = np.where(high > low, high - low, 1.0)
    room = np.array([WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE])
    return np.asarray(EDGE + (place - low) / span * room * (1, -1) + (0, room[1]))


def _face(uri: str, width: int, height: int, x: float, y: float, name: str) -> Markup:
    scale = SIDE / max(width, height)
    w, h = width * scale, height * scale
    at = {"x": f"{x - w / 2:.0f}", "y": f"{y - h / 2:.0f}", "width": f"{w:.0f}", "height": f"{h:.0f}"}
    return tag("image", tag("title", name), attributes={"href": Markup(uri), **at})
