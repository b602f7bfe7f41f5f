"""The verbs of metrics of one's own in class form, and of values computed elsewhere."""

import inspect
import sys
from pathlib import Path

from gpu_quality import registry
from gpu_quality.api.progress import Progress
from gpu_quality.authoring.execute import Done, execute_metrics
from gpu_quality.authoring.importing import Imported, import_values
from gpu_quality.authoring.iterator import DatasetIterator, PredictionIterator
from gpu_quality.authoring.metric import Metric, SimpleMetric
from gpu_quality.errors import MetricError, UsageError

__all__ = ["Done", "Imported", "import_file", "run_file"]


def run_file(
    file: str | Path, data_dir: str | Path, progress: Progress, *, origin: str | None = None, replace: bool = False
) -> list[Done]:
    """Run every `Metric` and `SimpleMetric` that a Python file defines, on labels or on the prediction set `origin`.

    Classes that need arguments are passed over. Raises `UsageError` where the file has none, and what the metrics raise.
    """
    metrics = [metric for kind in _classes(Path(file)) if (metric := _made(kind, file, progress)) is not None]
    if not metrics:
        raise UsageError(
            f"{file} defines no Metric or SimpleMetric that can be made without arguments",
            hint="functions with @gq.metric are run by `gpu-quality run … --plugin FILE`",
        )
    walk = DatasetIterator if origin is None else PredictionIterator
    return execute_metrics(metrics, Path(data_dir), walk, origin=origin, replace=replace, progress=progress)


def _made(kind: type, file: str | Path, progress: Progress) -> Metric | SimpleMetric | None:
    """A metric of a class that takes no arguments; None, and a remark, for one that does."""
    parameters = inspect.signature(kind).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed:
        progress.say(f"{kind.__name__} is passed over: it needs {', '.join(needed)}")
        return None
    try:
        metric: Metric | SimpleMetric = kind()
    except Exception as error:
        raise MetricError(f"{kind.__name__} of {file} cannot be made: {type(error).__name__}: {error}") from error
    return metric


def _classes(file: Path) -> list[type]:
    """The finished metric classes a file defines, in its order; those it only imports are not its own."""
    digest = registry.load_plugin(file)
    name = f"gpu_quality_plugin_{file.stem}_{digest[:8]}"
    found = [value for value in vars(sys.modules[name]).values() if inspect.isclass(value) and value.__module__ == name]
    return [kind for kind in found if issubclass(kind, Metric | SimpleMetric) and not inspect.isabstract(kind)]


def import_file(out: str | Path, file: str | Path, *, replace: bool = False) -> Imported:
    """Store the values of a CSV or NDJSON file: columns of frames and objects, aggregates of the rest."""
    return import_values(Path(out), Path(file), replace=replace)
