"""The verbs behind the command line and Python. Each opens a store or a source, calls one floor, and returns a value."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_quality.annotations import Dataset
from gpu_quality.api import inputs
from gpu_quality.api.embedding import semantics
from gpu_quality.api.progress import Progress, Silent
from gpu_quality.api.running import build_plan, load_plugins, run_config
from gpu_quality.api.scoring import score
from gpu_quality.api.state import state as status
from gpu_quality.config import RunConfig, Source
from gpu_quality.data.arrow_frames import FrameTable, is_table, tables_as_files
from gpu_quality.store.store import Store

__all__ = ["configure", "explain", "load_plugins", "open_dataset", "open_store", "run", "score", "status"]

Images = str | Path
Annotations = str | Path | Mapping[str, str]


def configure(
    source: Images | RunConfig | None,
    *,
    out: str | Path | None = None,
    labels: Annotations | None = None,
    predictions: Mapping[str, Annotations] | None = None,
    metrics: Sequence[str | Mapping[str, object]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """A checked configuration from a YAML file or images, with what is given here put over it.

    `settings` holds further keys of the configuration, nested as in YAML: ``{"engine": {"kind": "inline"}}``. Raises
    `ConfigError`, `UsageError`.
    """
    if isinstance(source, RunConfig):
        base = source
    elif source is not None and str(source).endswith((".yaml", ".yml")):
        base = RunConfig.load(Path(source))
    else:
        base = RunConfig(source=Source(images=None if source is None else str(source)))
    values = base.model_dump()
    if labels is not None:
        values["source"]["labels"] = _annotations(labels)
    if predictions is not None:
        values["source"]["predictions"] = {name: _annotations(path) for name, path in predictions.items()}
    if metrics is not None:
        values["metrics"] = metrics if metrics == "default" else [metrics] if isinstance(metrics, str) else list(metrics)
    if out is not None:
        values["out"] = str(out)
    return RunConfig.of(_merged(values, settings or {}), where="the run's settings")


def run(
    source: Any = None,
    *,
    out: str | Path | None = None,
    labels: Any = None,
    predictions: Mapping[str, Any] | None = None,
    metrics: Sequence[str | Mapping[str, object]] | None = None,
    settings: Mapping[str, Any] | None = None,
    plugins: Sequence[str | Path] = (),
    progress: Progress | None = None,
    replace: bool = False,
    retry_errors: bool = False,
) -> Store:
    """Score images into a store and return it; the same call again resumes, and a finished store is left as it is.

    `source` is a folder, a glob, a list file, an archive, a table file, a video, an address, a YAML configuration, a
    `RunConfig`, a torch data set of images, or a table in memory (pandas, Polars, PyArrow) with a column of images or of their
    paths; labels and predictions may be such tables too. `replace` retires columns that mean something else, `retry_errors`
    gives frames that timed out or crashed a worker another chance.
    Raises `UsageError`, `IncompatibleError`, `ErrorBudgetError`, `ResourceError`.
    """
    load_plugins(plugins)
    dataset = None if source is None or isinstance(source, str | Path | RunConfig) else source
    with tables_as_files(labels, predictions) as (labels, predictions):
        config = configure(
            None if dataset is not None else source,
            out=out,
            labels=labels,
            predictions=predictions,
            metrics=metrics,
            settings=settings,
        )
        if is_table(dataset):
            dataset = FrameTable(dataset, config.source.image_column)
        return run_config(config, progress or Silent(), dataset=dataset, replace=replace, retry_errors=retry_errors)


def explain(source: Images | RunConfig, *, plugins: Sequence[str | Path] = (), **overrides: Any) -> str:
    """The plan of a run in words: what is read, computed once, kept. Nothing is opened or written."""
    load_plugins(plugins)
    config = configure(source, **overrides)
    identity = {
        "pixels": config.source.images is not None,
        "objects": config.source.labels is not None or bool(config.source.predictions),
        "classes": [],
    }
    return build_plan(config, identity, semantics(config, "cpu")).explain()


def open_dataset(
    images: Images | None = None, *, labels: Annotations | None = None, predictions: Mapping[str, Annotations] | None = None
) -> Dataset:
    """The canonical tables of images, labels and predictions, without scoring anything."""
    config = configure(images, labels=labels, predictions=predictions)
    return inputs.read_source(config.source, Silent().say)[0]


def open_store(path: str | Path) -> Store:
    """An existing store, for reading; raises `NotAStoreError`, `IncompatibleError`, `CorruptError`."""
    return Store.open(Path(path))


def _annotations(given: Annotations) -> dict[str, Any]:
    return {str(k): str(v) for k, v in given.items()} if isinstance(given, Mapping) else {"path": str(given)}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` put over `base`, mapping by mapping."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result
