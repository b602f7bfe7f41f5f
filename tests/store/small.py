"""A small store made in code, and the children that write it while tests kill them."""

import hashlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd  # noqa: F401 - Arrow looks for it; a child should not have to import it
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from gpu_quality.store.failpoints import arm
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store

LAYER, TABLE_LAYER = "0123456789abcdef", "fedcba9876543210"
META = {
    "kind": "stream",
    "columns": {
        "brightness": {"per": "region", "unit": "luma", "bounds": (0.0, float("inf")), "bad": "low", "version": 1},
        "phash": {"per": "frame", "unit": "", "version": 1},
        "secret": {"per": "frame", "hidden": True},
    },
}
TABLE_META = {"kind": "table", "columns": {"rank": {"per": "frame", "unit": "", "version": 1}}}


def tables(frames: int) -> dict[str, pa.Table]:
    """Input tables: every frame has 0, 1 or 2 objects in turn; one annotation row was bad."""
    ids = [f"cam{i % 2}/{i:04d}.jpg" for i in range(frames)]
    row = [i for i in range(frames) for _ in range(i % 3)]
    return {
        "frames": pa.table({"frame": ids, "uri": ids, "width": pa.nulls(frames, pa.int64())}),
        "objects": pa.table(
            {
                "object": [f"o{k}" for k in range(len(row))],
                "frame": [ids[i] for i in row],
                "row": pa.array(row, pa.int32()),
                "polygon": pa.array([[0.0, float(k), 1.0] for k in range(len(row))], pa.list_(pa.float64())),
            }
        ),
        "classifications": pa.table({"frame": ids[:1], "question": ["day?"], "class_id": pa.array([1], pa.int32())}),
        "errors": pa.table({"uri": ["labels.json"], "stage": ["annotate"], "reason": ["bad_annotation"], "line": [7]}),
    }


def create(path: Path, frames: int = 11, shard_size: int = 4) -> Store:
    """A store without layers."""
    return Store.create(path, {"shard_size": shard_size, "decode": {"max_pixels": 64}}, tables(frames))


def commit(store: Store, shard: str) -> dict[str, int]:
    """Columns of a shard that depend on nothing but its rows; the frame of row 5 has failed."""
    rows = np.arange(store.input.rows_of(shard).start, store.input.rows_of(shard).stop)
    objects = store.objects(int(rows[0]), int(rows[-1]) + 1)
    bad = [i for i in rows if i == 5]
    values = np.where(rows == 5, np.nan, rows / 3.0)
    return store.commit(
        LAYER,
        shard,
        {
            "frames": {
                "brightness": pa.array(values, from_pandas=True),
                "phash": pa.array([None if i == 5 else 2**62 + int(i) for i in rows], pa.int64()),
                "secret": np.arange(len(rows)),
            },
            "objects": {"brightness": np.arange(objects.num_rows) / 7.0},
            "errors": {
                "frame": [f"cam{i % 2}/{i:04d}.jpg" for i in bad],
                "stage": ["decode"] * len(bad),
                "reason": ["truncated"] * len(bad),
            },
            "nulls": {"frame": ["cam0/0000.jpg"], "metric": ["noise"], "reason": ["too_small"]},
        },
        {
            "embedding": np.outer(rows, [1, 2]).astype(np.float16),
            "objects.embedding": np.ones((objects.num_rows, 2), np.float16),
        },
        {"encoder_batch": 8},
    )


def run(path: Path, frames: int = 11, shard_size: int = 4) -> Store:
    """A whole run under the writer's lock; resumes what is there."""
    with writer_lock(path):
        store = create(path, frames, shard_size)
        store.begin_layer(LAYER, META)
        for shard in store.input.shard_names():  # `shards()` would import torch
            if shard not in store.done(LAYER):
                commit(store, shard)
        store.finish(LAYER)
        store.begin_layer(TABLE_LAYER, TABLE_META)
        if not store.done(TABLE_LAYER):
            store.commit(TABLE_LAYER, "all", {"frames": {"rank": np.arange(frames)[::-1].copy()}})
        store.finish(TABLE_LAYER)
        store.save_result("coco.json", b'{"map": 0.5}')
    return store


class Children:
    """Starts `run` in processes of their own, one at a time, forked from a single-threaded parent that has imported everything.

    A fresh interpreter takes most of a second to import Arrow, a fork a few milliseconds; there are hundreds of kills.
    """

    def __init__(self) -> None:
        root = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-c", "from tests.store.small import serve; serve()"]
        self._parent = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = 0

    def start(self, path: Path, failpoint: str = "", frames: int = 11, shard_size: int = 4) -> None:
        """Begin a run."""
        print(path, failpoint, frames, shard_size, sep="\t", file=self._parent.stdin, flush=True)
        self.pid = int(self._parent.stdout.readline())

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not select.select([self._parent.stdout], [], [], 0)[0]

    def kill(self) -> int:
        """SIGKILL, then how it ended: it may have been faster."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        code = int(self._parent.stdout.readline())
        print(file=self._parent.stdin, flush=True)  # only now is its process id given back
        return code

    def close(self) -> None:
        """End the parent, whatever it does."""
        self._parent.kill()
        self._parent.communicate()


def serve() -> None:
    """The parent of `Children`: forks for every line it reads."""
    for line in sys.stdin:
        path, failpoint, frames, shard_size = line.rstrip("\n").split("\t")
        pid = os.fork()
        if pid == 0:
            arm(failpoint)
            run(Path(path), int(frames), int(shard_size))
            os._exit(0)
        print(pid, flush=True)
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        print(-ended.si_status if ended.si_code == os.CLD_KILLED else ended.si_status, flush=True)
        sys.stdin.readline()
        os.waitpid(pid, 0)


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of every file outside logs/, hidden ones and leftovers too; folders count as well."""
    found = {}
    for folder, _, names in os.walk(path):
        inside = Path(folder).relative_to(path)
        if inside.parts[:1] != ("logs",):
            found[f"{inside}/"] = ""
            found |= {str(inside / name): hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest() for name in names}
    return found
