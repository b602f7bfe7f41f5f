"""How sharp, how noisy and how damaged by coding a picture is."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from gpu_quality.functional import issues, statistics
from gpu_quality.registry import metric
from gpu_quality.types import Cells, ChannelEdges, Edges, Facts, Gradients, Grain, Masked, Phases, Sizes


def _color_sharpness(edges: ChannelEdges) -> Float64[Tensor, " r"]:
    return statistics.variance(3 * edges.count, edges.laplacian.sum(1), edges.laplacian_square.sum(1))


@metric(per="region", unit="level²", bounds=(0.0, 1_040_400.0), bad="low")
def sharpness(channel_edges: ChannelEdges) -> Float64[Tensor, " r"]:
    r"""How much fine detail the color channels show: low when blurred, high when crisp, higher still when noisy.

    .. math:: \operatorname{Var}_{x, c}(\nabla^2 c), \qquad
              \nabla^2 c = c_{y-1,x} + c_{y+1,x} + c_{y,x-1} + c_{y,x+1} - 4 c_{y,x},\ c \in \lbrace R, G, B \rbrace
    Range: 0 for a flat picture, 1 040 400 for a one-pixel checkerboard of black and white.
    Depends on: resolution and compression; compare pictures of similar size.
    Source: Encord Active, "Sharpness" (equal); its cloud value is the square root over 2040.
    """
    return _color_sharpness(channel_edges)


@metric(per="region", unit="level²", bounds=(0.0, 1_040_400.0), bad="low")
def sharpness_luma(edges: Edges) -> Float64[Tensor, " r"]:
    r"""How much fine detail luma shows: low when blurred, high when crisp, higher still when noisy.

    .. math:: \operatorname{Var}(\nabla^2 Y), \qquad
              \nabla^2 Y = Y_{y-1,x} + Y_{y+1,x} + Y_{y,x-1} + Y_{y,x+1} - 4 Y_{y,x}
    Range: 0 for a flat picture, 1 040 400 for a one-pixel checkerboard of black and white.
    Depends on: resolution and compression; compare pictures of similar size.
    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    return statistics.variance(edges.count, edges.laplacian, edges.laplacian_square)


@metric(per="region", unit="score", bounds=(0.0, 1.0), bad="high")
def blur(channel_edges: ChannelEdges) -> Float64[Tensor, " r"]:
    r"""How blurred the picture is: sharpness turned around and bounded.

    .. math:: \frac{100}{100 + \mathrm{sharpness}}
    Range: 1 for a flat picture; 0.5 where sharpness is 100, the usual cut; near 0 for a checkerboard.
    Depends on: resolution and compression, as sharpness does.
    Source: replaces Encord Active's "Blur" (1 - sharpness, unbounded); same ranking.
    """
    return 100 / (100 + _color_sharpness(channel_edges))


@metric(per="region", unit="level²", bounds=(0.0, 2_080_800.0), bad="low")
def tenengrad(gradients: Gradients) -> Float64[Tensor, " r"]:
    r"""How strong the edges are on average: an older measure of focus, calmer about noise than sharpness.

    .. math:: \frac{1}{N} \sum (g_x^2 + g_y^2), \qquad g_x, g_y \text{ = 3x3 Sobel responses of } Y
    Range: 0 for a flat picture and for a one-pixel checkerboard; 63.5 for a ramp of one level a pixel.
    Depends on: resolution and contrast.
    Source: Tenenbaum, Accommodation in computer vision, 1970.
    """
    return statistics.ratio(gradients.square, gradients.count)


@metric(per="region", unit="fraction", bounds=(0.0, 1.0), bad="low")
def edge_density(gradients: Gradients) -> Float64[Tensor, " r"]:
    r"""How much of the picture lies on a clear edge.

    .. math:: \frac{1}{N} \sum [g_x^2 + g_y^2 \ge 100^2]
    Range: 0 to 1; 100 is the response to a step of 25 levels.
    Depends on: contrast and resolution; blind to a one-pixel checkerboard.
    Source: the idea of fastdup's "edge_density" (Canny there; not comparable).
    """
    return statistics.ratio(gradients.strong, gradients.count)


@metric(per="region", unit="level", bounds=(0.0, 426.2), bad="high")
def noise(grain: Grain) -> Float64[Tensor, " r"] | Masked:
    r"""How strong the grain is: an estimate of the standard deviation of Gaussian noise.

    .. math:: \sqrt{\frac{\pi}{2}} \frac{1}{6 N_{\mathrm{int}}} \sum |n|, \qquad
              n = Y * \begin{bmatrix} 1 & -2 & 1 \\ -2 & 4 & -2 \\ 1 & -2 & 1 \end{bmatrix}
    Range: 0 to 426.2; photos about 0.5 to 10. Null where no pixel has a full 3x3 neighborhood (a side below 3).
    Depends on: texture: grass, hair and gravel read as noise.
    Source: Immerkaer, Fast noise variance estimation, CVIU 1996.
    """
    value = math.sqrt(math.pi / 2) * grain.absolute.double() / (6 * grain.count)
    return Masked(value, grain.count == 0, "too_small")


@metric(unit="score", bounds=(0.0, 1.0), bad="high")
def blockiness(phases: Phases, sizes: Sizes, facts: Facts) -> Float64[Tensor, " b"] | Masked:
    r"""How clearly the 8-pixel blocks of strong JPEG compression show.

    .. math:: \max\left(0, \frac{B - A}{B + A}\right), \qquad
              B = \text{mean step across block seams},\ A = \text{mean step elsewhere}
    Range: 0 (none) to 1; averaged over both directions, or the one that has seams. Null where both sides are at most 8.
    Depends on: the block grid: pictures cropped or resized after compression lose it.
    Source: after Wang, Sheikh and Bovik, No-reference perceptual quality assessment of JPEG compressed images, ICIP 2002.
    """
    w, h = sizes.width.long(), sizes.height.long()
    across_x, along_x = issues.seam_means(phases.dx, w, h, facts.reversed_x)
    across_y, along_y = issues.seam_means(phases.dy, h, w, facts.reversed_y)
    seams = torch.stack([across_x, across_y]).nanmean(0)
    rest = torch.stack([along_x, along_y]).nanmean(0)
    value = torch.where(seams + rest > 0, (seams - rest) / (seams + rest), 0.0).clamp(min=0)
    return Masked(value, (w <= 8) & (h <= 8), "too_small")


@metric(unit="fraction of full scale", bounds=(0.0, 1.0), bad="high")
def uneven_illumination(cells: Cells, sizes: Sizes) -> Float64[Tensor, " b"] | Masked:
    r"""How much brightness drifts from one side of the frame to another: vignetting, a lamp at one side, a shadow.

    .. math:: \frac{\max s - \min s}{255}, \qquad
              s = a + b u + c v + d u^2 + e u v + f v^2 \text{ fitted to 8 x 8 cell means of } Y
    Range: 0 (even) to 1, capped. Null where a side is below 8.
    Depends on: the scene: a bright sky over dark ground reads high too.
    """
    means = cells.sum.double() / cells.count.clamp(min=1)
    value = issues.surface_range(means) / 255
    value = torch.where(value < 1e-12, 0.0, value.clamp(max=1))
    return Masked(value, (sizes.width < 8) | (sizes.height < 8), "too_small")
