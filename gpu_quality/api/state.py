"""How far a run is, and where its seconds went."""

import json
from collections import Counter
from typing import Any

from gpu_quality.api.changes import failed_frames
from gpu_quality.store.store import Store


def state(store: Store) -> dict[str, Any]:
    """The store's status with reasons of failed frames, failed cells, and seconds by phase added up over all receipts."""
    errors = store.errors()
    whole = failed_frames(store)
    seconds: Counter[str] = Counter()
    for path in sorted((store.path / "logs").glob("receipts-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                seconds.update(json.loads(line)["seconds"])
            except (ValueError, KeyError, TypeError):
                continue  # a line cut short by a crash; logs hold no results
    return {
        "path": str(store.path),
        **store.status(),
        "objects": store.input.count("objects"),
        "reasons": {str(k): int(v) for k, v in whole["reason"].value_counts().items()},
        "cell_errors": int(errors["metric"].notna().sum()),
        "seconds": {name: round(spent, 2) for name, spent in seconds.items()},
    }
