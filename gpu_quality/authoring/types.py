"""What a class-form metric says about itself: its kind, the data it looks at, and the annotations it scores."""

from enum import StrEnum
from typing import ClassVar


class ObjectShape(StrEnum):
    """Shapes of objects; the values are what ``obj["shape"]`` holds."""

    POLYGON = "polygon"
    POLYLINE = "polyline"
    BOUNDING_BOX = "bounding_box"
    KEY_POINT = "point"
    SKELETON = "skeleton"
    ROTATABLE_BOUNDING_BOX = "rotatable_bounding_box"
    BITMASK = "bitmask"


class ClassificationType(StrEnum):
    """Kinds of questions about a frame."""

    RADIO = "radio"
    TEXT = "text"
    CHECKLIST = "checklist"


AnnotationTypeUnion = ObjectShape | ClassificationType


class AnnotationType:
    """The annotations a metric scores: ``AnnotationType.OBJECT.POLYGON``, a list of such, ``NONE`` or ``ALL``."""

    NONE: ClassVar[list[AnnotationTypeUnion]] = []
    OBJECT = ObjectShape
    CLASSIFICATION = ClassificationType
    ALL: ClassVar[list[AnnotationTypeUnion]] = [*ObjectShape, *ClassificationType]


class MetricType(StrEnum):
    """What a metric's number comes from: the content, the geometry, or a rule of thumb."""

    SEMANTIC = "semantic"
    GEOMETRIC = "geometric"
    HEURISTIC = "heuristic"


class DataType(StrEnum):
    """Whether a metric looks at each image alone or at a sequence."""

    IMAGE = "image"
    SEQUENCE = "sequence"


class EmbeddingType(StrEnum):
    """The embedding a metric is computed from."""

    CLASSIFICATION = "classification"
    OBJECT = "object"
    HU_MOMENTS = "hu_moments"
    IMAGE = "image"
