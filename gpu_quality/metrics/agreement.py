"""Whether labels agree with what things look like: of objects by their crops, of answers about frames by the frames."""

from jaxtyping import Float64, Int8, Int64
from torch import Tensor

from gpu_quality.features.comparable import Comparable
from gpu_quality.features.tracks import masked, undefined
from gpu_quality.functional import association
from gpu_quality.functional.association import Agreement
from gpu_quality.registry import metric
from gpu_quality.types import Answers, Masked

ANY = float("inf")


@metric(per="object", over="dataset", unit="fraction", bounds=(0.0, 1.0), bad="low")
def object_annotation_quality(
    comparable_objects: Comparable, *, k: int = 9, same_image: bool = False, exact_duplicates: bool = False
) -> Float64[Tensor, " o"] | Masked:
    r"""How many of the objects that look most like this one have its class: low where the label may be wrong.

    .. math:: \frac1k \#\lbrace j \in N_k(i) : c_j = c_i \rbrace
    N are the nearest crops of the same origin. Crops of the same video are none; nor are those of the same frame or of an exact
    copy of it, unless `same_image` or `exact_duplicates` is set. Where there are fewer than 9, all of them are asked.
    Range: 0 to 1; object_majority_class says what the neighbors are. Null without a neighbor or a crop.
    Depends on: the encoder, and on the labels of the other objects; rare classes score low.
    Source: Encord Active, "Object Annotation Quality" (approximate neighbors there).
    """
    found, null = _of_objects(comparable_objects, k, same_image=same_image, exact_duplicates=exact_duplicates)
    return masked(found.value, null)


@metric(per="object", over="dataset", unit="category")
def object_majority_class(
    comparable_objects: Comparable, *, k: int = 9, same_image: bool = False, exact_duplicates: bool = False
) -> Int64[Tensor, " o"] | Masked:
    r"""What most of the objects that look like this one are: the class to try where the label is wrong.

    .. math:: \arg\max_c \#\lbrace j \in N_k(i) : c_j = c \rbrace
    Neighbors and options are those of object_annotation_quality.
    Range: the row of a class, the lowest of equally frequent ones. Null without a neighbor or a crop.
    Depends on: the encoder, and on the labels of the other objects.
    Source: Encord Active, "Object Annotation Quality", its description.
    """
    found, null = _of_objects(comparable_objects, k, same_image=same_image, exact_duplicates=exact_duplicates)
    return masked(found.majority, null)


@metric(per="object", over="dataset", unit="category", bounds=(0, 2), bad="high")
def object_annotation_verdict(
    comparable_objects: Comparable, *, k: int = 9, same_image: bool = False, exact_duplicates: bool = False
) -> Int64[Tensor, " o"] | Masked:
    r"""What the neighbors say about the class of an object: 0 they are at odds, 1 it is right, 2 it is another.

    .. math:: 0 \text{ if } v \le \lfloor 0.6 k \rfloor, \quad 1 \text{ if } \hat{c} = c_i, \quad 2 \text{ else}
    v neighbors have the most frequent class, which is the object_majority_class. Neighbors and options are those of
    object_annotation_quality.
    Range: 0, 1 or 2. Null without a neighbor or a crop.
    Depends on: the encoder, and on the labels of the other objects.
    Source: Encord Active, "Object Annotation Quality", its description.
    """
    found, null = _of_objects(comparable_objects, k, same_image=same_image, exact_duplicates=exact_duplicates)
    return masked(found.verdict, null)


@metric(per="object", over="dataset", unit="bit", bounds=(0.0, ANY), bad="high")
def neighbor_entropy(
    comparable_objects: Comparable, *, k: int = 9, same_image: bool = False, exact_duplicates: bool = False
) -> Float64[Tensor, " o"] | Masked:
    r"""How mixed the classes of the objects are that look like this one: high where classes are hard to tell apart.

    .. math:: -\sum_c p_c \log_2 p_c, \qquad p_c = \frac1k \#\lbrace j \in N_k(i) : c_j = c \rbrace
    Neighbors and options are those of object_annotation_quality.
    Range: 0 (all of one class) to 3.17 (nine classes). Null without a neighbor or a crop.
    Depends on: the encoder, and on the labels of the other objects.
    """
    found, null = _of_objects(comparable_objects, k, same_image=same_image, exact_duplicates=exact_duplicates)
    return masked(found.entropy, null)


@metric(per="object", over="dataset", unit="ratio", bounds=(0.0, ANY), bad="high")
def label_error_ratio(comparable_objects: Comparable) -> Float64[Tensor, " o"] | Masked:
    r"""Whether an object looks more like other classes than like its own: from 1 on its label may be wrong.

    .. math:: \frac{\operatorname{mean}_{j \in N_k^{\,c = c_i}} \lVert x_i - x_j \rVert}
              {\operatorname{mean}_{j \in N_k^{\,c \ne c_i}} \lVert x_i - x_j \rVert}, \qquad k = \min(50, |c_i| - 1)
    N are the nearest crops of the same origin, those of the same frame among them. Means below 1e-12 count as that, two of them
    give 1: where only another class has exact copies of a crop, as two classes on one box do, the ratio reaches 1e12.
    Range: 0 and up, usually .5 to 1.5. Null for the only object of its class, where there is one class, and without a crop.
    Depends on: the encoder, and on the labels of the other objects.
    Source: DataEval, "label errors" (one k for all there, of the smallest class).
    """
    return _error_ratio(comparable_objects)


@metric(per="classification", over="dataset", unit="fraction", bounds=(0.0, 1.0), bad="low")
def image_annotation_quality(
    comparable_answers: Comparable, answers: Answers, *, k: int = 9, exact_duplicates: bool = False
) -> Float64[Tensor, " c"] | Masked:
    r"""How many of the frames that look most like this one have the same answer: low where the answer may be wrong.

    .. math:: \frac1k \#\lbrace j \in N_k(i) : a_j = a_i \rbrace
    N are the nearest frames with an answer of the same origin to the same question. Frames of the same video are none, nor are
    exact copies unless `exact_duplicates` is set. Where there are fewer than 9, all of them are asked.
    Range: 0 to 1. Null without a neighbor, for answers about objects, and for checklists: questions to which some frame has
    two answers of one origin (unsupported_shape).
    Depends on: the encoder, and on the other answers; rare answers score low.
    Source: Encord Active, "Image-level Annotation Quality" (more than 10 frames needed there).
    """
    found, null = _of_answers(comparable_answers, answers, k, exact_duplicates=exact_duplicates)
    return masked(found.value, null)


@metric(per="classification", over="dataset", unit="category")
def image_majority_class(
    comparable_answers: Comparable, answers: Answers, *, k: int = 9, exact_duplicates: bool = False
) -> Int64[Tensor, " c"] | Masked:
    r"""What most of the frames that look like this one are said to be.

    .. math:: \arg\max_a \#\lbrace j \in N_k(i) : a_j = a \rbrace
    Neighbors and options are those of image_annotation_quality.
    Range: the row of a class, the lowest of equally frequent ones. Null as for image_annotation_quality.
    Depends on: the encoder, and on the other answers.
    Source: Encord Active, "Image-level Annotation Quality", its description.
    """
    found, null = _of_answers(comparable_answers, answers, k, exact_duplicates=exact_duplicates)
    return masked(found.majority, null)


@metric(per="classification", over="dataset", unit="bit", bounds=(0.0, ANY), bad="high")
def image_neighbor_entropy(
    comparable_answers: Comparable, answers: Answers, *, k: int = 9, exact_duplicates: bool = False
) -> Float64[Tensor, " c"] | Masked:
    r"""How mixed the answers of the frames are that look like this one.

    .. math:: -\sum_a p_a \log_2 p_a, \qquad p_a = \frac1k \#\lbrace j \in N_k(i) : a_j = a \rbrace
    Neighbors and options are those of image_annotation_quality.
    Range: 0 (all alike) to 3.17 (nine answers). Null as for image_annotation_quality.
    Depends on: the encoder, and on the other answers.
    """
    found, null = _of_answers(comparable_answers, answers, k, exact_duplicates=exact_duplicates)
    return masked(found.entropy, null)


@metric(per="classification", over="dataset", unit="ratio", bounds=(0.0, ANY), bad="high")
def image_label_error_ratio(comparable_answers: Comparable) -> Float64[Tensor, " c"] | Masked:
    r"""Whether a frame looks more like frames with other answers than like those with its own: from 1 on look at it.

    .. math:: \frac{\operatorname{mean}_{j \in N_k^{\,a = a_i}} \lVert x_i - x_j \rVert}
              {\operatorname{mean}_{j \in N_k^{\,a \ne a_i}} \lVert x_i - x_j \rVert}, \qquad k = \min(50, |a_i| - 1)
    N are the nearest frames with an answer of the same origin to the same question.
    Range: 0 and up, usually .5 to 1.5. Null for the only frame with an answer, where all answers are equal, and as for
    image_annotation_quality.
    Depends on: the encoder, and on the other answers.
    Source: DataEval, "label errors".
    """
    return _error_ratio(comparable_answers)


def _of_objects(items: Comparable, k: int, *, same_image: bool, exact_duplicates: bool) -> tuple[Agreement, Int8[Tensor, " o"]]:
    names = {"sequence": True, "frame": not same_image, "copy": not exact_duplicates}
    return _support(items, items.class_id, k, tuple(name for name, apart in names.items() if apart))


def _of_answers(items: Comparable, answers: Answers, k: int, *, exact_duplicates: bool) -> tuple[Agreement, Int8[Tensor, " c"]]:
    return _support(items, answers.class_id, k, ("sequence",) if exact_duplicates else ("sequence", "copy"))


def _support(
    items: Comparable, class_id: Int64[Tensor, " i"], k: int, apart: tuple[str, ...]
) -> tuple[Agreement, Int8[Tensor, " i"]]:
    """What the neighbors say, and why they say nothing."""
    found = association.agreement(items.nearest(k, apart).row, class_id)
    return found, undefined(items.null, (found.missing, "no_neighbors"))


def _error_ratio(items: Comparable) -> Masked:
    found = items.by_class()
    value, missing = association.label_error_ratio(found.own.distance, found.other.distance, found.size)
    return masked(value, undefined(items.null, (missing, "no_neighbors")))
