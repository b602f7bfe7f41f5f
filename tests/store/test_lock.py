"""One writer at a time, whoever dies, whoever is left behind."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from gpu_quality.errors import LockedError, NotAStoreError
from gpu_quality.store.commit import STAGED
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store
from tests.store.small import create

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.store.small"])


def try_to_hold(path: Path, start, over, won, refused) -> None:
    start.wait()
    try:
        with writer_lock(path):
            won.release()
            over.wait()
    except LockedError as error:
        assert "is being written by" in str(error)
        refused.release()


@pytest.mark.faults
def test_of_five_starts_one_proceeds(tmp_path):
    for trial in range(4):
        start, over = CONTEXT.Event(), CONTEXT.Event()
        won, refused = CONTEXT.Semaphore(0), CONTEXT.Semaphore(0)
        arguments = (tmp_path / f"s{trial}", start, over, won, refused)
        processes = [CONTEXT.Process(target=try_to_hold, args=arguments) for _ in range(5)]
        for process in processes:
            process.start()
        start.set()
        assert won.acquire(timeout=20)
        assert all(refused.acquire(timeout=20) for _ in range(4))
        assert not won.acquire(block=False)
        over.set()
        for process in processes:
            process.join()
            assert process.exitcode == 0


def hold_and_fork(path: Path, ready) -> None:
    with writer_lock(path):
        if os.fork() == 0:
            time.sleep(20)  # a worker that outlives its parent
            os._exit(0)
        ready.set()
        time.sleep(20)


@pytest.mark.faults
def test_a_killed_holder_frees_the_lock_even_if_its_children_live(tmp_path):
    ready = CONTEXT.Event()
    holder = CONTEXT.Process(target=hold_and_fork, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(20)
    with pytest.raises(LockedError) as caught, writer_lock(tmp_path):
        pass
    assert f"process {holder.pid} on " in str(caught.value)
    assert " since 20" in str(caught.value)
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    holder.kill()
    holder.join()
    try:
        deadline = time.monotonic() + 1
        while True:
            try:
                with writer_lock(tmp_path):
                    break
            except LockedError:
                assert time.monotonic() < deadline
    finally:
        for pid in children:
            os.kill(int(pid), signal.SIGKILL)


def test_readers_do_not_wait_and_a_second_start_says_why(tmp_path):
    with writer_lock(tmp_path):
        create(tmp_path)
        assert Store.open(tmp_path).verify().ok
        with pytest.raises(LockedError, match=f"process {os.getpid()} ") as caught, writer_lock(tmp_path):
            pass
        assert caught.value.exit_code == 11
        assert "--out" in caught.value.hint
    assert (tmp_path / ".lock").read_bytes() == b""


def test_a_new_writer_sweeps_and_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "s" / "layers" / "x" / f"{STAGED}9-9").mkdir(parents=True)
    with writer_lock(tmp_path / "s"):
        assert os.listdir(tmp_path / "s" / "layers" / "x") == []
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    with pytest.raises(NotAStoreError, match=r"a\.jpg"), writer_lock(tmp_path / "photos"):
        pass
    assert os.listdir(tmp_path / "photos") == ["a.jpg"]
    with pytest.raises(NotAStoreError, match="not a folder"), writer_lock(tmp_path / "photos" / "a.jpg"):
        pass
