"""Row `ragged_iou`: overlaps of all boxes of 5,000 frames, beside a loop over torchvision and pycocotools, on one thread."""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from pycocotools import mask
from torchvision.ops import box_iou

from gpu_quality.kernels import matching
from gpu_quality.kernels.matching import Cells
from gpu_quality.kernels.threads import set_threads

FRAMES, LABELS, PREDICTIONS = 5000, 36_000, 260_000


def some() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Cells]:
    """Boxes x y w h of labels and predictions, no crowds, and a cell per frame: about 1.87 million pairs."""
    rng = np.random.default_rng(0)
    frame, other = (torch.from_numpy(np.sort(rng.integers(0, FRAMES, n))) for n in (LABELS, PREDICTIONS))
    boxes = [
        torch.from_numpy(np.concatenate([rng.uniform(0, 500, (n, 2)), np.exp(rng.normal(3.8, 1, (n, 2)))], 1))
        for n in (LABELS, PREDICTIONS)
    ]
    score = torch.from_numpy(rng.random(PREDICTIONS))
    found = matching.cells(frame, torch.zeros_like(frame), other, torch.zeros_like(other), score, pooled=True)
    return boxes[0], boxes[1], torch.zeros(LABELS, dtype=torch.bool), found


def by_cell(found: Cells, work: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """A loop over cells that asks for the table of rows of predictions and labels."""
    ends = zip(found.prediction_offset.tolist(), found.prediction_offset.tolist()[1:], strict=False)
    others = zip(found.label_offset.tolist(), found.label_offset.tolist()[1:], strict=False)
    tables = [work(found.prediction[a:b], found.label[c:d]) for (a, b), (c, d) in zip(ends, others, strict=True)]
    return torch.cat([table.flatten() for table in tables])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_threads(1)
    label, prediction, crowd, found = some()
    corners = [torch.cat([box[:, :2], box[:, :2] + box[:, 2:]], 1) for box in (label, prediction)]
    arrays = [box.numpy() for box in (label, prediction)]

    def theirs(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        if not len(p) or not len(q):
            return torch.zeros(0, dtype=torch.float64)
        return torch.from_numpy(mask.iou(arrays[1][p.numpy()], arrays[0][q.numpy()], [0] * len(q)))

    works: dict[str, Callable[[], torch.Tensor]] = {
        "gpu_quality": lambda: matching.box_overlaps(label, prediction, crowd, found),
        "torchvision loop": lambda: by_cell(found, lambda p, q: box_iou(corners[1][p], corners[0][q])),
        "pycocotools loop": lambda: by_cell(found, theirs),
    }
    expected = works["gpu_quality"]()
    if not torch.equal(expected, works["pycocotools loop"]()) or not torch.allclose(expected, works["torchvision loop"]()):
        raise SystemExit("overlaps disagree")
    best = dict.fromkeys(works, float("inf"))
    for _ in range(options.rounds):
        for name, work in works.items():
            begin = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - begin)
    for name, seconds in best.items():
        row = {"row": "ragged_iou", "case": f"{len(expected)} pairs", "who": name, "unit": "Mpair/s/core",
               "value": round(len(expected) / seconds / 1e6, 1),
               "of_ours": round(seconds / best["gpu_quality"], 1)}  # fmt: skip
        line = f"{row['case']:16s} {name:18s} {row['value']:8.1f} Mpair/s/core  time {row['of_ours']:6.1f} x ours"
        print(json.dumps(row) if options.json else line)


if __name__ == "__main__":
    main()
