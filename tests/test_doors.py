"""One door per heavy library, and a light package: what may be imported where, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gpu_quality"
DOORS = {
    "numba": ("kernels/*/cpu.py",),
    "triton": ("kernels/*/cuda.py",),
    "shapely": ("geometry/*.py",),
    "pyarrow": ("annotations/*.py", "store/*.py", "data/formats/*.py", "data/arrow*.py"),
    "pydantic": ("config.py", "cards.py"),
    "open_clip": ("encoders/open_clip.py",),
    "safetensors": ("encoders/weights.py",),
    "huggingface_hub": ("encoders/hub.py",),
    "transformers": ("encoders/open_clip.py",),
    "faiss": ("index/faiss.py",),
    "scipy": ("analysis/*.py",),
    "sklearn": ("analysis/*.py",),
    "threadpoolctl": ("analysis/joint_model.py",),
    "umap": ("analysis/projection.py",),
    "duckdb": ("store/query.py",),
    "simplejpeg": ("data/decode.py",),
    "PIL": ("data/*.py",),
    "typer": ("cli/*.py",),
    "rich": ("cli/*.py",),
    "torchvision": ("functional/boxes.py", "cli/doctor.py"),
    "orjson": ("data/formats/*.py", "authoring/*.py"),
    "av": ("data/video.py",),
    "fsspec": ("data/remote.py",),
    "defusedxml": ("data/formats/xml_records.py",),
}
ALLOWED_BELOW = {"torch", "torchvision", "numpy", "numba", "llvmlite", "jaxtyping", "triton", "gpu_quality"}


def imports(path: Path) -> set[str]:
    """Top-level packages a file imports at run time, at any depth of the file."""
    tree = ast.parse(path.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("library", DOORS)
def test_a_library_is_imported_behind_its_door_only(library):
    behind = [p for p in PACKAGE.rglob("*.py") if library in imports(p)]
    assert behind, f"nothing imports {library}: drop it from the dependencies"
    strangers = [
        str(p.relative_to(PACKAGE)) for p in behind if not any(p.relative_to(PACKAGE).match(door) for door in DOORS[library])
    ]
    assert strangers == []


@pytest.mark.parametrize("floor", ["kernels", "functional", "evaluation"])
def test_mathematics_needs_only_tensors(floor):
    for path in (PACKAGE / floor).rglob("*.py"):
        foreign = {name for name in imports(path) if name not in sys.stdlib_module_names} - ALLOWED_BELOW
        assert foreign == set(), path


def fresh(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, gpu_quality.registry; print(sorted({'torch', 'numpy', 'pandas', 'pyarrow'} & set(sys.modules)))"
    assert fresh(code) == "[]"


def test_help_imports_nothing_heavy():
    code = "import sys, gpu_quality.cli.main; print(sorted({'torch', 'numba', 'pandas', 'duckdb'} & set(sys.modules)))"
    assert fresh(code) == "[]"


def test_kernels_run_where_other_libraries_are_missing():
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in 'PIL pyarrow pandas duckdb pydantic shapely simplejpeg typer rich orjson'.split():
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
import torch, gpu_quality.functional.boxes
from gpu_quality.kernels.pixels import pixel_statistics
from gpu_quality.types import Pixels, Regions
side = torch.ones(1, dtype=torch.int32)
pixels = Pixels(torch.full((3,), 255, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), side, side)
rect, null = torch.tensor([[0, 0, 1, 1]], dtype=torch.int32), torch.zeros(1, dtype=torch.int8)
regions = Regions(torch.zeros(1, dtype=torch.int64), rect, None, null)
print(int(pixel_statistics(pixels, regions, {'moments'})['moments'].sum.sum()))
"""
    assert fresh(code) == "765"
