"""A metric as a function: gpu-quality run PHOTOS/ --plugin configs/examples/glare.py --metrics glare --out runs/glare."""

from jaxtyping import Float
from torch import Tensor

import gpu_quality as gq


@gq.metric(unit="fraction", bounds=(0.0, 1.0), bad="high")
def glare(gray: Float[Tensor, "b h w"], *, above: float = 0.98) -> Float[Tensor, " b"]:
    """Fraction of pixels brighter than `above`; high when the lens faces the sun."""
    return (gray > above).float().mean((-2, -1))
