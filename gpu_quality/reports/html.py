"""Building HTML so that nothing foreign can become markup: text is escaped unless this module made it."""

import html
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Final

from gpu_quality.text import clean

POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_VOID: Final = frozenset({"img", "meta", "path", "line", "rect", "br", "hr"})
_LONGEST: Final = 2000


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: object) -> Markup:
    """Text as HTML: markup escaped, invisible characters made visible."""
    return text if isinstance(text, Markup) else Markup(html.escape(clean(text, _LONGEST), quote=True))


def tag(kind: str, *children: object, attributes: Mapping[str, object] | None = None) -> Markup:
    """An element; ``tag("p.note", …)`` sets a class. Children and attribute values are escaped unless they are `Markup`."""
    name, _, classes = kind.partition(".")
    given = {**({"class": classes.replace(".", " ")} if classes else {}), **(attributes or {})}
    text = "".join(f' {key}="{escape(value)}"' for key, value in given.items())
    if name in _VOID:
        return Markup(f"<{name}{text}>" if name not in ("path", "line", "rect") else f"<{name}{text}/>")
    return Markup(f"<{name}{text}>{joined(children)}</{name}>")


def joined(parts: Iterable[object]) -> Markup:
    """Several pieces one after the other."""
    return Markup("".join(escape(part) for part in parts))


def name_tag(name: object, limit: int = 80) -> Markup:
    """A foreign name on its own: isolated, so that right-to-left letters move nothing around it; whole when hovered."""
    shown = clean(name, limit)
    whole = clean(name, _LONGEST)
    return tag("bdi", shown, attributes={"title": whole} if whole != shown else None)


def table(head: Iterable[str], rows: Iterable[Iterable[object]], numeric: Iterable[int] = ()) -> Markup:
    """A table that scrolls by itself where it is too wide; columns in `numeric` are set right."""
    right = frozenset(numeric)

    def cells(kind: str, values: Iterable[object]) -> Markup:
        return joined(tag(f"{kind}.number" if i in right else kind, value) for i, value in enumerate(values))

    body = joined(tag("tr", cells("td", row)) for row in rows)
    whole = tag("table", tag("thead", tag("tr", cells("th", head))), tag("tbody", body))
    return tag("div.scroll", whole, attributes={"tabindex": "0", "role": "region", "aria-label": "table"})


def document(title: str, body: Markup, *styles: str) -> str:
    """A whole page with its style inside, `styles` beside the usual one, and a policy that lets nothing be loaded or run."""
    folder = files("gpu_quality.reports")
    style = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", *styles))
    head = joined(
        (
            tag("meta", attributes={"charset": "utf-8"}),
            tag("meta", attributes={"http-equiv": "Content-Security-Policy", "content": POLICY}),
            tag("meta", attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
            tag("meta", attributes={"name": "referrer", "content": "no-referrer"}),
            tag("meta", attributes={"name": "color-scheme", "content": "light dark"}),
            tag("title", title),
            tag("style", Markup(style)),
        )
    )
    page = tag("html", tag("head", head), Markup("\n"), tag("body", body), attributes={"lang": "en"})
    return f"<!doctype html>\n{page}\n"
