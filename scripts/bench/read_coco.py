"""How long and how much memory reading a large COCO file takes, beside json.load and pycocotools on the same file.

Every reader runs in a process of its own; seconds exclude imports, memory is the process's high-water mark. Example:
``python scripts/bench/read_coco.py --images 120000 --annotations 1000000 --polygon 25``.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

MEASURE = """
import json, sys, time
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
path = sys.argv[1]
{imports}
base, start, cpu = peak(), time.perf_counter(), time.process_time()
{work}
seconds, cpu = round(time.perf_counter() - start, 2), round(time.process_time() - cpu, 2)
print(json.dumps(dict(seconds=seconds, cpu_seconds=cpu, peak_mb=round(peak()), imports_mb=round(base), count=count)))
"""
READERS = {
    "gpu_quality": (
        "from pathlib import Path\nfrom gpu_quality.annotations import Builder\nfrom gpu_quality.data.formats.coco import read",
        "builder = Builder()\nread(Path(path), builder, 'labels')\ndataset = builder.build()\ncount = dataset.objects.num_rows",
    ),
    "json.load": ("", "data = json.load(open(path))\ncount = len(data['annotations'])"),
    "orjson.loads": ("import orjson", "data = orjson.loads(open(path, 'rb').read())\ncount = len(data['annotations'])"),
    "pycocotools": (
        "import contextlib\nfrom pycocotools.coco import COCO",
        "with contextlib.redirect_stdout(sys.stderr):\n    data = COCO(path)\ncount = len(data.anns)",
    ),
}


def write_file(path: Path, images: int, annotations: int, points: int) -> None:
    """A COCO instances file; annotations in random order of images, polygons of `points` points where that is not 0."""
    numbers = random.Random(0)
    with path.open("w") as file:
        file.write('{"info": {"year": 2026}, "images": [')
        for i in range(images):
            name = f"train/{i:012d}.jpg"
            file.write(f'{", " if i else ""}{{"license": 1, "file_name": "{name}", "height": 480, "width": 640, "id": {i}}}')
        file.write('], "annotations": [')
        for i in range(annotations):
            x, y, w, h = (round(numbers.uniform(1, 300), 2) for _ in range(4))
            record: dict[str, object] = {"area": round(w * h / 2, 4), "iscrowd": 0, "image_id": numbers.randrange(images)}
            record |= {"bbox": [x, y, w, h], "category_id": numbers.randrange(1, 81), "id": i}
            if points:
                ring = [round(start + numbers.random() * side, 2) for _ in range(points) for start, side in ((x, w), (y, h))]
                record = {"segmentation": [ring], **record}
            file.write((", " if i else "") + json.dumps(record))
        classes = [{"supercategory": "thing", "id": i, "name": f"class {i}"} for i in range(1, 81)]
        file.write(f'], "categories": {json.dumps(classes)}}}')


def measure(reader: str, path: Path) -> dict[str, float]:
    """Seconds and memory of one reader."""
    imports, work = READERS[reader]
    code = MEASURE.replace("{imports}", imports).replace("{work}", work)
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return dict(json.loads(run.stdout.splitlines()[-1]))


def main() -> None:
    """Write the file, run every reader, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=120_000)
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--polygon", type=int, default=0, metavar="POINTS", help="points per object; 0 = boxes only")
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--json", action="store_true", help="one object on stdout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instances.json"
        write_file(path, options.images, options.annotations, options.polygon)
        size = path.stat().st_size / 1e6
        results = {reader: measure(reader, path) for reader in options.readers}
    if options.json:
        print(
            json.dumps(
                {"images": options.images, "annotations": options.annotations, "file_mb": round(size), "readers": results}
            )
        )
        return
    print(f"{options.images:,} images, {options.annotations:,} annotations, {size:.0f} MB of JSON")
    for reader, r in results.items():
        times = f"{r['seconds']:6.2f} s ({r['cpu_seconds']:.2f} s of CPU)"
        print(f"{reader:>14}: {times}, peak {r['peak_mb']:,.0f} MB ({r['imports_mb']:,.0f} MB of it after imports)")


if __name__ == "__main__":
    main()
