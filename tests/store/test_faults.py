"""Kills, full disks and system errors at every point of a run: whole shards or none, and the same bytes in the end."""

import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from gpu_quality.errors import DiskFullError, NotAStoreError, ResourceError
from gpu_quality.store.commit import STAGED
from gpu_quality.store.failpoints import arm
from gpu_quality.store.store import Store
from tests.store.small import LAYER, Children, digests, run

pytestmark = pytest.mark.faults
SMALL = (6, 4)
"""Frames, and frames per shard: two shards, so that one is there while the other is written."""


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    arm(None)


@pytest.fixture(scope="module")
def children():
    found = Children()
    yield found
    found.close()


@pytest.fixture
def memory(tmp_path):
    """A folder in memory where there is one: a kill forgets nothing the kernel was told, and syncing is what takes time."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def outcome(path: Path) -> ResourceError | None:
    """How a run in this process fails, if it does."""
    try:
        run(path, *SMALL)
    except ResourceError as error:
        return error
    return None


def whole_or_absent(path: Path) -> None:
    """What a reader sees after a crash and before the resume."""
    try:
        store = Store.open(path)
    except NotAStoreError:
        return
    assert store.verify(read_data=True).findings == ()
    assert len(store.table()) == store.status()["listed"]


def test_killed_at_every_point_and_run_again(memory, children):
    expected = digests(run(memory / "whole", *SMALL).path)
    for n in range(1, 500):
        path = memory / f"killed{n}"
        children.start(path, f"any:{n}=kill", *SMALL)
        code = children.wait()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        whole_or_absent(path)
        assert digests(run(path, *SMALL).path) == expected, f"after a kill at point {n}"
        shutil.rmtree(path)
    assert digests(path) == expected
    assert n > 60, "few points fired: failpoints are missing"


@pytest.mark.parametrize(("code", "kind"), [("ENOSPC", DiskFullError), ("EIO", ResourceError)])
def test_a_system_error_at_every_point(memory, code, kind):
    expected = digests(run(memory / "whole", *SMALL).path)
    for n in range(1, 500):
        path = memory / f"failed{n}"
        arm(f"any:{n}=raise:{code}")
        error = outcome(path)
        if error is not None:
            assert type(error) is kind
            assert "what was committed is kept" in error.hint
            assert not list(path.rglob(f"{STAGED}*")), "staged files take room on a full disk"
            assert not (path / ".lock").read_bytes()
        else:
            break
        arm(None)
        whole_or_absent(path)
        assert digests(run(path, *SMALL).path) == expected, f"after {code} at point {n}"
        shutil.rmtree(path)
    assert digests(path) == expected
    assert n > 60


def test_random_kills_while_readers_look(memory, children):
    frames, size = 120, 2
    started = time.monotonic()
    children.start(memory / "whole", "", frames, size)
    assert children.wait() == 0
    wall = time.monotonic() - started
    expected = digests(memory / "whole")
    path, chance, kills = memory / "killed", random.Random(1), 0
    while kills < 20:
        children.start(path, "", frames, size)
        end = time.monotonic() + chance.uniform(0, 0.5 * wall)
        while time.monotonic() < end and children.running():
            if (path / "run.json").exists():
                assert Store.open(path).verify().findings == ()
            time.sleep(0.01)
        code = children.kill()
        whole_or_absent(path)
        kills += code != 0
        if code == 0:
            assert digests(path) == expected
            shutil.rmtree(path)
    assert digests(run(path, frames, size).path) == expected


@pytest.mark.parametrize("code", ["EDQUOT", "EFBIG"])
def test_quotas_are_full_disks_too(memory, code):
    arm(f"commit.write=raise:{code}")
    with pytest.raises(DiskFullError, match="no room to write"):
        run(memory / "s")


def test_a_write_beyond_the_file_size_limit_is_a_full_disk(memory):
    import resource

    store = run(memory / "a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(DiskFullError):
            store.save_result("big.bin", bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.verify().ok
    assert not (store.path / "results" / "big.bin").exists()


def test_shards_are_never_done_before_they_are_synced(memory, children):
    """A commit that sleeps before its rename is invisible meanwhile."""
    children.start(memory / "s", "commit.sync_folder:2=sleep:30")
    deadline = time.monotonic() + 20
    while not list((memory / "s").glob(f"layers/{LAYER}/{STAGED}*/shard.json")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert Store.open(memory / "s").done(LAYER) == frozenset()
    assert children.kill() == -signal.SIGKILL
