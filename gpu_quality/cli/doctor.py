"""The verb doctor: versions, limits and devices of this machine, and what to do about what is wrong."""

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
from typing import Any, Final

import typer

from gpu_quality.cli.common import JsonFlag, print_json, stdout

FLOORS: Final = {"torch": (2, 10), "torchvision": (0, 25), "pillow": (12, 3), "pyarrow": (14, 0, 1), "numpy": (2, 0)}
"""Older versions have known decoding or loading holes, or lack what is used here."""
OTHERS: Final = ("numba", "pandas", "duckdb", "simplejpeg", "shapely", "pycocotools", "triton")


def doctor(json: JsonFlag = False) -> None:
    """Check versions, that torch and torchvision fit together, kernels and devices; exit 1 if something is wrong.

    Example: gpu-quality doctor
    """
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "disk_free_gb": round(shutil.disk_usage(".").free / 1e9, 1),
        "versions": {name: _version(name) for name in (*FLOORS, *OTHERS)},
    }
    problems = [*_old(facts["versions"]), *_torch_pair(), *_kernels()]
    facts["cuda"] = _cuda()
    if json:
        print_json({**facts, "problems": problems})
    else:
        console = stdout()
        for name, value in facts.items():
            shown = ", ".join(f"{k} {v or '–'}" for k, v in value.items()) if isinstance(value, dict) else value
            console.print(f"{name:<14}{shown}", markup=False, soft_wrap=True)
        for problem in problems:
            console.print(f"problem: {problem}", style="red", markup=False, soft_wrap=True)
        if not problems:
            console.print("everything fits together", style="green")
    if problems:
        raise typer.Exit(1)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _old(versions: dict[str, str | None]) -> list[str]:
    found = []
    for name, floor in FLOORS.items():
        version = versions[name]
        if version is None:
            found.append(f"{name} is not installed; pip install {name}")
        elif tuple(int(part) for part in re.findall(r"\d+", version)[: len(floor)]) < floor:
            found.append(f"{name} {version} is older than {'.'.join(map(str, floor))}; pip install -U {name}")
    return found


def _torch_pair() -> list[str]:
    """Torchvision holds compiled operators that load only beside the torch build they were compiled for."""
    try:
        import torch

        boxes = importlib.import_module("torchvision.ops")
        boxes.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except Exception as error:
        kind = "CPU-only" if "+cpu" in str(_version("torch")) else "installed"
        return [
            f"torchvision {_version('torchvision')} does not load beside the {kind} torch {_version('torch')} ({error}); "
            "both must come from the same index: pip install --force-reinstall torch torchvision, without extra indexes"
        ]
    return []


def _kernels() -> list[str]:
    """Run the compiled kernel on one pixel; the first time on a machine this compiles it."""
    try:
        from gpu_quality import score

        value = score([_white()], metrics=["brightness"])["brightness"].item()
    except Exception as error:
        return [f"the pixel kernel does not run: {type(error).__name__}: {error}"]
    return [] if value == 1.0 else [f"the pixel kernel says a white pixel has brightness {value}"]


def _white() -> Any:
    import numpy as np

    return np.full((1, 1, 3), 255, np.uint8)


def _cuda() -> list[str]:
    try:
        import torch
    except Exception:
        return []  # `_torch_pair` has told why

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
