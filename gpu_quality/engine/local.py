"""The default engine: one supervised child process per device.

A child that dies or stalls loses nothing that was committed. Its shard is then probed frame by frame in throw-away processes;
the frames that kill or hang the process become error rows and every other frame is scored.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

import torch

from gpu_quality.config import Engine
from gpu_quality.engine.worker import Heartbeat, Job, Receipt, Worker
from gpu_quality.errors import FrameError, GpuQualityError, ResourceError, StalledError
from gpu_quality.store.commit import take_stderr
from gpu_quality.types import Shard

PR_SET_PDEATHSIG = 1
START_S = 120.0
"""A worker that has not said a word by then does not start: imports, plugins and compiling included."""


@dataclass(slots=True)
class _Child:
    process: ForkProcess
    pipe: Connection
    device: str
    shard: Shard | None = None
    heard: float = 0.0


def run_local(
    job: Job, shards: Sequence[Shard], heartbeat: Heartbeat, engine: Engine, devices: Sequence[str]
) -> Iterator[Receipt]:
    """Score the shards in one child per device, yielding receipts as they come.

    Raises what a child raised; `ResourceError` when a shard keeps killing workers although no single frame does.
    """
    queue = list(shards)
    culprits: dict[str, dict[int, FrameError]] = {}
    deaths: dict[str, int] = {}
    children: list[_Child] = []
    try:
        children.extend(_start(replace(job, device=device)) for device in devices[: len(queue)])
        while children:
            for child in children:
                if child.shard is None and queue:
                    child.shard = queue.pop(0)
                    child.heard = time.monotonic()
                    with contextlib.suppress(BrokenPipeError):  # it died while idle: listening finds that out
                        child.pipe.send((child.shard, culprits.get(child.shard.name, {})))
            for child in [c for c in children if c.shard is None]:
                _stop(child)
                children.remove(child)
            wait([child.pipe for child in children], timeout=1.0)
            for child in list(children):
                receipt, verdict = _listen(child, heartbeat, engine.stall_s)
                if receipt is not None:
                    child.shard = None
                    yield receipt
                elif verdict and child.shard is not None:
                    shard = child.shard
                    _stop(child)
                    children.remove(child)
                    deaths[shard.name] = deaths.get(shard.name, 0) + 1
                    if deaths[shard.name] > engine.restarts:
                        raise _hopeless(shard, verdict, deaths[shard.name])
                    culprits[shard.name] = find_culprits(replace(job, device=child.device), shard, engine.frame_timeout_s)
                    queue.insert(0, shard)
                    children.append(_start(replace(job, device=child.device)))
    finally:
        for child in children:
            _stop(child)


def find_culprits(job: Job, shard: Shard, timeout: float) -> dict[int, FrameError]:
    """Score a shard frame by frame in throw-away processes; the rows that kill or hang one, with the reason."""
    culprits: dict[int, FrameError] = {}
    row = 0
    while row < len(shard.rows):
        pipe, other = multiprocessing.get_context("fork").Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=_probe, args=(job, shard, row, other, os.getpid()), daemon=True
        )
        process.start()
        other.close()
        reached, verdict = -1, ""
        try:
            while reached < len(shard.rows):
                if not pipe.poll(START_S if reached < 0 else timeout):
                    verdict = "timeout"
                    break
                reached = pipe.recv()
        except EOFError:
            verdict = "worker_died"
        process.kill()
        process.join()
        if reached < 0:  # no frame was touched yet, so none is to blame
            raise ResourceError(f"a worker that looks for the culprit in shard {shard.name} does not start: {verdict}")
        if verdict:
            how = f"no answer within {timeout:g} s" if verdict == "timeout" else _death(process.exitcode)
            culprits[reached] = FrameError(verdict, f"scoring this frame: {how}", stage="score")
        row = reached + 1
    return culprits


def preload(*, pixels: bool, objects: bool) -> None:
    """Load the compiled kernels once, before the children that inherit them are forked: 0.8 s less for each.

    The first time on a machine this compiles them, for about 20 s.
    """
    if pixels:
        _preload_pixels()
    if objects:
        _preload_objects()


def _preload_pixels() -> None:
    from gpu_quality.kernels import pixels, thumbnails
    from gpu_quality.types import Pixels, Regions

    one = torch.ones(1, dtype=torch.int32)
    pixel = Pixels(torch.zeros(3, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), one, one)
    rect = torch.tensor([[0, 0, 1, 1]], dtype=torch.int32)
    region = Regions(torch.zeros(1, dtype=torch.int64), rect, None, torch.zeros(1, dtype=torch.int8))
    pixels.pixel_statistics(pixel, region, pixels.GROUPS)
    thumbnails.thumbnails(pixel, region, thumbnails.WANTED)


def _preload_objects() -> None:
    from gpu_quality.kernels import boxes, rings

    box = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0]], dtype=torch.float64)
    frame = torch.zeros(2, dtype=torch.int64)
    boxes.union_areas(box, frame, 1)
    boxes.best_partners(box, frame, frame.bool())
    pairs = boxes.meeting_pairs(frame, box)
    points, first = box[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2), torch.tensor([0, 4, 8])
    rings.simple(points, first)
    rings.shared_areas(points, first, pairs)
    rings.union_areas(points, first, frame, torch.tensor([[4.0, 4.0]], dtype=torch.float64))


def _start(job: Job) -> _Child:
    context = multiprocessing.get_context("fork")
    pipe, other = context.Pipe()
    process = context.Process(target=_serve, args=(job, other, os.getpid()), daemon=True)
    process.start()
    other.close()
    return _Child(process, pipe, job.device, heard=time.monotonic())


def _stop(child: _Child) -> None:
    child.pipe.close()
    child.process.kill()
    child.process.join()


def _listen(child: _Child, heartbeat: Heartbeat, stall_s: float) -> tuple[Receipt | None, str]:
    """Read what a child says: a receipt, or a verdict when it died or stalls. Raises what the child raised."""
    try:
        while child.pipe.poll():
            kind, content = child.pipe.recv()
            child.heard = time.monotonic()
            if kind == "beat":
                heartbeat(*content)
            elif kind == "done":
                return content, ""
            else:
                raise content
    except (EOFError, ConnectionResetError):
        child.process.join(5)
        return None, _death(child.process.exitcode)
    if child.shard is not None and time.monotonic() - child.heard > stall_s:
        return None, f"made no progress for {stall_s:g} s"
    return None, ""


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    return f"the process exited with code {code}"


def _hopeless(shard: Shard, verdict: str, times: int) -> ResourceError:
    kind = StalledError if "no progress" in verdict else ResourceError
    return kind(
        f"shard {shard.name} failed {times} times ({verdict}) although each of its frames can be scored alone",
        hint="free memory or lower decode.batch_mb, then run the same command again; committed shards are kept",
    )


def _tether(parent: int) -> None:
    """Die with the parent, leave Ctrl-C to it, and keep to one torch thread (a forked OpenMP pool would hang)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)


def _serve(job: Job, pipe: Connection, parent: int) -> None:
    """A child's life: build the worker, score what comes, say what happened."""
    _tether(parent)
    try:
        take_stderr(job.store / "logs" / "native.log")
        worker = Worker(job)
        while True:
            try:
                shard, culprits = pipe.recv()
            except EOFError:
                return
            pipe.send(("done", worker(shard, culprits, lambda frames, errors: pipe.send(("beat", (frames, errors))))))
    except Exception as error:
        _report(pipe, error)


def _report(pipe: Connection, error: Exception) -> None:
    import traceback

    if isinstance(error, GpuQualityError):
        told = error
    elif isinstance(error, MemoryError | torch.OutOfMemoryError):
        told = ResourceError("a worker ran out of memory", hint="lower decode.batch or decode.batch_mb and run it again")
    else:
        told = GpuQualityError(f"a worker failed: {type(error).__name__}: {error}", hint="see errors.log in the store's logs/")
    told.add_note("".join(traceback.format_exception(error)))
    pipe.send(("error", told))


def _probe(job: Job, shard: Shard, first: int, pipe: Connection, parent: int) -> None:
    """Score one frame after the other from row `first`, naming each before it is touched."""
    _tether(parent)
    take_stderr(job.store / "logs" / "native.log")
    worker = Worker(replace(job, loader=replace(job.loader, threads=1)))
    for row in range(first, len(shard.rows)):
        pipe.send(row)
        with contextlib.suppress(Exception):  # only death and silence are looked for; the worker tells its exceptions
            worker.score(shard, [row])
    pipe.send(len(shard.rows))
