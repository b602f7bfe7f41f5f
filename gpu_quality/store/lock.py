"""One writer at a time: a kernel lock that ends with its holder, however it ends. Readers never take it."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gpu_quality.errors import LockedError, ResourceError
from gpu_quality.store.commit import sweep
from gpu_quality.store.layout import LOCK, refuse_foreign

_held: set[int] = set()


def release_inherited() -> None:
    """Close this process's copies of its parent's locks, so that a child that outlives its parent blocks nobody.

    Runs by itself in every child made by Python's fork; programs started from here never inherit the lock (close-on-exec).
    The parent keeps its lock: the kernel frees it when the last copy is closed.
    """
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=release_inherited)


@contextmanager
def writer_lock(store: Path) -> Iterator[None]:
    """Be the only writer of `store` while the block runs; makes the folder, and removes what dead writers left.

    Raises `LockedError` naming the other writer, `NotAStoreError` for a folder that holds something else, and
    `ResourceError` where the folder cannot be written.
    """
    refuse_foreign(store)
    try:
        store.mkdir(parents=True, exist_ok=True)
        handle = os.open(store / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ResourceError(f"cannot lock {store}: {error.strerror}", hint="write to another --out") from error
    _held.add(handle)
    try:
        _acquire(handle, store)
        sweep(store)
        try:
            yield
        finally:
            # The name of a writer that is gone must not be in the bytes of a finished store.
            if handle in _held:
                os.ftruncate(handle, 0)
    finally:
        if handle in _held:
            _held.discard(handle)
            os.close(handle)


def _acquire(handle: int, store: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(
            f"{store} is being written by {_holder(handle)}", hint="wait for it to end, or write to another --out"
        ) from error
    who = {"host": socket.gethostname(), "pid": os.getpid(), "start": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(who).encode(), 0)


def _holder(handle: int) -> str:
    """Who wrote the lock file; a holder that only just started may not have written it yet."""
    try:
        who = json.loads(os.pread(handle, 4096, 0))
        return f"process {int(who['pid'])} on {str(who['host'])[:200]!r} since {str(who['start'])[:40]}"
    except (ValueError, KeyError, TypeError):
        return "another process"
