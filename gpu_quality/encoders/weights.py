"""Weights from a verified file into a network: nothing is run, every tensor has its place, its shape and finite values."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from gpu_quality.cards import ModelCard
from gpu_quality.errors import RefusedError

State = Mapping[str, Tensor]


def read_weights(card: ModelCard) -> State:
    """Tensors of a card's weights, the file hashed first. Raises `RefusedError`, `UsageError`."""
    path, _ = card.verify()
    before = _stamp(path)
    state = _parse(path)
    if _stamp(path) != before:
        raise RefusedError(f"{path} changed while it was read", hint="try again")
    return state


def fill(module: nn.Module, state: State, card: ModelCard, *, prefix: str = "") -> None:
    """Put tensors into a module, those under `prefix` by their names; all must fit, none may be missing.

    Raises
    ------
    RefusedError
        Names, shapes or kinds of numbers differ, or a value is not finite.
    """
    own = module.state_dict()
    given = _in_order(own, state, card) if card.tensors == "in_order" else _by_name(own, state, prefix)
    missing, extra = own.keys() - given.keys(), given.keys() - own.keys()
    if missing or extra:
        raise RefusedError(
            f"the weights of {card.name} do not fit {card.model}: {len(missing)} tensors missing ({_some(missing)}), "
            f"{len(extra)} too many ({_some(extra)})",
            hint="the card names another architecture than the weights have",
        )
    for name, tensor in given.items():
        if tensor.shape != own[name].shape or tensor.is_floating_point() != own[name].is_floating_point():
            found, wanted = (f"{tuple(t.shape)} {t.dtype}" for t in (tensor, own[name]))
            raise RefusedError(f"the weights of {card.name} do not fit {card.model}: {name} is {found}, expected {wanted}")
        if not torch.isfinite(tensor).all():
            raise RefusedError(f"the weights of {card.name} hold NaN or infinity in {name}", hint="fetch them again")
    module.load_state_dict(given)


def _by_name(own: State, state: State, prefix: str) -> dict[str, Tensor]:
    """Tensors under a prefix; where no name begins with it, a bare trunk of timm, whose head is empty."""
    given = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not given and any(name.startswith("trunk.") for name in own):
        given = {f"trunk.{name}": tensor for name, tensor in state.items()}
    # A scale or bias of the similarity is a number to one writer and a vector of one to another.
    return {k: t.reshape(own[k].shape) if k in own and t.numel() == own[k].numel() == 1 else t for k, t in given.items()}


def _in_order(own: State, state: State, card: ModelCard) -> dict[str, Tensor]:
    """Tensors by their place, for files with names of another library; only the classifier may be left over, and is dropped."""
    values = list(state.values())
    left = [tuple(tensor.shape) for tensor in values[len(own) :]]
    classifier = len(left) == 2 and left[0] == (*left[1], card.dim)
    if left and not classifier:
        raise RefusedError(f"the weights of {card.name} hold {len(left)} tensors that are no classifier: {left[:3]}")
    return dict(zip(own, values, strict=False))


def _parse(path: Path) -> State:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise RefusedError(f"{path} is no safetensors file: {error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of the very files it then refuses
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise RefusedError(
            f"{path} is not a plain file of tensors: {' '.join(str(error).split())[:160]}",
            hint="pickles with code and TorchScript are never loaded; use safetensors",
        ) from None
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) and isinstance(k, str) for k, t in state.items()):
        raise RefusedError(f"{path} does not hold tensors by name")
    return state


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) or "none"
