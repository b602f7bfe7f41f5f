"""A metric as a class: `python configs/examples/box_height.py OUT`, or `gpu-quality metric run` with this file and OUT."""

import sys
from pathlib import Path

from gpu_quality.authoring.execute import execute_metrics
from gpu_quality.authoring.iterator import Iterator
from gpu_quality.authoring.metric import Metric
from gpu_quality.authoring.types import AnnotationType, DataType, MetricType
from gpu_quality.authoring.writer import CSVMetricWriter


class BoxHeight(Metric):
    """Height of every box as a share of its frame."""

    def __init__(self) -> None:
        super().__init__(
            title="Box Height",
            short_description="Height of a box as a share of the frame's height.",
            long_description=r"For a box $b$ in a frame of height $H$: $$\frac{b_{y1} - b_{y0}}{H}$$",
            metric_type=MetricType.GEOMETRIC,
            data_type=DataType.IMAGE,
            annotation_type=[AnnotationType.OBJECT.BOUNDING_BOX],
        )

    def execute(self, iterator: Iterator, writer: CSVMetricWriter) -> None:
        """Write one score per box."""
        for data_unit, _ in iterator.iterate(desc="Measuring boxes"):
            for obj in data_unit["labels"].get("objects", []):
                if obj["shape"] == AnnotationType.OBJECT.BOUNDING_BOX:
                    writer.write(obj["boundingBox"]["h"], labels=obj, description="drawn box")


if __name__ == "__main__":
    execute_metrics([BoxHeight()], data_dir=Path(sys.argv[1]))
