"""What a run's encoder, index and reference are, what of that belongs into fingerprints, and what steps get of it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from gpu_quality.analysis import projection
from gpu_quality.cards import ModelCard
from gpu_quality.config import RunConfig
from gpu_quality.encoders.encoder import BATCH, ImageEncoder, load_encoder
from gpu_quality.encoders.precision import has_bfloat16
from gpu_quality.engine.worker import Embedding
from gpu_quality.errors import UsageError
from gpu_quality.index.sized import Sized
from gpu_quality.store.store import Store
from gpu_quality.types import Crops


@dataclass(frozen=True, slots=True)
class Semantics:
    """The semantic side of a run: what embeds (None: nothing does), what it means, and which needs nobody can meet."""

    embedding: Embedding | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What `layer.json` tells about the encoder."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Resource → what decides the numbers of the steps that need it."""
    absent: frozenset[str] = frozenset()


def semantics(config: RunConfig, device: str, store: Store | None = None, origins: tuple[str, ...] = ()) -> Semantics:
    """What a configuration means by its encoder; a store that holds vectors of the same card is continued as it was begun.

    Raises `UnknownNameError` and `ConfigError` for the card, `UsageError` for a reference without vectors of it.
    """
    optional = frozenset() if projection.available() else frozenset({"umap"})
    given: dict[str, Any] = {"index": config.index.kind, "umap": 1}
    if config.encoder.card == "none":
        return Semantics(None, {}, given, optional | {"encoder", "crops", "words", "reference"})
    card = ModelCard.find(config.encoder.card)
    precision, batch, kind = _settled(config, card, device, store)
    owners = {0: "labels"} | dict.fromkeys(range(1, len(origins)), "predictions")
    cut = frozenset(i for i, owner in owners.items() if owner in config.encoder.objects)
    crops = Crops(config.encoder.context, config.encoder.mask, cut)
    embedding = Embedding(card, precision, batch, crops, kind)
    meaning = card.meaning()
    runs = {"precision": precision, "batch": batch, "device": kind}
    cuts = {"context": crops.context, "mask": crops.mask, "origins": sorted(config.encoder.objects)}
    facts = {"card": card.name, "dim": card.dim, "sha256": card.expected(), "text": card.text, "meaning": meaning, **runs}
    facts["crops"] = cuts
    given |= {"encoder": {**meaning, **runs}, "crops": cuts, "words": meaning}
    absent = optional if card.text else optional | {"words"}
    if config.reference is None:
        absent |= {"reference"}
    else:
        given["reference"] = _digest_of_reference(config.reference, card)
    return Semantics(embedding, facts, given, absent)


def _settled(config: RunConfig, card: ModelCard, device: str, store: Store | None) -> tuple[str, int, str]:
    """Precision, batch and kind of device, what is "auto" as in the store, else as this machine does it best."""
    held: Mapping[str, Any] = {}
    for layer in store.layers() if store is not None else ():
        if layer.meta.get("encoder", {}).get("meaning") == json.loads(json.dumps(card.meaning())):
            held = layer.meta["encoder"]
    asked = config.encoder
    kind = torch.device(device).type
    if config.engine.device == "auto" and held:
        kind = str(held["device"])
    best = "bfloat16" if kind == "cuda" or has_bfloat16(torch.device(kind)) else "float32"
    precision = str(held.get("precision", best)) if asked.precision == "auto" else asked.precision
    batch = int(held.get("batch", BATCH.get(kind, 16))) if asked.batch == "auto" else asked.batch
    return precision, batch, kind


def check_weights(card: ModelCard) -> None:
    """Raise `UsageError` or `RefusedError` where the weights of a card are not here or nobody vouches for them."""
    if card.expected() is None or not card.locate().is_file():
        card.verify()


def _reference(path: str, card: ModelCard) -> Store:
    """The store of another run, if its frames have vectors of the same card."""
    store = Store.open(Path(path))
    facts = store.columns().get("embedding", {}).get("encoder", {})
    if facts.get("meaning") != json.loads(json.dumps(card.meaning())):
        found = f"those of card {facts['card']}" if facts else "none"
        raise UsageError(
            f"the frames of {path} must have vectors of card {card.name} to be a reference; it has {found}",
            hint=f"gpu-quality run … --encoder {card.name} --metrics singularity --out {path}",
        )
    return store


def _digest_of_reference(path: str, card: ModelCard) -> str:
    """What a reference means: its frames and what their vectors are."""
    store = _reference(path, card)
    text = json.dumps([store.run, store.columns()["embedding"]["fingerprint"]], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class _LazyWords:
    """The text tower of a card, loaded when the first step asks for words."""

    def __init__(self, given: Embedding) -> None:
        self._given = given

    @cached_property
    def _encoder(self) -> ImageEncoder:
        return load_encoder(self._given.card, precision="float32")

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by before a softmax."""
        return self._encoder.logit_scale

    def encode_text(self, texts: list[str]) -> Float32[Tensor, "t d"]:
        """A unit vector per text."""
        return self._encoder.encode_text(texts)


def resources(config: RunConfig, found: Semantics, say: Callable[[str], None]) -> dict[str, object]:
    """What steps over whole columns get of the semantic side."""
    given: dict[str, object] = {"index": Sized(kind=config.index.kind, say=say)}
    if found.embedding is not None:
        given["crops"] = found.embedding.crops
        if found.embedding.card.text:
            given["words"] = _LazyWords(found.embedding)
    if "reference" not in found.absent and config.reference is not None and found.embedding is not None:
        vectors = _reference(config.reference, found.embedding.card).array("embedding").whole()
        given["reference"] = torch.from_numpy(vectors.copy())
    if "umap" not in found.absent:
        given["umap"] = projection.umap
    return given
