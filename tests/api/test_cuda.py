"""The whole run on a CUDA device gives the numbers of the CPU."""

import pytest
import torch
from photos import write_photos

import gpu_quality as gq


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_run_on_cuda_equals_one_on_the_cpu(tmp_path):
    write_photos(tmp_path / "in", 9, size=(97, 61))
    write_photos(tmp_path / "in" / "more", 3, size=(640, 480))
    tables = []
    for device in ("cpu", "cuda"):
        settings = {"engine": {"kind": "inline", "device": device}}
        tables.append(gq.run(tmp_path / "in", out=tmp_path / device, settings=settings).table("frame"))
    assert tables[0].equals(tables[1])
