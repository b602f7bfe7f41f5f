"""The verbs of `model`: encoder cards, their weights, and how to get them."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gpu_quality.cli.common import JsonFlag, clean, print_json, stderr, stdout


def list_(json: JsonFlag = False) -> None:
    """Every encoder: vector length, input size, queries in words, licence, and whether its weights are here.

    Example: gpu-quality model list
    """
    from gpu_quality.api.models import list_models

    found = list_models()
    if json:
        print_json({"models": [_facts(one) for one in found]})
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("model", "dim", "pixels", "words", "weights", "licence"):
        table.add_column(column, no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for one in found:
        card = one.card
        if card is None:
            table.add_row(Text(clean(one.name)), "", "", "", "bad card", "", Text(clean(one.problem)))
            continue
        cells = (card.name, card.dim, card.input.size, "yes" if card.text else "no", "here" if one.here else "–", card.licence)
        told = f"{card.source}. {card.about}".strip()
        table.add_row(*[Text(clean(cell)) for cell in cells], Text(clean(told, 600)))
    stdout().print(table)
    stderr().print("weights that are not here: gpu-quality model fetch NAME", style="dim")


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Cards; without, all whose weights are here.", metavar="NAME")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Hash weights and compare with what the cards name. Exit code 15 if one may not be used.

    Example: gpu-quality model verify default
    """
    from dataclasses import asdict

    from gpu_quality.api.models import verify_models

    found = verify_models(names or ())
    if json:
        print_json({"models": [asdict(one) for one in found]})
    else:
        for one in found:
            stdout().print(f"{clean(one.name)}: {one.state}  {clean(one.detail, 400)}", markup=False, soft_wrap=True)
    if any(one.state != "verified" for one in found):
        raise typer.Exit(15)


def fetch(
    name: Annotated[str, typer.Argument(help="A card whose weights lie on the Hugging Face hub.", metavar="NAME")],
    sha256: Annotated[str | None, typer.Option("--sha256", help="The hash you vouch for; remembered.", metavar="HEX")] = None,
    json: JsonFlag = False,
) -> None:
    """Download a card's weights, the only verb that opens a connection. Exit code 15 while nobody vouches for their hash.

    Example: gpu-quality model fetch clip-vit-b32-openai
    """
    from gpu_quality.api.models import fetch_model

    found = fetch_model(name, sha256=sha256)
    if json:
        print_json({"name": found.name, "path": str(found.path), "sha256": found.sha256, "usable": found.vouched,
                    "next": found.hint or None})  # fmt: skip
    else:
        stdout().print(f"{clean(found.name)}: {clean(found.path)}\nsha256 {found.sha256}", markup=False, soft_wrap=True)
        if not found.vouched:
            stderr().print(f"not usable yet: the card does not know this hash; {clean(found.hint, 400)}", markup=False)
    if not found.vouched:
        raise typer.Exit(15)


def _facts(one: Any) -> dict[str, Any]:
    if one.card is None:
        return {"name": one.name, "problem": one.problem}
    facts: dict[str, Any] = one.card.model_dump(mode="json")
    return facts | {"path": None if one.path is None else str(one.path), "here": one.here}
