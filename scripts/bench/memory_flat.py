"""Row `memory_flat`: peak memory of a long run must not grow with the number of frames.

    python scripts/bench/memory_flat.py --images 20000 [--json]

The worker's resident memory is sampled while it scores; growth is the last tenth against the second tenth (after warm-up).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from make_images import vga_photos


def resident(pid: int) -> int:
    """Resident bytes of a process and its children."""
    total = 0
    for line in subprocess.run(
        ["ps", "-o", "rss=", "--ppid", str(pid), "--pid", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split():
        total += int(line) * 1024
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    real = vga_photos(Path(tempfile.gettempdir()) / "gpu-quality-bench-vga-1000", 1000)
    folder = Path(tempfile.mkdtemp(prefix="bench-links-"))
    for i in range(arguments.images):
        (folder / f"{i:06d}.jpg").hardlink_to(real[i % len(real)])
    out = Path(tempfile.mkdtemp(prefix="bench-store-")) / "store"
    command = [
        sys.executable,
        "-c",
        "from gpu_quality.cli.main import main; main()",
        "run",
        str(folder),
        "--out",
        str(out),
        "--quiet",
    ]
    process = subprocess.Popen(command)
    samples = []
    while process.poll() is None:
        samples.append(resident(process.pid) / 1e6)
        time.sleep(0.5)
    receipts = [path.read_text().count("\n") for path in (out / "logs").glob("receipts-*")]
    tenth = len(samples) // 10
    early, late = max(samples[tenth : 2 * tenth]), max(samples[-tenth:])
    row = {
        "row": "memory_flat",
        "case": f"{arguments.images} x 640x480, default set",
        "unit": "MB",
        "value": round(max(samples)),
        "early": round(early),
        "late": round(late),
        "growth": round(late / early - 1, 4),
        "to_reach": 0.05,
        "reached": late / early - 1 <= 0.05,
        "shards": sum(receipts),
        "seconds": len(samples) * 0.5,
    }
    print(json.dumps(row) if arguments.json else "\n".join(f"{key:<10}{value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
