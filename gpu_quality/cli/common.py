"""What every verb shares: flags, consoles, JSON on stdout, errors that tell the whole story."""

import json
import math
import shlex
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from gpu_quality.errors import GpuQualityError
from gpu_quality.text import clean

__all__ = [
    "JsonFlag",
    "Out",
    "Plugins",
    "QuietFlag",
    "clean",
    "print_json",
    "records",
    "show_error",
    "stderr",
    "stdout",
    "typed",
]

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
Plugins = Annotated[list[str] | None, typer.Option("--plugin", help="Python file with your own metrics; may be repeated.")]
_LONGEST_WORD: Final = 20_000
"""Characters; a condition may have half as many."""
Out = Annotated[str, typer.Argument(help="The store: the folder given to --out.", metavar="OUT")]


def stdout() -> Console:
    """Where results go; 100 columns wide when piped, so that tables stay tables."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def stderr() -> Console:
    """Where progress, remarks and errors go."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def typed(*words: object) -> str:
    """Words as a shell takes them: bare where they can be, else between quotes; what is told to be typed can be pasted."""
    return " ".join(_word(clean(word, _LONGEST_WORD)) for word in words)


def _word(text: str) -> str:
    safe = shlex.quote(text)
    return safe if safe == text or any(sign in text for sign in '"$`\\!') else f'"{text}"'


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout; what has no value is null."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """NumPy and pandas scalars as JSON knows them."""
    if hasattr(value, "item"):
        return value.item()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def records(frame: Any) -> list[dict[str, Any]]:
    """Rows of a data frame as dictionaries; null and non-finite values are None."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(key): _finite(value) for key, value in row.items()} for row in rows]


def _finite(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy scalars, and arrays in cells such as polygons
        value = value.tolist()
    if isinstance(value, list):
        return [_finite(part) for part in value]
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show_error(error: GpuQualityError, *, as_json: bool, debug: bool) -> None:
    """Print an error: what and where, then what to do next; as JSON when the command was asked for JSON."""
    told = {"code": error.code, "message": str(error), "hint": error.hint or None, "exit_code": error.exit_code}
    if as_json:
        print_json({"error": told})
    lines = [f"gpu-quality: error [{error.code}]: {clean(error, 600)}"]
    if error.hint:
        lines.append(f"  next: {clean(error.hint, 300)}")
    if debug:
        lines.extend(getattr(error, "__notes__", []))
    sys.stderr.write("\n".join(lines) + "\n")
