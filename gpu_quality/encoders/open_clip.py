"""The door to open_clip and timm: from a card to its towers, without a connection and without code from a file."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from gpu_quality.cards import ModelCard, weights_folder
from gpu_quality.encoders.weights import State, fill, read_weights
from gpu_quality.errors import ConfigError, RefusedError, UnknownNameError, UsageError
from gpu_quality.text import close

MAX_BYTES: Final = 1_000_000
_KNOWN: Final = ("embed_dim", "vision_cfg", "text_cfg", "multimodal_cfg", "quick_gelu", "custom_text", "init_logit_scale",
                 "init_logit_bias", "nonscalar_logit_scale")  # fmt: skip


def architecture(card: ModelCard) -> dict[str, Any]:
    """What open_clip needs to build a card's model: its own table, the JSON beside the card, or the one in a saved folder.

    Raises `UnknownNameError` for a name open_clip does not know, `ConfigError` for a file that is none or would fetch weights.
    """
    path = card.architecture_file
    if path is None:
        import open_clip

        found = open_clip.get_model_config(str(card.model))
        if found is None:
            raise UnknownNameError(
                f"card {card.name}: open_clip knows no architecture {card.model!r}",
                hint=close(str(card.model), open_clip.list_models()),
            )
        return _checked(found, card, f"{card.model}")
    return _checked(_json(path), card, str(path))


def image_tower(card: ModelCard, state: State | None = None) -> nn.Module:
    """The image tower with a card's weights, in float32 and evaluation mode; the text tower is not even built.

    `state` are weights that were read before. Raises `RefusedError` where weights do not fit.
    """
    tower = bare_image_tower(card)
    fill(tower, read_weights(card) if state is None else state, card, prefix="visual.")
    _to_size(tower, card)
    return tower.eval()


def bare_image_tower(card: ModelCard) -> nn.Module:
    """The image tower with random weights from torch's seed; of the size its weights have."""
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    built = architecture(card)
    with _told(card):
        vision = CLIPVisionCfg(**built["vision_cfg"])
        tower: nn.Module = _build_vision_tower(built["embed_dim"], vision, built.get("quick_gelu", False))
    return tower


def both_towers(card: ModelCard, state: State | None = None) -> nn.Module:
    """The whole model with a card's weights, for queries in words. Raises `UsageError`, `RefusedError`."""
    from open_clip.model import CLIP, CustomTextCLIP

    if not card.text:
        raise no_text(card)
    built = architecture(card)
    if "hf_model_name" in built.get("text_cfg", {}) or "multimodal_cfg" in built:
        raise UsageError(f"card {card.name}: the text tower of {card.model} is not supported", hint="use the card without text")
    custom = built.pop("custom_text", False)
    with _told(card):
        model: nn.Module = (CustomTextCLIP if custom else CLIP)(**built)
    fill(model, read_weights(card) if state is None else state, card)
    return model.eval()


def no_text(card: ModelCard) -> UsageError:
    """The error for words given to a card without a text tower."""
    return UsageError(
        f"card {card.name} has no text tower: it cannot compare images with words",
        hint="use a card with text: true, such as clip-vit-b32-openai (gpu-quality model list)",
    )


def tokens(card: ModelCard, texts: list[str]) -> Tensor:
    """Words as numbers, one row per text, padded or cut to the model's length.

    Raises `UsageError` where the tokenizer needs files or a package that are not here; nothing is fetched.
    """
    import open_clip
    from open_clip.tokenizer import SimpleTokenizer

    text = architecture(card)["text_cfg"]
    length, options = text.get("context_length", 77), text.get("tokenizer_kwargs") or {}
    name = text.get("hf_tokenizer_name")
    if not name:
        return torch.as_tensor(SimpleTokenizer(context_length=length, **options)(texts))
    folder = card.local_dir or tokenizer_folder(name)
    if not (folder / "tokenizer.json").is_file():
        raise UsageError(
            f"card {card.name}: its tokenizer is not here: {folder / 'tokenizer.json'} does not exist",
            hint=f"gpu-quality model fetch {card.name}",
        )
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise UsageError(
            f"card {card.name}: its tokenizer needs the package transformers", hint="pip install transformers"
        ) from None
    tokenizer = open_clip.tokenizer.HFTokenizer(str(folder), context_length=length, **options)
    return torch.as_tensor(tokenizer(texts))


def tokenizer_name(card: ModelCard) -> str | None:
    """The hub's repository of the tokenizer, for cards whose tokenizer open_clip does not bring along."""
    name = architecture(card).get("text_cfg", {}).get("hf_tokenizer_name") if card.text else None
    return None if name is None else str(name)


def tokenizer_folder(name: str) -> Path:
    """Where `model fetch` puts the tokenizer of a repository."""
    return weights_folder() / name.replace("/", "--")


def _to_size(tower: nn.Module, card: ModelCard) -> None:
    """A timm trunk looks at the size its weights were trained at; position embeddings are resampled for the card's."""
    trunk, size = getattr(tower, "trunk", None), card.input.size
    native = getattr(getattr(trunk, "patch_embed", None), "img_size", None)
    if native is not None and native[0] != size:
        trunk.set_input_size(img_size=(size, size))  # type: ignore[union-attr]


@contextmanager
def _told(card: ModelCard) -> Iterator[None]:
    """What open_clip and timm raise for an architecture they cannot build becomes one error that names the card."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, AssertionError, KeyError, AttributeError) as error:
        text = " ".join(str(error).split())[:200]
        raise ConfigError(f"card {card.name}: open_clip cannot build {card.model}: {text}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_BYTES:,} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON: {str(error)[:120]}") from None
    found = found.get("model_cfg", found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds {type(found).__name__}, expected an architecture of open_clip")
    return found


def _checked(found: dict[str, Any], card: ModelCard, where: str) -> dict[str, Any]:
    """An architecture with known keys, of the card's size, that asks for nothing from elsewhere."""
    vision = found.get("vision_cfg")
    if not isinstance(found.get("embed_dim"), int) or not isinstance(vision, dict):
        raise ConfigError(f"{where}: embed_dim and vision_cfg are missing: this is no architecture of open_clip")
    unknown = [key for key in found if key not in _KNOWN]
    timm_name = vision.get("timm_model_name")
    if unknown:
        raise ConfigError(f"{where}: {unknown[0]} is no known key; known: {', '.join(_KNOWN)}")
    if timm_name is not None and not re.fullmatch(r"[a-z0-9_]+", str(timm_name)):
        raise RefusedError(f"{where}: {str(timm_name)[:80]!r} is no architecture of timm")
    if card.text and not isinstance(found.get("text_cfg"), dict):
        raise ConfigError(f"card {card.name} says text: true, but {where} has no text tower")
    if found["embed_dim"] != card.dim:
        raise ConfigError(f"card {card.name} says dim: {card.dim}, but {where} has {found['embed_dim']}")
    found = deepcopy(found)
    found["vision_cfg"] |= {"timm_model_pretrained": False} if timm_name is not None else {}
    return found
