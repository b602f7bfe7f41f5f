"""Small versions of frames and objects, for hashes and for the blur score."""

from typing import Any, Final

from jaxtyping import Float64, UInt8
from torch import Tensor

from gpu_quality.kernels import thumbnails as kernel
from gpu_quality.registry import feature
from gpu_quality.types import Pixels, Regions, moved

_KERNEL_NAMES: Final = {
    "square_thumbnail": "square",
    "wide_thumbnail": "wide",
    "tall_thumbnail": "tall",
    "soft_blur": "soft_blur",
}


@feature(per="region", gives=tuple(_KERNEL_NAMES))
def thumbnails(pixels: Pixels, regions: Regions, *, wanted: frozenset[str]) -> dict[str, Any]:
    """Luma thumbnails of every frame (32 x 32, 9 x 8, 8 x 9), and the edge sums of a 64-pixel thumbnail of every region."""
    made = kernel.thumbnails(pixels, moved(regions, pixels.data.device), {_KERNEL_NAMES[name] for name in wanted})
    return {name: moved(made[_KERNEL_NAMES[name]], "cpu") for name in wanted}


@feature()
def thumbnail_range(square_thumbnail: UInt8[Tensor, "b 32 32"]) -> Float64[Tensor, " b"]:
    """Largest minus smallest luma of the 32 x 32 thumbnail; small where a frame has too little content to compare."""
    flat = square_thumbnail.flatten(1)
    return flat.amax(1).double() - flat.amin(1).double()
