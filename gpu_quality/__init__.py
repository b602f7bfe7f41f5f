"""What is wrong with your images, your labels and your model: quality metrics in one pass over the data.

>>> import gpu_quality as gq
>>> gq.score(["a.jpg", "b.jpg"], metrics=["brightness", "sharpness"])  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "annotations",
    "GpuQualityError": "errors",
    "RunConfig": "config",
    "Store": "store.store",
    "balance": "api.views",
    "check": "api.check",
    "compare": "api.evaluate",
    "convert": "api.convert",
    "drift": "api.drift",
    "duplicates": "api.duplicates",
    "evaluate": "api.evaluate",
    "explain": "api",
    "feature": "registry",
    "find_weak_slices": "api.slices_weak",
    "importance": "api.importance",
    "metric": "registry",
    "open_dataset": "api",
    "open_store": "api",
    "outliers": "api.outliers",
    "performance": "api.performance",
    "reader": "registry",
    "report": "reports",
    "run": "api",
    "save_slice": "api.slices",
    "saved_slices": "api.slices",
    "scatter": "api.scatter",
    "score": "api",
    "search": "api.search",
    "select": "api.select",
    "writer": "registry",
}

__all__ = [  # noqa: PLE0604, RUF100
    "Dataset",
    "GpuQualityError",
    "RunConfig",
    "Store",
    "__version__",
    "balance",
    "check",
    "compare",
    "convert",
    "drift",
    "duplicates",
    "evaluate",
    "explain",
    "feature",
    "find_weak_slices",
    "importance",
    "metric",
    "open_dataset",
    "open_store",
    "outliers",
    "performance",
    "reader",
    "report",
    "run",
    "save_slice",
    "saved_slices",
    "scatter",
    "score",
    "search",
    "select",
    "writer",
]

if TYPE_CHECKING:
    from gpu_quality.annotations import Dataset
    from gpu_quality.api import explain, open_dataset, open_store, run, score
    from gpu_quality.api.check import check
    from gpu_quality.api.convert import convert
    from gpu_quality.api.drift import drift
    from gpu_quality.api.duplicates import duplicates
    from gpu_quality.api.evaluate import compare, evaluate
    from gpu_quality.api.importance import importance
    from gpu_quality.api.outliers import outliers
    from gpu_quality.api.performance import performance
    from gpu_quality.api.scatter import scatter
    from gpu_quality.api.search import search
    from gpu_quality.api.select import select
    from gpu_quality.api.slices import save_slice, saved_slices
    from gpu_quality.api.slices_weak import find_weak_slices
    from gpu_quality.api.views import balance
    from gpu_quality.config import RunConfig
    from gpu_quality.errors import GpuQualityError
    from gpu_quality.registry import feature, metric, reader, writer
    from gpu_quality.reports import report
    from gpu_quality.store.store import Store


def __getattr__(name: str) -> Any:
    """Load a public name, or a public module, on first use: importing the package stays quick."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"gpu_quality.{_HOMES[name]}"), name)
    if name in ("functional", "kernels", "errors", "analysis", "authoring", "evaluation"):
        return importlib.import_module(f"gpu_quality.{name}")
    raise AttributeError(f"module 'gpu_quality' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
