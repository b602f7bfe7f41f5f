"""Row `files_to_columns`: JPEG files to metrics in Parquet, beside bare decoding and cleanvision.

    python scripts/bench/files_to_columns.py --images 1000 [--json]

Every contender is a process of its own, start-up included, on the same files; runs are interleaved and the best of each counts.
The limit decodes the same files with simplejpeg in as many threads, in a process that has imported nothing else.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from make_images import vga_photos

BARE = """
import sys, os, time
from concurrent.futures import ThreadPoolExecutor
import simplejpeg
def one(path):
    with open(path, "rb") as file:
        simplejpeg.decode_jpeg(file.read())
paths = sorted(os.path.join(sys.argv[1], n) for n in os.listdir(sys.argv[1]))
begun = time.perf_counter()
with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    list(pool.map(one, paths, chunksize=16))
print(time.perf_counter() - begun)
"""
CLEANVISION = """
import sys, warnings
warnings.simplefilter("ignore")
if __name__ == "__main__":
    from cleanvision import Imagelab
    lab = Imagelab(data_path=sys.argv[1])
    lab.find_issues(verbose=False)
    lab.issues.to_parquet(sys.argv[2])
"""
RUN = "from gpu_quality.cli.main import main; main()"
TO_REACH = {"quick": 0.6, "issues": 0.4, "default": 0.4, "default with vectors": None}
"""Shares of bare decoding; `default` embeds nothing, so that it stays comparable with what it was."""


def seconds(command: list[str]) -> tuple[float, str]:
    """Wall seconds of a process, and what it printed."""
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[:4]} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - begun, done.stdout


def steady(store: Path) -> float:
    """Seconds the shards took by the receipts, without the start of the program."""
    receipts = [line for path in (store / "logs").glob("receipts-*") for line in path.read_text().splitlines()]
    return sum(json.loads(line)["seconds"]["total"] for line in receipts)


def measure(photos: Path, count: int, repeats: int, peer: bool) -> list[dict[str, object]]:
    """One measurement per contender, the best of `repeats` interleaved rounds."""
    python = sys.executable
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    best: dict[str, float] = {}

    def note(who: str, spent: float) -> None:
        best[who] = min(best.get(who, float("inf")), spent)

    for i in range(repeats):
        note("bare decode", float(seconds([python, "-c", BARE, str(photos)])[1]))
        for name in TO_REACH:
            out = scratch / f"{name.replace(chr(32), chr(95))}{i}"
            command = [python, "-c", RUN, "run", str(photos), "--out", str(out), "--quiet"]
            if name in ("quick", "issues"):
                command += ["--config", f"configs/{name}.yaml"]
            elif name == "default":
                command += ["--encoder", "none"]
            note(name, seconds(command)[0])
            note(f"{name}, steady", steady(out))
        if peer and i == 0:
            script = scratch / "cleanvision_run.py"
            script.write_text(CLEANVISION)
            note("cleanvision", seconds([python, str(script), str(photos), str(scratch / "cv.parquet")])[0])
    shutil.rmtree(scratch)
    rates = {who: count / spent for who, spent in best.items()}
    rows = []
    for who, rate in rates.items():
        of_limit = rate / rates["bare decode"]
        reach = TO_REACH.get(who.removesuffix(", steady"))
        rows.append(
            {
                "row": "files_to_columns",
                "case": f"{count} x 640x480",
                "who": who,
                "unit": "img/s",
                "value": round(rate, 1),
                "wall_s": round(best[who], 3),
                "of_limit": round(of_limit, 3),
                "to_reach": reach,
                "reached": None if reach is None else of_limit >= reach,
                "against_cleanvision": round(rate / rates["cleanvision"], 2) if "cleanvision" in rates else None,
                "machine": {
                    "cores": len(os.sched_getaffinity(0)),
                    "load": os.getloadavg(),
                    "python": platform.python_version(),
                },
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true", help="leave cleanvision out")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    photos = Path(tempfile.gettempdir()) / f"gpu-quality-bench-vga-{arguments.images}"
    vga_photos(photos, arguments.images)
    rows = measure(photos, arguments.images, arguments.repeats, not arguments.no_peer)
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f"{row['who']:<18}{row['value']:>10,.1f} img/s {row['wall_s']:>8.2f} s   of bare decode {row['of_limit']:>6.2f}"
            f"   x cleanvision {row['against_cleanvision'] or '–'}   to reach {row['to_reach'] or '–'}"
        )


if __name__ == "__main__":
    main()
