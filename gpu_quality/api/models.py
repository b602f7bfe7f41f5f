"""The verbs of `model`: which encoders there are, whether their weights are what the cards name, and fetching them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpu_quality.cards import Hub, ModelCard, cards, digest_of
from gpu_quality.encoders.hub import download
from gpu_quality.encoders.open_clip import tokenizer_folder, tokenizer_name
from gpu_quality.errors import GpuQualityError, RefusedError, UsageError

State = Literal["verified", "absent", "unvouched", "differs", "bad_card"]
"""`unvouched`: the file is here, but neither the card nor a person names its SHA-256."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class Listed:
    """One card, and whether its weights are on this machine."""

    card: ModelCard | None
    name: str
    path: Path | None
    here: bool
    problem: str = ""
    """Why the card cannot be used, if so."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What hashing a card's weights found."""

    name: str
    state: State
    detail: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """Weights that are here now; `vouched` tells whether they may be used."""

    name: str
    path: Path
    sha256: str
    vouched: bool
    hint: str = ""


def list_models() -> list[Listed]:
    """Every card that can be found by name; a broken one is listed with its problem."""
    found = []
    for name, _ in cards():
        try:
            card = ModelCard.find(name)
            found.append(Listed(card, name, path := _place(card), path is not None and path.is_file()))
        except GpuQualityError as error:
            found.append(Listed(None, name, None, here=False, problem=str(error)))
    return found


def verify_models(names: Sequence[str] = ()) -> list[Checked]:
    """Hash the weights of the named cards, or of all whose weights are here. Raises `UnknownNameError` for a name."""
    chosen = list(names) or [one.name for one in list_models() if one.here or one.problem]
    return [_checked(name) for name in chosen]


def fetch_model(name: str, *, sha256: str | None = None, get: Callable[[str, str, Path], Path] = download) -> Fetched:
    """Bring the weights of a card here and hash them; with `sha256` a person vouches for that hash.

    Nothing of what was fetched is parsed. A file that is here already is not fetched again.

    Raises
    ------
    UsageError
        The card's weights do not come from the hub, or `sha256` is none, or the card names another.
    RefusedError
        The file has another hash; if it was fetched just now, it is removed.
    ResourceError
        There is no connection, or the publisher wants a licence accepted.
    """
    card = ModelCard.find(name)
    if not isinstance(card.weights, Hub):
        raise UsageError(f"there is nothing to fetch for {card.name}: its weights come from {_origin(card)}")
    vouched = None if sha256 is None else card.checked_digest(sha256)
    path = card.locate()
    new = not path.is_file()
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        get(card.weights.hub.repo, card.weights.hub.file, path.parent)
    found, wanted = digest_of(path), vouched or card.expected()
    if wanted is not None and found != wanted:
        if new:
            path.unlink()
        raise RefusedError(
            f"{card.weights.hub.file} of {card.weights.hub.repo} has the SHA-256 {found}, expected {wanted}",
            hint="it was removed; do not use it" if new else f"delete {path} and fetch again",
        )
    if vouched is not None:
        card.pin(vouched)
    _fetch_tokenizer(card, get)
    hint = "" if wanted else f"compare the hash with the publisher's, then: {card.pin_command(found)}"
    return Fetched(card.name, path, found, wanted is not None, hint)


def _fetch_tokenizer(card: ModelCard, get: Callable[[str, str, Path], Path]) -> None:
    repo = tokenizer_name(card)
    if repo is None:
        return
    folder = tokenizer_folder(repo)
    folder.mkdir(parents=True, exist_ok=True)
    for file in TOKENIZER_FILES:
        if not (folder / file).is_file():
            get(repo, file, folder)


def _checked(name: str) -> Checked:
    try:
        card = ModelCard.find(name)
    except UsageError as error:
        if error.code == "UNKNOWN_NAME":
            raise
        return Checked(name, "bad_card", str(error))
    path = _place(card)
    if path is None or not path.is_file():
        return Checked(card.name, "absent", f"no weights at {path or _origin(card)}")
    try:
        found = card.verify()
    except RefusedError as error:
        return Checked(card.name, "unvouched" if card.expected() is None else "differs", str(error))
    return Checked(card.name, "verified", str(found.path), found.sha256)


def _place(card: ModelCard) -> Path | None:
    """Where the weights lie or would lie; None where their package is not installed."""
    try:
        return card.locate()
    except UsageError:
        return None


def _origin(card: ModelCard) -> str:
    if isinstance(card.weights, str):
        return str(card.locate())
    return f"the hub's {card.weights.hub.repo}" if isinstance(card.weights, Hub) else f"the package {card.weights.package}"
