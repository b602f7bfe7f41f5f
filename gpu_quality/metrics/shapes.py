"""Forms of polygons and masks: unlike others of their class, unlike themselves a moment ago; and the time labeling took."""

import torch
from jaxtyping import Float64, Int8, Int64
from torch import Tensor

from gpu_quality.features.tracks import masked, undefined
from gpu_quality.functional import moments, tracks
from gpu_quality.geometry import overlaps
from gpu_quality.registry import metric
from gpu_quality.types import KINDS, Masked, Objects

ANY = float("inf")


@metric(per="object", over="dataset", unit="standard deviations", bounds=(0.0, ANY), bad="high")
def shape_outlier(
    shape_moments: Float64[Tensor, "o 8"], objects: Objects, *, min_shapes: int = 5
) -> Float64[Tensor, " o"] | Masked:
    r"""How unlike the other outlines of its class an outline is: a wrong class, a slip of the mouse, or a rare view.

    .. math:: \lVert z_i - \overline{z}_{c_i} \rVert_2, \qquad z = f / \sigma(f), \quad f_k = \pm \log_{10}(1 + |h_k| / e_k)
    f is the log-scaled vector of Hu's seven invariants; place, size and turning do not matter. Each component is divided by its
    standard deviation over all polygons and masks; one that does not vary is left out.
    Range: 0 (as its class on average) and up. Null for other shapes and crowd regions, and in classes of fewer than 5 outlines.
    Depends on: all outlines of the same origin.
    Source: Encord Active, "Shape outlier" (1 / distance of raw moments there); moments of Hu, 1962.
    """
    null = _no_outline(shape_moments, objects)
    known = (null == 0).nonzero().flatten()
    classes = objects.class_id.long()
    _, own, count = torch.unique(classes[known], return_inverse=True, return_counts=True)
    few = torch.zeros(len(objects), dtype=torch.bool)
    few[known] = count[own] < min_shapes
    value = torch.zeros(len(objects), dtype=torch.float64)
    if len(known):
        value[known] = moments.distance_to_center(
            moments.log_scaled(moments.hu_invariants(shape_moments[known])), classes[known]
        )
    return masked(value, undefined(null, (few, "too_few_samples")))


@metric(per="object", over="sequence", unit="similarity", bounds=(0.0, 1.0), bad="low")
def polygon_shape_similarity(
    shape_moments: Float64[Tensor, "o 8"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    position: Int64[Tensor, " n"],
    track: Int64[Tensor, " o"],
) -> Float64[Tensor, " o"] | Masked:
    r"""How much an outline looks like the same tracked object a moment before; low where the outline jumps.

    .. math:: \frac{1}{1 + \sum_k |m_k - f_k|}, \qquad m \leftarrow (m + f) / 2 \text{ afterwards}
    f is the log-scaled Hu vector of shape_outlier, m the fading mean of those before it in the same sequence and track.
    Range: above 0 to 1; 1 for the first of a track. Null without track, for boxes, lines, points and crowd regions.
    Depends on: form alone, not on place, size or turning.
    Source: Encord Active, "Polygon Shape Similarity" (cosine of raw moments there, see polygon_shape_similarity_raw).
    """
    null, rows, group = _tracked(shape_moments, objects, sequence, position, track)
    vector = moments.log_scaled(moments.hu_invariants(shape_moments[rows]))
    value = torch.ones(len(objects), dtype=torch.float64)
    value[rows] = moments.compared_with_past(vector, group, moments.similarity)
    return masked(value, null)


@metric(per="object", over="sequence", unit="similarity", bounds=(-1.0, 1.0), bad="low")
def polygon_shape_similarity_raw(
    shape_moments: Float64[Tensor, "o 8"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    position: Int64[Tensor, " n"],
    track: Int64[Tensor, " o"],
) -> Float64[Tensor, " o"] | Masked:
    r"""The shape similarity as Encord Active defines it, to compare with; it hardly tells any two shapes apart.

    .. math:: \cos(m, h), \qquad m \leftarrow (m + h) / 2 \text{ afterwards}
    h holds Hu's seven invariants of the shape filled with 255; the first of them outweighs the others a thousandfold.
    Range: -1 to 1, in practice .9999 to 1; 1 for the first of a track. Null as for polygon_shape_similarity, and where a mask
    of one pixel is compared, whose h is 0 (degenerate_geometry).
    Depends on: form alone.
    Source: Encord Active, "Polygon Shape Similarity" (tracks over all videos there).
    """
    null, rows, group = _tracked(shape_moments, objects, sequence, position, track)
    hu = moments.hu_invariants(shape_moments[rows], moments.FULL)
    value = torch.ones(len(objects), dtype=torch.float64)
    value[rows] = moments.compared_with_past(hu, group, moments.cosine)
    return masked(value, undefined(null, (value.isnan(), "degenerate_geometry")))


@metric(per="object", over="dataset", unit="second", bounds=(0.0, ANY), bad="high")
def annotation_time(annotation_seconds: Float64[Tensor, " o"]) -> Float64[Tensor, " o"] | Masked:
    r"""How long it took to label an object.

    .. math:: \sum t
    Range: 0 and up; null where the label file holds no time (Encord Active writes 0).
    Depends on: what the labeling tool logs; all entries of an object are added.
    Source: Encord Active, "Annotation Time".
    """
    return Masked(annotation_seconds, annotation_seconds.isnan(), "no_metadata")


def _no_outline(shape_moments: Float64[Tensor, "o 8"], objects: Objects) -> Int8[Tensor, " o"]:
    """Why an object has no form: it is no polygon or mask, or holds no area."""
    kind = torch.from_numpy(overlaps.kinds(objects))
    outlined = (kind == KINDS.index("polygon")) | (kind == KINDS.index("mask"))
    area = shape_moments[:, 0]
    return undefined(
        torch.zeros(len(objects), dtype=torch.int8),
        (~outlined | objects.crowd, "unsupported_shape"),
        (area.isnan(), "no_metadata"),
        (area == 0, "degenerate_geometry"),
    )


def _tracked(
    shape_moments: Float64[Tensor, "o 8"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    position: Int64[Tensor, " n"],
    track: Int64[Tensor, " o"],
) -> tuple[Int8[Tensor, " o"], Int64[Tensor, " k"], Int64[Tensor, " k"]]:
    """Why objects have no value; the rows that have one, in order of time; and the track each of these belongs to."""
    null = _no_outline(shape_moments, objects)
    group = tracks.track_groups(sequence[objects.frame], track, null == 0)
    null = undefined(null, (group < 0, "no_track"))
    order = tracks.windows(sequence, position).order[objects.frame]
    rows = torch.sort(order, stable=True).indices
    rows = rows[group[rows] >= 0]
    return null, rows, group[rows]
