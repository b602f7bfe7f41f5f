"""The verb `run`: freeze the input, plan, let an engine score what is missing, do the table pass, complete."""

import dataclasses
import json
import os
import platform
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_quality import plan, registry
from gpu_quality.api import changes
from gpu_quality.api.embedding import Semantics, check_weights, semantics
from gpu_quality.api.layers import Pending, pending_layers
from gpu_quality.api.progress import Progress
from gpu_quality.api.question import log_source, open_or_create, reject_dataset_mixup
from gpu_quality.api.tabling import run_table_layer
from gpu_quality.api.videos import write_videos
from gpu_quality.cards import ModelCard
from gpu_quality.config import RunConfig
from gpu_quality.data.decode import DecodeSettings
from gpu_quality.data.loader import LoaderSettings
from gpu_quality.engine.inline import run_inline
from gpu_quality.engine.local import preload, run_local
from gpu_quality.engine.worker import Job, Receipt
from gpu_quality.errors import ErrorBudgetError, IncompatibleError, UsageError
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store
from gpu_quality.types import Shard


def run_config(
    config: RunConfig,
    progress: Progress,
    *,
    dataset: Any = None,
    replace: bool = False,
    retry_errors: bool = False,
) -> Store:
    """Score what `config` asks for into its store, doing only what is not done yet, and return the store.

    Raises `UsageError` and its kin before anything is written, `IncompatibleError` when the store answers another question,
    `ErrorBudgetError` when more frames fail than `config.max_errors` allows, `ResourceError` when disk or memory ends.
    """
    if config.out is None:
        raise UsageError("there is no place for the results", hint="name a folder with --out, or `out:` in the config")
    out = Path(config.out)
    device = _devices(config)[0]  # a device, card or file this machine lacks is told before anything is written
    if needs_encoder(config, semantics(config, device)):
        check_weights(ModelCard.find(config.encoder.card))
    with writer_lock(out):
        store, root = open_or_create(config, out, progress, dataset)
        origins = tuple(store.identity["origins"]) if store.identity["objects"] else ()
        found = semantics(config, device, store, origins)
        wanted = build_plan(config, store.identity, found)
        if retry_errors:
            changes.drop_failed_shards(store, wanted.columns, progress.say)
        pending = pending_layers(wanted, store, origins, progress.say, replace=replace, encoder=found.facts)
        reject_dataset_mixup(store, root, dataset)
        job = dataclasses.replace(_job(config, store, root, dataset), embedding=found.embedding)
        log_source(store, root)
        try:
            for layer in (p for p in pending if not p.table):
                _stream(config, store, wanted, layer, job, progress)
            for layer in (p for p in pending if p.table):
                begun = time.perf_counter()
                run_table_layer(store, wanted, layer, config, found, progress.say)
                _log_table(store, layer, time.perf_counter() - begun)
                _check_budget(config, store.input.count("frames"), 0, changes.failed_before(store, layer.name)[1], store)
                store.finish(layer.name)
            if pending:
                write_videos(store)
        except Exception as error:
            store.log("errors.log", "".join(traceback.format_exception(error)) + "\n")
            raise
    return store


def needs_encoder(config: RunConfig, found: Semantics) -> bool:
    """Whether what is asked for embeds anything; images are there unless the source names none."""
    if found.embedding is None or (config.metrics == "default" and config.source.images is None):
        return False
    if config.metrics == "default":
        return True
    return "encoder" in plan.Plan.build(plan.parse_wanted(config.metrics), given={}).resources


def build_plan(config: RunConfig, identity: Mapping[str, Any], found: Semantics) -> plan.Plan:
    """The plan for a frozen input: what was asked, or everything its roots allow."""
    pixels, objects = bool(identity["pixels"]), bool(identity["objects"])
    absent = (set() if pixels else {*plan.PIXEL_ROOTS, "regions"}) | (set() if objects else {"objects"}) | found.absent
    if config.metrics == "default":
        held = identity.get("holds", {})
        wanted = plan.default_metrics(absent=absent | {root for root in plan.OFTEN_EMPTY if not held.get(root)})
    else:
        wanted = plan.parse_wanted(config.metrics)
    given = {"decode": config.decode.meaning(), "seed": config.seed, "classes": identity["classes"], **found.given}
    return plan.Plan.build(wanted, given=given, absent=absent)


def _job(config: RunConfig, store: Store, root: Path | None, dataset: Any) -> Job:
    decode = config.decode
    settings = DecodeSettings(
        max_megapixels=decode.max_megapixels,
        max_bytes=decode.max_mb * 1_000_000,
        max_scans=decode.max_scans,
        exif=decode.exif,
        float_range=decode.float_range,
    )
    threads = len(os.sched_getaffinity(0)) if decode.threads == "auto" else int(decode.threads)
    return Job(
        store=store.path,
        layer="",
        plan=plan.Plan(frozenset(), frozenset(), (), (), frozenset(), {}),
        root=root,
        loader=LoaderSettings(batch=decode.batch, batch_mb=decode.batch_mb, threads=threads, decode=settings),
        origins=tuple(store.identity["origins"]) if store.identity["objects"] else (),
        classes=tuple(store.identity["classes"]),
        regions=frozenset(config.regions),
        seed=config.seed,
        dataset=dataset,
    )


def _devices(config: RunConfig) -> list[str]:
    """One worker per device: every CUDA device with ``auto``, else the CPU; counting opens no CUDA context.

    Raises `UsageError` for a device that is not there.
    """
    if config.engine.device == "cpu":
        return ["cpu"]
    import torch

    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    asked = config.engine.device
    if asked == "auto":
        return found or ["cpu"]
    if not found or asked not in ("cuda", *found):
        raise UsageError(f"there is no device {asked!r}", hint=f"this machine has {', '.join(['cpu', *found])}")
    return [asked]


def _check_device(begun: str, device: str, store: Store) -> None:
    """Raise `IncompatibleError` where vectors begun on one kind of device would be continued on another."""
    if not device.startswith(begun):
        raise IncompatibleError(
            f"{store.path} has vectors begun on {begun}, and this machine would continue them on {device}",
            hint="finish the run where it was begun, or start these vectors over with --replace --device " + device,
        )


def _stream(config: RunConfig, store: Store, wanted: plan.Plan, layer: Pending, job: Job, progress: Progress) -> None:
    """Score the missing shards of a stream layer and complete it."""
    job = dataclasses.replace(job, layer=layer.name, plan=wanted.only(layer.columns))
    shards, done = store.shards(), store.done(layer.name)
    missing = [shard for shard in shards if shard.name not in done]
    listed = sum(len(shard.rows) for shard in shards)
    failed, cells = changes.failed_before(store, layer.name)
    devices = _devices(config)
    if "encoder" in job.plan.resources and job.embedding is not None:
        _check_device(job.embedding.device, devices[0], store)
    progress.begin(listed, sum(len(shard.rows) for shard in shards if shard.name in done), "frames")
    try:
        for receipt in _engine(config, job, missing, progress, devices):
            _log_receipt(store, layer.name, receipt)
            for remark in receipt.remarks:
                progress.say(remark)
            failed += receipt.errors
            for metric, count in receipt.cell_errors.items():
                cells[metric] = cells.get(metric, 0) + count
            _check_budget(config, listed, failed, cells, store)
    finally:
        progress.end()
    _check_budget(config, listed, failed, cells, store)
    store.finish(layer.name)


def _engine(
    config: RunConfig, job: Job, shards: Sequence[Shard], progress: Progress, devices: Sequence[str]
) -> Iterator[Receipt]:
    if config.engine.kind == "inline":
        return run_inline(dataclasses.replace(job, device=devices[0]), shards, progress.advance)
    pixels, objects = "cpu" in devices and job.plan.reads_pixels, "objects" in job.plan.roots
    if pixels or objects:
        patience = threading.Timer(2, progress.say, ["compiling the kernels, once on this machine: about 20 s"])
        patience.start()
        try:
            preload(pixels=pixels, objects=objects)
        finally:
            patience.cancel()
            patience.join()
    return run_local(job, shards, progress.advance, config.engine, devices)


def _check_budget(config: RunConfig, listed: int, failed: int, cells: Mapping[str, int], store: Store) -> None:
    """Stop when more frames failed than allowed, or one metric failed on more frames than allowed."""
    budget = config.error_budget(listed)
    see = f"gpu-quality errors {store.path}; raise --max-errors to go on, what is scored is kept"
    if failed > budget or failed == listed:
        raise ErrorBudgetError(f"{failed:,} of {listed:,} frames failed, more than --max-errors {config.max_errors}", hint=see)
    for metric, count in cells.items():
        if count > budget:
            raise ErrorBudgetError(
                f"metric {metric} failed on {count:,} of {listed:,} frames, more than --max-errors {config.max_errors}",
                hint=f"{see}; where the metric has been repaired, --retry-errors computes them again",
            )


def _log_receipt(store: Store, name: str, receipt: Receipt) -> None:
    line = {
        "shard": receipt.shard,
        "scored": receipt.scored,
        "errors": receipt.errors,
        "seconds": {k: round(v, 4) for k, v in receipt.seconds.items()},
        "host": platform.node(),
        "at": round(time.time(), 1),
    }
    store.log(f"receipts-{name}.jsonl", json.dumps(line) + "\n")


def _log_table(store: Store, layer: Pending, seconds: float) -> None:
    """A table pass is one receipt: its seconds count beside those of the shards."""
    frames = store.input.count("frames")
    _log_receipt(store, f"table-{layer.name}", Receipt("all", frames, 0, seconds={"table": seconds, "total": seconds}))


def load_plugins(plugins: Sequence[str | Path]) -> dict[str, str]:
    """Declare every built-in metric, then those of the plugin files named; file → SHA-256."""
    registry.load_built_in()
    return {str(path): registry.load_plugin(Path(path)) for path in plugins}
