"""Which numbers a network computes in, and the two changes that make it quicker without changing what it computes."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from gpu_quality.errors import ConfigError, UsageError

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_SAME: Final = 1e-5
"""How much 1 - cosine a folded network may differ by; folding alone costs about 1e-7."""


def dtype_for(precision: str, device: torch.device) -> torch.dtype:
    """The numbers to compute in: "auto" is bfloat16 where the hardware multiplies it, else float32. Raises `UsageError`."""
    if precision != "auto" and precision not in DTYPES:
        raise UsageError(f"precision {precision!r} is unknown", hint="use auto, float32 or bfloat16")
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return DTYPES[precision]


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware: AVX-512 BF16 or AMX, or CUDA from compute capability 8."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)


def folded(tower: nn.Module, example: Tensor) -> nn.Module:
    """The network with each batch norm folded into the convolution before it, if that changes nothing but the last bits.

    Which layers follow each other in a forward pass is only guessed from their order, so `example` is tried before and after.
    """
    if not any(_pairs(module) for module in tower.modules()):
        return tower
    quick = deepcopy(tower)
    for module in list(quick.modules()):
        for name, norm, conv in _pairs(module):
            _fold(module, name, norm, conv)
    with torch.inference_mode():
        cosine = torch.cosine_similarity(as_vectors(quick(example)), as_vectors(tower(example)))
    return quick if bool((1 - cosine < _SAME).all()) else tower


def as_vectors(out: Any) -> Tensor:
    """One vector per image, of towers that return more besides."""
    found = out[0] if isinstance(out, tuple) else out["image_features"] if isinstance(out, dict) else out
    return torch.as_tensor(found)


def lowered(tower: nn.Module, dtype: torch.dtype, keep: Iterable[str], card: str) -> nn.Module:
    """The network in `dtype`, but the named parts in float32, values between those unrounded.

    Raises `ConfigError` for a part it does not have.
    """
    parts = [_part(tower, name, card) for name in keep]
    if dtype == torch.float32:
        return tower
    exact = [deepcopy(part.state_dict()) for part in parts]
    tower.to(dtype)
    for part, state in zip(parts, exact, strict=True):
        part.float().load_state_dict(state)  # float() alone would keep what was rounded
    for layer in tower.modules() if parts else ():
        if isinstance(getattr(layer, "weight", None), Tensor):
            layer.register_forward_pre_hook(_as_weight)
    return tower


def first_dtype(tower: nn.Module) -> torch.dtype:
    """What the first layer computes in."""
    return next(tower.parameters()).dtype


def _as_weight(layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.to(layer.weight.dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in given)  # type: ignore[arg-type]


def _part(tower: nn.Module, name: str, card: str) -> nn.Module:
    try:
        return tower.get_submodule(name)
    except AttributeError:
        raise ConfigError(f"card {card}: float32: {name!r} is no part of the image tower") from None


def _pairs(module: nn.Module) -> list[tuple[str, nn.BatchNorm2d, nn.Conv2d]]:
    """Batch norms that are listed right after a convolution with as many channels."""
    found, before = [], None
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d) and before.out_channels == child.num_features:
            found.append((name, child, before))
        before = child
    return found


def _fold(module: nn.Module, name: str, norm: nn.BatchNorm2d, conv: nn.Conv2d) -> None:
    """Put a batch norm's scale and shift into the convolution; of timm's norms the activation stays."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias)
    setattr(module, name, getattr(norm, "act", nn.Identity()))
