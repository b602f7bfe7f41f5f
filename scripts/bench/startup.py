"""Row `startup`: seconds of `import gpu_quality` and of `gpu-quality --help`, best of five fresh processes.

python scripts/bench/startup.py [--json]
"""

import argparse
import json
import subprocess
import sys
import time

CASES = {
    "import gpu_quality": (["-c", "import gpu_quality"], 0.3),
    "gpu-quality --help": (
        ["-c", "import sys; sys.argv = ['gpu-quality', '--help']; from gpu_quality.cli.main import main; main()"],
        0.5,
    ),
    "python alone": (["-c", "pass"], None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for name, (command, reach) in CASES.items():
        best = float("inf")
        for _ in range(5):
            begun = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            best = min(best, time.perf_counter() - begun)
        rows.append({"row": "startup", "case": name, "unit": "s", "value": round(best, 3), "to_reach": reach})
    print(
        json.dumps(rows)
        if arguments.json
        else "\n".join(f"{r['case']:<22}{r['value']:>7.3f} s   to reach {r['to_reach']}" for r in rows)
    )


if __name__ == "__main__":
    main()
