"""One writer at a time, whoever dies, whoever is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpu_quality.errors import LockedError, NotAStoreError
from gpu_quality.store.commit import STAGED
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store
from tests.store.small import create

HOLD = """
import os, sys, time
from pathlib import Path
from gpu_quality.errors import LockedError
from gpu_quality.store.lock import writer_lock
print("ready", flush=True)
sys.stdin.readline()
try:
    with writer_lock(Path(sys.argv[1])):
        if sys.argv[2] == "fork" and os.fork() == 0:
            time.sleep(60)  # a worker that outlives its parent
            os._exit(0)
        print("holds", flush=True)
        sys.stdin.readline()
except LockedError as error:
    print(error, flush=True)
"""
ROOT = Path(__file__).resolve().parents[2]


def start(path: Path, mode: str = "") -> subprocess.Popen[str]:
    """A process that waits for a line, tries to hold the lock, says how it went, and holds it until the next line."""
    command = [sys.executable, "-c", HOLD, str(path), mode]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0)


def tell(process: subprocess.Popen[str]) -> None:
    print(file=process.stdin, flush=True)


@pytest.mark.faults
def test_of_five_starts_one_proceeds(tmp_path):
    for trial in range(4):
        processes = [start(tmp_path / f"s{trial}") for _ in range(5)]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 5
        for process in processes:
            tell(process)
        said = [process.stdout.readline() for process in processes]
        assert sorted("is being written by" in line for line in said) == [False] + [True] * 4
        assert said.count("holds\n") == 1
        for process in processes:
            process.communicate("\n")
            assert process.returncode == 0


@pytest.mark.faults
def test_a_killed_holder_frees_the_lock_even_if_its_children_live(tmp_path):
    holder = start(tmp_path, "fork")
    try:
        tell(holder)
        assert [holder.stdout.readline() for _ in range(2)] == ["ready\n", "holds\n"]
        with pytest.raises(LockedError) as caught, writer_lock(tmp_path):
            pass
        assert f"process {holder.pid} on " in str(caught.value)
        assert " since 20" in str(caught.value)
        holder.kill()
        holder.wait()
        deadline = time.monotonic() + 1
        while True:
            try:
                with writer_lock(tmp_path):
                    break
            except LockedError:
                assert time.monotonic() < deadline
        os.killpg(holder.pid, 0)  # raises if the worker had gone with its parent: then nothing was shown
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.communicate()


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
        assert not list((tmp_path / "s" / "layers" / "x").iterdir())
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    with pytest.raises(NotAStoreError, match=r"a\.jpg"), writer_lock(tmp_path / "photos"):
        pass
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.jpg"]
    with pytest.raises(NotAStoreError, match="not a folder"), writer_lock(tmp_path / "photos" / "a.jpg"):
        pass
