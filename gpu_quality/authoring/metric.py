"""The two base classes of class-form metrics, and the facts they state about themselves."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpu_quality.authoring.names import slug
from gpu_quality.authoring.types import (
    AnnotationType,
    AnnotationTypeUnion,
    ClassificationType,
    DataType,
    EmbeddingType,
    MetricType,
    ObjectShape,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpu_quality.authoring.iterator import Iterator
    from gpu_quality.authoring.writer import CSVMetricWriter

__all__ = [
    "AnnotationType",
    "ClassificationType",
    "DataType",
    "EmbeddingType",
    "Metric",
    "MetricMetadata",
    "MetricType",
    "ObjectShape",
    "SimpleMetric",
]

Annotations = AnnotationTypeUnion | Sequence[AnnotationTypeUnion] | None


@dataclass(frozen=True, slots=True)
class MetricMetadata:
    """What a metric says about itself; the long description may hold Markdown and math."""

    title: str
    short_description: str
    long_description: str
    metric_type: MetricType
    data_type: DataType
    annotation_type: list[AnnotationTypeUnion]
    embedding_type: EmbeddingType | None
    doc_url: str

    def get_unique_name(self, origin: str = "") -> str:
        """Stem of the metric's files: eight hexadecimal digits of what it says, and its title's slug."""
        said = "\n".join((self.title, self.short_description, self.long_description, origin))
        return f"{hashlib.sha256(said.encode()).hexdigest()[:8]}_{slug(self.title)}"

    def as_json(self) -> dict[str, Any]:
        """The facts as JSON can hold them."""
        return {
            "title": self.title,
            "short_description": self.short_description,
            "long_description": self.long_description,
            "metric_type": str(self.metric_type),
            "data_type": str(self.data_type),
            "annotation_type": [str(kind) for kind in self.annotation_type],
            "embedding_type": None if self.embedding_type is None else str(self.embedding_type),
            "doc_url": self.doc_url,
        }


class _Described:
    """Holds the facts; a subclass hands them to ``super().__init__``."""

    def __init__(
        self,
        title: str,
        short_description: str,
        long_description: str,
        metric_type: MetricType,
        data_type: DataType,
        annotation_type: Annotations = None,
        embedding_type: EmbeddingType | None = None,
        doc_url: str = "",
    ) -> None:
        kinds = [annotation_type] if isinstance(annotation_type, ObjectShape | ClassificationType) else annotation_type
        self.metadata = MetricMetadata(
            title,
            short_description,
            long_description,
            MetricType(metric_type),
            DataType(data_type),
            list(kinds or ()),
            embedding_type,
            doc_url,
        )


class Metric(_Described, ABC):
    """A metric that walks the data itself: as often as it likes, with memory of what it saw."""

    @abstractmethod
    def execute(self, iterator: "Iterator", writer: "CSVMetricWriter") -> None:
        """Walk ``iterator.iterate(desc=…)`` and call ``writer.write(score)`` or ``writer.write(score, labels=obj)``."""


class SimpleMetric(_Described, ABC):
    """A metric of one image at a time; all simple metrics of a call share one pass over the images."""

    @abstractmethod
    def execute(self, image: "NDArray[np.uint8]") -> Any:
        """The score of one image, an array of height x width x 3 in the channel order blue, green, red; None for no score."""
