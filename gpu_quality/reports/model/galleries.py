"""Pictures of single predictions and labels: right, false with the reason, and missed."""

from gpu_quality.reports.html import Markup, joined, name_tag, tag
from gpu_quality.reports.model.exhibits import Exhibit
from gpu_quality.reports.model.outcomes import Gallery
from gpu_quality.reports.model.quality import EvaluatedSet
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import figure, more, sheet_of
from gpu_quality.text import clean


def galleries(found: EvaluatedSet, album: Album, anchor: str, level: int) -> Markup:
    """Every gallery that holds something, and a line for those that hold nothing."""
    filled = [gallery for gallery in found.galleries if gallery.count]
    empty = [gallery.title.lower() for gallery in found.galleries if not gallery.count]
    nothing = tag("p.muted", f"Nothing to show of: {'; '.join(empty)}.") if empty else ""
    return joined((*(_gallery(album, one, f"{anchor}-{one.key}", level) for one in filled), nothing))


def _gallery(album: Album, gallery: Gallery, anchor: str, level: int) -> Markup:
    title = tag(f"h{level}", gallery.title, " ", tag("span.badge", f"{gallery.count:,}"))
    told = tag("p.source", f"{gallery.order[:1].upper()}{gallery.order[1:]}. From objects where ", tag("code", gallery.rule))
    figures = sheet_of((exhibit_figure(album, exhibit) for exhibit in gallery.exhibits), ".exhibits")
    rest = more(gallery.count, len(gallery.exhibits), "object")
    return tag("article", title, told, figures, rest, attributes={"id": anchor})


def exhibit_figure(album: Album, exhibit: Exhibit) -> Markup:
    """The objects cut out of their frame; class, confidence and overlap, the reason, and the frame."""
    numbers = [f"{exhibit.confidence:.2f}"] if exhibit.confidence is not None else []
    numbers += [f"IoU {exhibit.iou:.2f}"] if exhibit.iou is not None else []
    head = joined((name_tag(exhibit.name, 32), "".join(f" · {text}" for text in numbers)))
    verb = "taken for " if exhibit.missed else "labeled "
    other = joined((verb, name_tag(exhibit.partner, 32))) if exhibit.partner else ""
    why = exhibit.told or f"{verb}{clean(exhibit.partner, 60)}"
    spoken = f"{clean(exhibit.name, 60)} in {exhibit.frame}: {clean(why, 200)}"
    return figure(album, exhibit.shot, exhibit.frame, head, exhibit.told, other, alt=spoken, below=exhibit.object)
