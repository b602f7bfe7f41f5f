"""Kills, full disks and system errors at every point of a run: whole shards or none, and the same bytes in the end."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from gpu_quality.errors import DiskFullError, NotAStoreError, ResourceError
from gpu_quality.store.commit import STAGED
from gpu_quality.store.failpoints import arm
from gpu_quality.store.store import Store
from tests.store.small import LAYER, child, digests, run

pytestmark = pytest.mark.faults


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    arm(None)


def whole_or_absent(path: Path) -> None:
    """What a reader sees after a crash and before the resume."""
    try:
        store = Store.open(path)
    except NotAStoreError:
        return
    assert store.verify(read_data=True).findings == ()
    assert len(store.table()) == store.status()["listed"]
    store.query("SELECT count(*) FROM frames")


def test_killed_at_every_point_and_run_again(tmp_path):
    expected = digests(run(tmp_path / "whole").path)
    for n in range(1, 500):
        path = tmp_path / f"killed{n}"
        process = child(path, f"any:{n}=kill")
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        whole_or_absent(path)
        assert digests(run(path).path) == expected, f"after a kill at point {n}"
        shutil.rmtree(path)
    assert digests(path) == expected
    assert n > 60, "few points fired: failpoints are missing"


@pytest.mark.parametrize(("code", "kind"), [("ENOSPC", DiskFullError), ("EDQUOT", DiskFullError), ("EIO", ResourceError)])
def test_a_system_error_at_every_point(tmp_path, code, kind):
    expected = digests(run(tmp_path / "whole").path)
    for n in range(1, 500):
        path = tmp_path / f"failed{n}"
        arm(f"any:{n}=raise:{code}")
        try:
            run(path)
        except ResourceError as error:
            assert type(error) is kind
            assert "what was committed is kept" in error.hint
            assert not list(path.rglob(f"{STAGED}*")), "staged files take room on a full disk"
            assert not (path / ".lock").read_bytes()
        else:
            break
        arm(None)
        whole_or_absent(path)
        assert digests(run(path).path) == expected, f"after {code} at point {n}"
        shutil.rmtree(path)
    assert digests(path) == expected
    assert n > 60


def test_random_kills_while_readers_look(tmp_path):
    frames, size = 120, 2
    started = time.monotonic()
    process = child(tmp_path / "whole", "", frames, size)
    process.join()
    wall = time.monotonic() - started
    expected = digests(tmp_path / "whole")
    path, chance, kills = tmp_path / "killed", random.Random(1), 0
    while kills < 20:
        process = child(path, "", frames, size)
        end = time.monotonic() + chance.uniform(0, 0.5 * wall)
        while time.monotonic() < end and process.is_alive():
            if (path / "run.json").exists():
                assert Store.open(path).verify().findings == ()
            time.sleep(0.01)
        process.kill()
        process.join()
        whole_or_absent(path)
        kills += process.exitcode != 0
        if process.exitcode == 0:
            assert digests(path) == expected
            shutil.rmtree(path)
    assert digests(run(path, frames, size).path) == expected


def test_a_write_beyond_the_file_size_limit_is_a_full_disk(tmp_path):
    import resource

    store = run(tmp_path / "a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(DiskFullError):
            store.save_result("big.bin", bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.verify().ok
    assert not (store.path / "results" / "big.bin").exists()


def test_shards_are_never_done_before_they_are_synced(tmp_path):
    """A commit that sleeps before its rename is invisible meanwhile."""
    process = child(tmp_path / "s", "commit.sync_folder:2=sleep:30")
    deadline = time.monotonic() + 20
    while not list((tmp_path / "s").glob(f"layers/{LAYER}/{STAGED}*/shard.json")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert Store.open(tmp_path / "s").done(LAYER) == frozenset()
    process.kill()
    process.join()
