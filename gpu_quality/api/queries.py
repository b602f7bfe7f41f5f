"""What a search asks for: words, a picture, or something of the store, as one vector that its vectors can be compared with."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from jaxtyping import Float16
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.api.vectors import NAMES, Vectors, vectors_of
from gpu_quality.cards import ModelCard, cards
from gpu_quality.config import Decode
from gpu_quality.data.decode import DecodeSettings, decode, image_of
from gpu_quality.data.files import read_bounded
from gpu_quality.encoders.encoder import ImageEncoder, load_encoder
from gpu_quality.errors import FrameError, GpuQualityError, IncompatibleError, UnknownNameError, UsageError
from gpu_quality.geometry.regions import regions_of
from gpu_quality.index.vectors import usable
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close
from gpu_quality.types import Pixels, Sizes

Kind = Literal["text", "image", "frame", "object"]
KINDS: Final[tuple[Kind, ...]] = ("text", "image", "frame", "object")
LONGEST: Final = 2000
"""Characters of a text; models look at about 77 words."""
PREDICTIONS: Final = "predictions are embedded where the configuration says encoder: {objects: [labels, predictions]}"
_USUAL: Final = "clip-vit-b32-openai"
_COMPARED: Final = 20_000
"""Ids among which similar spellings are looked for; comparing a million takes half a minute."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    kind: Kind
    told: str
    """The words, the file, or the id."""
    vector: Float16[Tensor, "1 d"]
    """Rounded as stored vectors are, so that a stored picture finds itself at 1."""
    row: int = -1
    """Row of the frame or object in the input."""
    rgb: NDArray[np.uint8] | None = None
    """The picture [h w 3], where one was given."""
    notes: tuple[str, ...] = ()


def from_text(store: Store, vectors: Vectors, text: str, card: str | None) -> Query:
    """Words as a vector. Raises `UsageError` where the card has no text tower, `IncompatibleError` for other weights."""
    if not text.strip():
        raise UsageError("the text to search for is empty")
    if len(text) > LONGEST:
        raise UsageError(f"the text to search for has {len(text):,} characters", hint="a sentence is enough")
    if not vectors.encoder.get("text"):
        raise UsageError(
            f"{store.path} was embedded with {vectors.encoder['card']}, which knows pictures but no words",
            hint=f"{_with_words()} into another --out (or with --replace into this one), and search there",
        )
    encoder = load_encoder(_same_card(store, vectors, card), precision="float32")
    return Query("text", text, _direction(encoder.encode_text([text]), f"the text {clean(text, 80)!r}"))


def from_image(store: Store, vectors: Vectors, image: object, card: str | None) -> Query:
    """A picture as a vector: read, turned and embedded as the frames of the store were.

    Raises `UsageError` for a file that is no picture, `IncompatibleError` for other weights than the store's.
    """
    told = os.fspath(image) if isinstance(image, str | Path) else "the given image"
    rgb = _pixels(store, image, told)
    height, width = rgb.shape[:2]
    sides = torch.tensor([height], dtype=torch.int32), torch.tensor([width], dtype=torch.int32)
    pixels = Pixels(torch.from_numpy(rgb).flatten(), torch.zeros(1, dtype=torch.int64), *sides)
    encoder, notes = _encoder(_same_card(store, vectors, card), vectors.encoder)
    picture = encoder.prepare(pixels, regions_of(None, Sizes(sides[1], sides[0])))
    return Query("image", told, _direction(encoder(picture), told), rgb=rgb, notes=notes)


def from_store(store: Store, vectors: Vectors, kind: Literal["frame", "object"], name: str) -> Query:
    """The stored vector of a frame or an object, which is compared with those of `vectors`.

    Raises `UnknownNameError` for an id nobody has, `UsageError` with the reason where there is no vector.
    """
    row = _row(store, kind, name)
    own = vectors if vectors.per == kind else vectors_of(store, kind)
    if own.encoder.get("meaning") != vectors.encoder.get("meaning"):
        raise IncompatibleError(f"{store.path}: frames and objects have vectors of different encoders")
    found = own.one(row)
    if found is None:
        raise UsageError(
            f"{kind} {clean(name)!r} has no vector: {_why(store, kind, name)}", hint="search by another one, or by --image"
        )
    return Query(kind, name, found, row)


def _row(store: Store, kind: str, name: str) -> int:
    ids = store.table("object" if kind == "object" else "frame", [kind])[kind].to_numpy(object)
    rows = np.flatnonzero(ids == name)
    if len(rows):
        return int(rows[0])
    ending = [known for known in ids.tolist() if known.endswith(f"/{name}")][:3]
    hint = f"did you mean {' or '.join(map(repr, ending))}?" if ending else close(name, ids[:_COMPARED].tolist())
    raise UnknownNameError(f"{store.path} has no {kind} {clean(name)!r}", hint=hint or f"ids are in the table {kind}s")


def _why(store: Store, kind: str, name: str) -> str:
    """What the store knows about a missing vector."""
    failed, undefined = store.errors(), store.nulls()
    cells = failed[(failed[kind] == name) & (failed["metric"].isna() | (failed["metric"] == NAMES[kind]))]
    for row in cells.to_dict("records"):
        if kind == "object" or not isinstance(row["object"], str):
            return f"{row['reason']}, {clean(row['detail'])}"
    for reason in undefined[(undefined[kind] == name) & (undefined["metric"] == NAMES[kind])]["reason"]:
        return str(reason)
    several = len(store.identity.get("origins") or ()) > 1
    if kind == "frame":
        return "its shard is not finished, or the encoder gave it no direction"
    return f"it was not embedded; {PREDICTIONS}" if several else "it was not embedded"


def _pixels(store: Store, image: object, told: str) -> NDArray[np.uint8]:
    settings = _settings(store.identity.get("decode") or {})
    try:
        if isinstance(image, str | Path):
            image = read_bounded(image, max_bytes=settings.max_bytes)
        rgb = (decode(image, settings) if isinstance(image, bytes) else image_of(image, settings)).rgb
        return np.require(rgb, requirements=["C", "W"])  # an array that was handed in may be read-only
    except FrameError as error:
        raise UsageError(f"{clean(told)} cannot be searched for: {error}", hint="name one image file") from None


def _settings(asked: Mapping[str, Any]) -> DecodeSettings:
    """The settings the run decoded with."""
    given = Decode(**asked)
    return DecodeSettings(
        max_megapixels=given.max_megapixels,
        max_bytes=given.max_mb * 1_000_000,
        max_scans=given.max_scans,
        exif=given.exif,
        float_range=given.float_range,
    )


def _same_card(store: Store, vectors: Vectors, card: str | None) -> ModelCard:
    """The card the store was embedded with, if it still means the same."""
    made = vectors.encoder
    try:
        found = ModelCard.find(card or _plain(made["card"]))
    except UnknownNameError:
        raise UsageError(
            f"{store.path} was embedded with the card {clean(made['card'])}, which is not known here",
            hint="name its file with --encoder PATH.yaml",
        ) from None
    if json.loads(json.dumps(found.meaning())) != made["meaning"]:
        raise IncompatibleError(
            f"{store.path} holds vectors of card {clean(made['card'])}; {clean(found.name)} is another model, or another input",
            hint="use the card that made them, or embed again with --replace",
        )
    now = found.expected() or found.verify().sha256
    if now != made["sha256"]:
        raise IncompatibleError(
            f"{store.path} holds vectors of card {made['card']}@{made['sha256'][:8]}…, here it is {found.name}@{now[:8]}…",
            hint="vectors of other weights cannot be compared; use the old weights, or embed again with --replace",
        )
    return found


def _plain(name: str) -> str:
    """The name of a card as a store tells it, unless it would be taken for a path: no store says which files are opened."""
    if "/" in name or os.sep in name or name.endswith((".yaml", ".yml")):
        raise UnknownNameError(f"{clean(name)!r} is no name of a card")
    return name


def _encoder(card: ModelCard, made: Mapping[str, Any]) -> tuple[ImageEncoder, tuple[str, ...]]:
    """The encoder as the run had it, as far as this machine goes."""
    device = "cuda" if made["device"] == "cuda" and torch.cuda.is_available() else "cpu"
    encoder = load_encoder(card, device=device, precision=str(made["precision"]), batch=int(made["batch"]))
    if device == made["device"]:
        return encoder, ()
    return encoder, ("the vectors were made on CUDA and the query on the CPU: similarities may differ in the third digit",)


def _direction(vector: Tensor, told: str) -> Float16[Tensor, "1 d"]:
    rounded = vector.half()
    if not bool(usable(rounded).all()):
        raise UsageError(f"the encoder gives {clean(told)} no direction", hint="search for something else")
    return rounded


def _with_words() -> str:
    """What to do to get an encoder with a text tower: one whose weights are here, else the usual one."""
    for name, path in cards():
        try:
            card = ModelCard.load(path)
            if card.text and card.locate().is_file() and card.expected() is not None:
                return f"run again with --encoder {name}"
        except GpuQualityError:
            continue
    return f"gpu-quality model fetch {_USUAL}, run again with --encoder {_USUAL}"
