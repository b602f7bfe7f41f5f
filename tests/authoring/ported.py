"""Three metrics in the style of Encord Active, moved here by changing their import lines and nothing else."""

import numpy as np

from gpu_quality.authoring.iterator import Iterator
from gpu_quality.authoring.metric import AnnotationType, DataType, Metric, MetricType, SimpleMetric
from gpu_quality.authoring.writer import CSVMetricWriter


class BlueShare(SimpleMetric):
    def __init__(self):
        super().__init__(
            title="Blue Share",
            short_description="Share of the light that is blue.",
            long_description=r"""Blue over the sum of all channels, $\frac{B}{R+G+B}$.""",
            metric_type=MetricType.HEURISTIC,
            data_type=DataType.IMAGE,
            annotation_type=AnnotationType.NONE,
        )

    def execute(self, image: np.ndarray):
        return image[:, :, 0].sum() / max(image.sum(), 1)


class RelativeArea(Metric):
    def __init__(self):
        super().__init__(
            title="Relative Area",
            short_description="Share of the image that an object covers.",
            long_description="",
            doc_url="https://example.org/relative-area",
            metric_type=MetricType.GEOMETRIC,
            data_type=DataType.IMAGE,
            annotation_type=[AnnotationType.OBJECT.BOUNDING_BOX, AnnotationType.OBJECT.POLYGON],
        )

    def execute(self, iterator: Iterator, writer: CSVMetricWriter):
        valid_annotation_types = {annotation_type.value for annotation_type in self.metadata.annotation_type}
        if not iterator.project.ontology.objects:
            return
        for data_unit, _ in iterator.iterate(desc="Computing areas"):
            for obj in data_unit["labels"].get("objects", []):
                if obj["shape"] not in valid_annotation_types:
                    continue
                box = obj["boundingBox"]
                writer.write(box["w"] * box["h"], labels=obj, description=f"a {obj['value']}")


class Speed(Metric):
    """How far an object moved since the previous frame, in image widths."""

    def __init__(self):
        super().__init__(
            title="Speed",
            short_description="Distance to the same object one frame before.",
            long_description="",
            metric_type=MetricType.HEURISTIC,
            data_type=DataType.SEQUENCE,
            annotation_type=[AnnotationType.OBJECT.BOUNDING_BOX],
        )

    def execute(self, iterator: Iterator, writer: CSVMetricWriter):
        previous: dict = {}
        for data_unit, _ in iterator.iterate(desc="Following objects"):
            if iterator.label_rows[iterator.label_hash]["data_type"] != "video":
                continue
            if iterator.frame == 0:
                previous = {}
            now = {obj["objectHash"]: obj for obj in data_unit["labels"].get("objects", [])}
            for object_hash, obj in now.items():
                if object_hash in previous:
                    writer.write(abs(obj["boundingBox"]["x"] - previous[object_hash]["boundingBox"]["x"]), obj)
            previous = now
