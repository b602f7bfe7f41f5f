"""The verb `search`: what looks like words, like a picture, or like something of the store."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, records, stderr, stdout
from gpu_quality.text import counted

if TYPE_CHECKING:
    from rich.text import Text

    from gpu_quality.api.search import Found

CELLS: Final = 20
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def search(
    out: Out,
    text: Annotated[str | None, typer.Option("--text", help="Words; the store's encoder must know some.")] = None,
    image: Annotated[str | None, typer.Option("--image", help="An image file.")] = None,
    frame: Annotated[str | None, typer.Option("--frame", help="Id of a frame of the store.")] = None,
    object_: Annotated[str | None, typer.Option("--object", help="Id of an object of the store.")] = None,
    among: Annotated[str | None, typer.Option("--in", help="frames or objects; by default the same as asked for.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="How many answers.")] = 20,
    index: Annotated[str, typer.Option("--index", help="auto (by size), exact, flat, ivf, hnsw or pq.")] = "auto",
    encoder: Annotated[str | None, typer.Option("--encoder", help="File of the store's card, if its name finds none.")] = None,
    html: Annotated[str | None, typer.Option("--html", help="Also write a page with the pictures.")] = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """The frames or objects most like words, an image, a frame or an object, by the vectors of a run.

    Example: gpu-quality search runs/a --text "a truck at night"

    gpu-quality search runs/a --image x.jpg --count 50 --html like_x.html

    gpu-quality search runs/a --object labels/17
    """
    from gpu_quality.api.search import find

    found = find(
        out, text=text, image=image, frame=frame, object=object_, among=among,  # type: ignore[arg-type]
        count=count, index=index, card=encoder,
    )  # fmt: skip
    page = None
    if html is not None:
        from gpu_quality.reports.search import write_search

        page = write_search(found, html)
    if json:
        print_json(_json(found, None if page is None else str(page)))
        return
    _print(found)
    if not quiet:
        for note in found.notes:
            stderr().print(clean(note, 400), markup=False)
        if page is not None:
            stderr().print(f"page: {clean(page)} ({page.stat().st_size / 1e6:.1f} MB)", markup=False)


def _json(found: "Found", page: str | None) -> dict[str, Any]:
    return {
        "query": {"kind": found.query.kind, "value": found.query.told},
        "among": found.among,
        "listed": found.listed,
        "with_vector": found.hits.known,
        "encoder": found.card,
        "index": {"name": found.hits.choice.name, "why": found.hits.choice.why},
        "notes": list(found.notes),
        "results": records(found.table),
        "page": page,
    }


def _print(found: "Found") -> None:
    """How it was searched, then the answers with bars."""
    from rich.table import Table
    from rich.text import Text

    console, query = stdout(), found.query
    words = f"“{clean(query.told, 100)}”" if query.kind == "text" else f"{query.kind} {clean(query.told, 100)}"
    noun = found.among.removesuffix("s")
    console.print(f"{counted(found.hits.known, noun)} by likeness to {words}, embedded with {clean(found.card)}", markup=False)
    console.print(found.hits.choice.why, markup=False, style="dim")
    if found.table.empty:
        console.print("nothing else has a vector to compare with", markup=False)
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("", "similarity", "", *_columns(found)):
        numbers = name == "similarity"
        table.add_column(name, justify="right" if numbers else "left", overflow="fold", no_wrap=name in ("", "similarity"))
    rows = records(found.table)
    full = rows[0]["similarity"] if query.kind == "text" else 1.0
    for row in rows:
        cells = [Text(clean(row[name], 80)) for name in _columns(found)]
        table.add_row(f"{row['rank']:>3}", f"{row['similarity']:.4f}", _bar(row["similarity"], full), *cells)
    console.print(table)
    if query.kind == "text":
        console.print(
            "bars: share of the best; of words and pictures only the order means something", style="dim", markup=False
        )


def _columns(found: "Found") -> list[str]:
    if found.among == "frames":
        return ["frame"]
    several = found.table["origin"].nunique() > 1
    return ["class", *(["origin"] if several else []), "frame", "object"]


def _bar(value: float, full: float) -> "Text":
    """A bar of up to `CELLS` characters; none for what points the other way."""
    from rich.text import Text

    eighths = round(8 * CELLS * min(max(value / full, 0.0), 1.0)) if full > 0 else 0
    whole, rest = divmod(eighths, 8)
    return Text((_EIGHTHS[-1] * whole + _EIGHTHS[rest].strip()).ljust(CELLS), style="cyan")
