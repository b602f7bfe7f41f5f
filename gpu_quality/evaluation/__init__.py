"""Labels against predictions: one matching, many protocols. Tensors in, figures out; no file is opened here.

>>> from gpu_quality.evaluation import Evaluator  # in a training loop: update(preds, target), compute(), merge(other)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_quality.evaluation.cocoeval import COCOeval
    from gpu_quality.evaluation.evaluator import Evaluator
    from gpu_quality.evaluation.protocol import EvaluationProtocol, protocol_named

_HOMES = {"COCOeval": "cocoeval", "EvaluationProtocol": "protocol", "Evaluator": "evaluator", "protocol_named": "protocol"}
__all__ = ["COCOeval", "EvaluationProtocol", "Evaluator", "protocol_named"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"gpu_quality.evaluation.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'gpu_quality.evaluation' has no attribute {name!r}")
