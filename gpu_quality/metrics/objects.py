"""How many objects a frame has, how large they are, where they lie, and which of them repeat each other."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.features.objects import Overlap
from gpu_quality.functional import shapes
from gpu_quality.registry import metric
from gpu_quality.types import Masked, Objects, Sizes

ANY = float("inf")


@metric(unit="objects", bounds=(0, ANY))
def object_count(objects: Objects, sizes: Sizes) -> Int64[Tensor, " b"]:
    r"""How many objects a frame has.

    .. math:: \#\lbrace o \rbrace
    Range: 0 and up; every shape counts, a crowd region counts 1.
    Depends on: who labels, or the score threshold of a detector.
    Source: Encord Active, "Object Count".
    """
    return torch.bincount(objects.frame, minlength=len(sizes.width))


@metric(unit="fraction", bounds=(0.0, 1.0))
def object_density(covered_area: Float64[Tensor, " b"], sizes: Sizes) -> Float64[Tensor, " b"]:
    r"""How much of a frame lies inside at least one object.

    .. math:: \frac{1}{W H} \Big| \bigcup_o o \Big|
    Range: 0 (no objects) to 1.
    Depends on: the shapes: boxes and polygons are exact, a frame with a mask is counted in pixels.
    Source: Encord Active, "Frame object density" (100 times this).
    """
    return (covered_area / (sizes.width.double() * sizes.height.double())).clamp(max=1)


@metric(per="object", unit="pixel²", bounds=(0.0, ANY), bad="low")
def object_area(shape_area: Float64[Tensor, " o"]) -> Float64[Tensor, " o"] | Masked:
    r"""How large an object is in the picture.

    .. math:: |o|
    Range: 0 and up, not clipped to the frame; null for lines, points and keypoints.
    Depends on: resolution.
    Source: Encord Active, "Object Area - Absolute" (truncated there).
    """
    return Masked(shape_area, shape_area.isnan(), "unsupported_shape")


@metric(per="object", unit="fraction", bounds=(0.0, ANY), bad="low")
def object_area_relative(shape_area: Float64[Tensor, " o"], objects: Objects, sizes: Sizes) -> Float64[Tensor, " o"] | Masked:
    r"""How large an object is compared with its frame.

    .. math:: \frac{|o|}{W H}
    Range: 0 to 1, more where it reaches out of the frame; null for lines, points and keypoints.
    Depends on: nothing but the two areas.
    Source: Encord Active, "Object Area - Relative" (100 times this).
    """
    w, h = shapes.frame_sides(objects, sizes)
    return Masked(shape_area / (w * h), shape_area.isnan(), "unsupported_shape")


@metric(per="object", unit="pixel", bounds=(0.0, ANY), bad="low")
def object_width(objects: Objects) -> Float64[Tensor, " o"]:
    r"""How wide an object is.

    .. math:: x_2 - x_1
    Range: 0 and up; of a rotated box its own first side.
    Depends on: resolution.
    Source: fastdup and Encord's cloud, "width".
    """
    return shapes.sides(objects)[0]


@metric(per="object", unit="pixel", bounds=(0.0, ANY), bad="low")
def object_height(objects: Objects) -> Float64[Tensor, " o"]:
    r"""How high an object is.

    .. math:: y_2 - y_1
    Range: 0 and up; of a rotated box its own second side.
    Depends on: resolution.
    Source: fastdup and Encord's cloud, "height".
    """
    return shapes.sides(objects)[1]


@metric(per="object", unit="ratio", bounds=(0.0, ANY))
def object_aspect_ratio(objects: Objects) -> Float64[Tensor, " o"] | Masked:
    r"""Width over height of an object: above 1 lies, below 1 stands.

    .. math:: \frac{x_2 - x_1}{y_2 - y_1}
    Range: 0 and up; null where the height is 0.
    Depends on: nothing but the two sides; of a rotated box its own sides.
    Source: Encord Active, "Object Aspect Ratio" (whole pixels there).
    """
    w, h = shapes.sides(objects)
    return Masked(w / h, h == 0, "degenerate_geometry")


@metric(per="object", unit="pixel")
def object_offset_x(objects: Objects) -> Float64[Tensor, " o"]:
    r"""Where an object starts from the left.

    .. math:: x_1
    Range: 0 to W; below 0 where it reaches out of the frame.
    Depends on: resolution.
    Source: DataEval, "offset_x".
    """
    return objects.box[:, 0]


@metric(per="object", unit="pixel")
def object_offset_y(objects: Objects) -> Float64[Tensor, " o"]:
    r"""Where an object starts from the top.

    .. math:: y_1
    Range: 0 to H; below 0 where it reaches out of the frame.
    Depends on: resolution.
    Source: DataEval, "offset_y".
    """
    return objects.box[:, 1]


@metric(per="object", unit="pixel")
def object_center_x(objects: Objects) -> Float64[Tensor, " o"]:
    r"""How far the center of an object lies from the left.

    .. math:: (x_1 + x_2) / 2
    Range: 0 to W where the center is inside the frame.
    Depends on: resolution.
    Source: DataEval, "center".
    """
    return (objects.box[:, 0] + objects.box[:, 2]) / 2


@metric(per="object", unit="pixel")
def object_center_y(objects: Objects) -> Float64[Tensor, " o"]:
    r"""How far the center of an object lies from the top.

    .. math:: (y_1 + y_2) / 2
    Range: 0 to H where the center is inside the frame.
    Depends on: resolution.
    Source: DataEval, "center".
    """
    return (objects.box[:, 1] + objects.box[:, 3]) / 2


@metric(per="object", unit="pixel", bounds=(0.0, ANY))
def center_distance(objects: Objects, sizes: Sizes) -> Float64[Tensor, " o"]:
    r"""How far the center of an object lies from the center of the frame.

    .. math:: \sqrt{(c_x - W/2)^2 + (c_y - H/2)^2}
    Range: 0 (in the middle) and up.
    Depends on: resolution.
    Source: DataEval, "distance_center".
    """
    return shapes.center_distance(objects, sizes)


@metric(per="object", unit="pixel", bounds=(0.0, ANY), bad="low")
def edge_distance(objects: Objects, sizes: Sizes) -> Float64[Tensor, " o"]:
    r"""How far an object keeps from the nearest side of the frame.

    .. math:: \min(|x_1|, |y_1|, |W - x_2|, |H - y_2|)
    Range: 0 (touches) and up.
    Depends on: resolution.
    Source: DataEval, "distance_edge".
    """
    return shapes.edge_distance(objects, sizes)


@metric(per="object", unit="ratio", bounds=(0.5, ANY), bad="high")
def border_closeness(objects: Objects, sizes: Sizes) -> Float64[Tensor, " o"]:
    r"""How close an object comes to the border of the frame: cut-off objects have 1 or more.

    .. math:: \max(x_2 / W,\ y_2 / H,\ 1 - x_1 / W,\ 1 - y_1 / H)
    Range: 0.5 (a point in the middle) to 1 (touches), more where it reaches out of the frame.
    Depends on: the outermost points only; every shape has a value.
    Source: Encord Active, "Annotation closeness to image borders" (equal).
    """
    return shapes.border_closeness(objects, sizes)


@metric(per="object", unit="IoU", bounds=(0.0, 1.0), bad="high")
def annotation_duplicate(same_class_overlap: Overlap) -> Float64[Tensor, " o"] | Masked:
    r"""How much an object coincides with another of its class in the frame: the same thing may be labeled twice.

    .. math:: \max_{p \ne o,\ c_p = c_o} \frac{|o \cap p|}{|o \cup p|}
    Range: 0 (alone) to 1; above 0.6 look at it. 0 for crowd regions; null for lines, points and keypoints.
    Depends on: shapes of labels with labels, of predictions with predictions of the same set.
    Source: Encord Active, "Annotation Duplicates" (one row per pair there).
    """
    return Masked(same_class_overlap.iou, same_class_overlap.iou.isnan(), "unsupported_shape")


@metric(per="object", unit="position")
def annotation_duplicate_of(same_class_overlap: Overlap, objects: Objects) -> Int64[Tensor, " o"] | Masked:
    r"""With which object of the frame annotation_duplicate was found.

    .. math:: \arg\max_{p \ne o,\ c_p = c_o} \frac{|o \cap p|}{|o \cup p|}
    Range: its position among the objects of the same frame and origin, from 0; the first on ties. Null where none overlaps.
    Depends on: the order of the objects.
    Source: Encord Active, "Annotation Duplicates".
    """
    position = shapes.position_in_frame(objects)
    partner = same_class_overlap.partner
    return Masked(position[partner.clamp(min=0)], partner < 0, "no_match")


@metric(per="object", unit="IoU", bounds=(0.0, 1.0), bad="high")
def annotation_duplicate_any_class(any_class_overlap: Overlap) -> Float64[Tensor, " o"] | Masked:
    r"""How much an object coincides with another of any class in the frame: one thing may have two classes.

    .. math:: \max_{p \ne o} \frac{|o \cap p|}{|o \cup p|}
    Range: 0 (alone) to 1; above 0.95 look at it. 0 for crowd regions; null for lines, points and keypoints.
    Depends on: shapes of labels with labels, of predictions with predictions of the same set.
    Source: Encord Active 2, "max_iou".
    """
    return Masked(any_class_overlap.iou, any_class_overlap.iou.isnan(), "unsupported_shape")
