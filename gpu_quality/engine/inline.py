"""The engine for debugging: the worker runs in this process, and a crash is a crash."""

from collections.abc import Iterator, Sequence

from gpu_quality.engine.worker import Heartbeat, Job, Receipt, Worker
from gpu_quality.types import Shard


def run_inline(job: Job, shards: Sequence[Shard], heartbeat: Heartbeat) -> Iterator[Receipt]:
    """Score the shards one after the other, yielding a receipt for each."""
    worker = Worker(job)
    for shard in shards:
        yield worker(shard, heartbeat=heartbeat)
