"""Kill the whole program at any moment, run it again: the same bytes as if nothing had happened."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from photos import data_files, write_photos

import gpu_quality as gq
from gpu_quality.store.failpoints import arm

pytestmark = pytest.mark.faults

METRICS = ["brightness", "sharpness", "phash_distance", "is_dark_issue"]


def run(folder: Path, out: Path, kind: str = "inline") -> gq.Store:
    settings = {"engine": {"kind": kind, "shard": 4}, "max_errors": "50%"}
    return gq.run(folder, out=out, metrics=METRICS, settings=settings)


def _dying(folder: Path, out: Path, point: str, kind: str) -> None:
    torch.set_num_threads(1)  # the OpenMP pool of the forked parent is gone; workers do the same
    arm(point)
    run(folder, out, kind)
    os._exit(0)


@pytest.mark.parametrize("kind", ["inline", "local"])
def test_killed_at_commit_points_and_run_again(tmp_path, kind):
    write_photos(tmp_path / "in", 10, broken=1)
    run(tmp_path / "in", tmp_path / "whole")
    expected = data_files(tmp_path / "whole")
    fired = 0
    for point in range(1, 400, 7 if kind == "inline" else 29):
        out = tmp_path / "out"
        process = multiprocessing.get_context("fork").Process(
            target=_dying, args=(tmp_path / "in", out, f"any:{point}=kill", kind)
        )
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        fired += 1
        run(tmp_path / "in", out)
        assert data_files(out) == expected, f"after a kill at point {point}"
        assert gq.open_store(out).verify(read_data=True).findings == ()
        shutil.rmtree(out)
    print(f"trials {fired}, faults fired {fired}, bad outcomes 0")
    assert fired > (5 if kind == "inline" else 1)


def _command(folder: Path, out: Path) -> list[str]:
    program = [sys.executable, "-c", "from gpu_quality.cli.main import main; main()"]
    arguments = [
        "run",
        str(folder),
        "--out",
        str(out),
        "--metrics",
        ",".join(METRICS),
        "--config",
        str(folder.parent / "c.yaml"),
    ]
    return [*program, *arguments, "--quiet"]


def test_random_kills_of_the_process_group(tmp_path):
    write_photos(tmp_path / "in", 60, size=(200, 150))
    (tmp_path / "c.yaml").write_text("engine: {shard: 4}\nmax_errors: 50%\n")
    started = time.monotonic()
    assert subprocess.run(_command(tmp_path / "in", tmp_path / "whole"), check=False).returncode == 0
    length = time.monotonic() - started
    expected = data_files(tmp_path / "whole")
    rng = random.Random(4)
    kills = 0
    for trial in range(4):
        out = tmp_path / f"out{trial}"
        for attempt in range(4):
            process = subprocess.Popen(_command(tmp_path / "in", out), start_new_session=True)
            try:
                process.wait(timeout=None if attempt == 3 else rng.uniform(0.4, 0.95) * length)
                break
            except subprocess.TimeoutExpired:
                kills += 1
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        assert process.returncode == 0
        assert data_files(out) == expected
    assert kills
    print(f"trials 4, faults fired {kills}, bad outcomes 0")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_it_cleanly(tmp_path, sent, code):
    write_photos(tmp_path / "in", 8)
    (tmp_path / "c.yaml").write_text("engine: {shard: 4}\n")
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import gpu_quality as gq, time, torch\n@gq.metric(unit='1')\ndef slow(sizes):\n    'Waits.'\n"
        "    time.sleep(1.5)\n    return torch.zeros(len(sizes.width))\n"
    )
    command = _command(tmp_path / "in", tmp_path / "out")
    command[command.index("--metrics") + 1] = "slow"
    process = subprocess.Popen([*command, "--plugin", str(slow)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "run.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(sent)
    begun = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - begun < 10
    assert "run the same command again" in said
    assert "Traceback" not in said
    command = [*command, "--plugin", str(slow)]
    assert subprocess.run(command, check=False).returncode == 0
    assert gq.open_store(tmp_path / "out").status()["complete"]
