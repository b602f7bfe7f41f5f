"""Annotation formats, one reader a file, and the listing of images."""

import importlib
from typing import Final

FORMATS: Final = (
    *("encord", "panoptic", "labelbox", "coco", "voc", "cvat"),
    *("yolo", "kitti", "mot", "dota", "openimages", "table", "imagefolder", "boxes_txt"),
)
"""Modules of this package that declare a reader, in the order in which they are asked whether they know a path; no folder is
ever scanned."""


def load_formats() -> None:
    """Declare every built-in annotation format."""
    for name in FORMATS:
        importlib.import_module(f"{__name__}.{name}")
