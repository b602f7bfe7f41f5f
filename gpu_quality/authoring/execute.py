"""Running class-form metrics: each one is committed whole, or leaves nothing and raises."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpu_quality.authoring.committing import Done, Identity, already, commit, refuse_other, told
from gpu_quality.authoring.iterator import DatasetIterator, Iterator
from gpu_quality.authoring.metric import Metric, SimpleMetric
from gpu_quality.authoring.progress import Progress, Ticker
from gpu_quality.authoring.writer import CSVMetricWriter
from gpu_quality.errors import GpuQualityError, MetricError, UsageError

__all__ = ["Done", "execute_metrics"]

Authored = Metric | SimpleMetric
Job = tuple[Authored, Identity]


def execute_metrics(
    selected_metrics: Sequence[Authored],
    data_dir: Path,
    iterator_cls: type[Iterator] = DatasetIterator,
    use_cache_only: bool = False,  # noqa: ARG001, FBT001, FBT002 - the known call; there is no server to ask
    *,
    origin: str | None = None,
    subset_size: int | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> list[Done]:
    """Run metrics on a store, or on a folder of images, and commit what they write: columns of the store, and a CSV each.

    `origin` names the prediction set of a `PredictionIterator`. A metric that is stored already does nothing; one whose code
    or settings changed is refused unless `replace`. The first error is raised after all other metrics were tried.
    Raises `MetricError`, `IncompatibleError`, `UsageError`.
    """
    shown = progress or Ticker()
    iterator = iterator_cls(Path(data_dir), subset_size, origin=origin, progress=shown)
    suffix = "" if iterator.walk.origin == 0 else iterator.origin
    failed: list[GpuQualityError] = []
    done: list[Done] = []
    jobs: list[Job] = []
    for metric in selected_metrics:
        if not isinstance(metric, Metric | SimpleMetric):
            raise UsageError(f"{type(metric).__name__} is no Metric", hint="pass instances: execute_metrics([MyMetric()], …)")
        identity = Identity.of(metric, iterator.place.store, suffix, subset_size)
        if (stored := already(iterator.place, identity)) is not None:
            shown.say(f"{metric.metadata.title}: stored already as {', '.join(stored.columns)}")
            done.append(stored)
        else:
            refuse_other(iterator.place, identity, replace=replace)
            jobs.append((metric, identity))
    if jobs and (lost := iterator.images.out_of_reach(iterator.rows)):
        shown.say(f"{lost:,} of {len(iterator):,} frames have no image at hand, only facts and labels: metrics get None for it")
    groups = [[job] for job in jobs if isinstance(job[0], Metric)]
    groups.append([job for job in jobs if isinstance(job[0], SimpleMetric)])
    for group in filter(None, groups):
        run = _run_simple if isinstance(group[0][0], SimpleMetric) else _run
        for (metric, identity), outcome in zip(group, run(group, iterator), strict=True):
            if isinstance(outcome, GpuQualityError):
                iterator.place.store.log("errors.log", told(outcome))
                failed.append(outcome)
            else:
                done.append(commit(iterator, metric, identity, outcome, replace=replace))
    if failed:
        raise _first(failed, done, shown)
    return done


def _first(failed: Sequence[GpuQualityError], done: Sequence[Done], shown: Progress) -> GpuQualityError:
    """The error to raise; the others, and what is stored in spite of them, are told."""
    for one in done:
        if one.fresh:
            shown.say(f"{one.title}: stored as {', '.join(one.columns)}")
    for other in failed[1:]:
        shown.say(f"and {other}")
        failed[0].add_note(f"and {other}")
    return failed[0]


Outcome = CSVMetricWriter | GpuQualityError


def _run(group: Sequence[Job], iterator: Iterator) -> list[Outcome]:
    """Let one metric walk. If a broken image surprises it, it starts over and gets None for broken images."""
    metric = group[0][0]
    assert isinstance(metric, Metric)  # noqa: S101 - grouped by kind
    iterator.images.checked = False
    for _ in range(2):
        iterator.images.surprised = False
        writer = CSVMetricWriter(iterator, metric.metadata.title)
        iterator.row = -1
        try:
            metric.execute(iterator, writer)
        except (Exception, SystemExit) as error:
            if iterator.images.surprised:
                continue
            return [_story(metric, iterator, error)]
        return [writer]
    return [_story(metric, iterator, MetricError("a broken image surprised it twice"))]


def _run_simple(group: Sequence[Job], iterator: Iterator) -> list[Outcome]:
    """One pass over the images for all simple metrics; one that fails is left out from there on."""
    outcomes: list[Outcome] = [CSVMetricWriter(iterator, metric.metadata.title) for metric, _ in group]
    iterator.images.checked = True
    for _, image in iterator.iterate():
        if image is None:
            continue
        pixels = np.asarray(image)[:, :, ::-1]
        for i, (metric, _) in enumerate(group):
            writer = outcomes[i]
            if isinstance(writer, CSVMetricWriter):
                call: Callable[..., Any] = metric.execute
                try:
                    score = call(np.ascontiguousarray(pixels))
                    if score is not None:  # its way to say that this image has no value
                        writer.write(score)
                except (Exception, SystemExit) as error:
                    outcomes[i] = _story(metric, iterator, error)
    return outcomes


def _story(metric: Authored, iterator: Iterator, error: BaseException) -> GpuQualityError:
    """An error that names the metric, the frame it was at, and what became of its results."""
    if isinstance(error, MetricError):
        return error
    where = "before its first frame" if iterator.row < 0 else f"at frame {iterator.images.ids[iterator.row]!r}"
    story = MetricError(
        f"metric {metric.metadata.title!r} raised {type(error).__name__} {where}: {error}",
        hint="nothing of it is stored; repair execute() and run it again",
    )
    story.__cause__ = error
    return story
