"""Annotation formats, one reader a file, and the listing of images."""

import importlib
from typing import Final

FORMATS: Final = ("coco",)
"""Modules of this package that declare a reader; no folder is ever scanned."""


def load_formats() -> None:
    """Declare every built-in annotation format."""
    for name in FORMATS:
        importlib.import_module(f"{__name__}.{name}")
