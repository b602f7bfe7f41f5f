"""Vectors of frames and of objects by the run's encoder: computed once, stored as float16, and searched ever after."""

import dataclasses

import torch
from jaxtyping import Float16
from torch import Tensor

from gpu_quality.geometry.regions import regions_of
from gpu_quality.registry import feature
from gpu_quality.types import Crops, Encoder, Masked, Objects, Pixels, Sizes


@feature(per="frame")
def embedding(pixels: Pixels, encoder: Encoder) -> Float16[Tensor, "b d"]:
    """A unit vector per frame: what the encoder makes of the whole picture."""
    return encoder(encoder.prepare(pixels, regions_of(None, Sizes(pixels.width, pixels.height)))).half()


@feature(per="object")
def object_embedding(pixels: Pixels, objects: Objects, encoder: Encoder, crops: Crops) -> Float16[Tensor, "o d"] | Masked:
    """A unit vector per object: of its axis-aligned box, clipped to the frame, without padding.

    Undefined for objects without an area (`unsupported_shape`, `degenerate_geometry`) and those outside their frame
    (`empty_region`).
    """
    regions = regions_of(objects, Sizes(pixels.width, pixels.height))
    frames = len(pixels.width)
    null = regions.null[frames:]
    rect = regions.rect.clone()
    rect[:frames] = 0  # the frames themselves are embedded elsewhere; an empty rectangle is not resized
    rgb = encoder.prepare(pixels, dataclasses.replace(regions, rect=rect), context=crops.context, mask=crops.mask)
    seen = null == 0
    vectors = torch.full((len(null), encoder.dim), torch.nan, dtype=torch.float16)
    vectors[seen] = encoder(rgb[frames:][seen.to(rgb.device)]).half()
    return Masked(vectors, null > 0, null)
