"""Every defect the demo plants is found."""

import subprocess
import sys
from pathlib import Path

import gpu_quality as gq

ROOT = Path(__file__).parents[1]
PLANTED = {
    "defect_dark.jpg": "dark",
    "defect_bright.jpg": "light",
    "defect_blurred.jpg": "blurry",
    "defect_tiny.jpg": "odd_size",
    "defect_gray.jpg": "grayscale",
    "defect_flat.jpg": "low_information",
    "defect_strip.jpg": "odd_aspect_ratio",
    "defect_copy_of_chelsea_0.jpg": "exact_duplicates",
    "defect_resaved_rocket_0.jpg": "near_duplicates",
}


def test_every_planted_defect_is_found(tmp_path):
    subprocess.run([sys.executable, str(ROOT / "scripts" / "make_images.py"), str(tmp_path / "photos")], check=True)
    store = gq.run(tmp_path / "photos", out=tmp_path / "run", settings={"engine": {"kind": "inline"}, "max_errors": "10%"})
    table = store.table("frame").set_index("frame")
    for name, issue in PLANTED.items():
        assert table.loc[name, f"is_{issue}_issue"], name
    assert store.errors()[["frame", "reason"]].values.tolist() == [["defect_truncated.jpg", "truncated"]]
    sound = table[~table.index.str.startswith("defect_")]
    flags = [column for column in table.columns if column.endswith("_issue") and "duplicates" not in column]
    assert not sound[flags].astype(bool).any(axis=None)
