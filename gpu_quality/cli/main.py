"""The program `gpu-quality`: its verbs, its exit codes, and what it says when something is wrong."""

import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Annotated

import typer

from gpu_quality import __version__
from gpu_quality.cli import (
    check,
    convert,
    doctor,
    drift,
    duplicates,
    evaluate,
    importance,
    metric,
    model,
    outliers,
    performance,
    run,
    search,
    select,
    slices,
    stores,
    views,
)
from gpu_quality.cli.common import show_error
from gpu_quality.errors import GpuQualityError, UsageError

app = typer.Typer(
    name="gpu-quality",
    help="What is wrong with your images, your labels and your model. Add --debug to any command for tracebacks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
metrics = typer.Typer(help="The metrics there are, generated from the code.", no_args_is_help=True)
models = typer.Typer(help="Image encoders: their cards and weights.", no_args_is_help=True)
app.add_typer(metrics, name="metric")
app.add_typer(models, name="model")
parts = typer.Typer(help="Slices: parts of the data where the model fails, their figures and tests.", no_args_is_help=True)
app.add_typer(parts, name="slice")
_VERBS: tuple[Callable[..., None], ...] = (
    run.run,
    run.explain,
    stores.show,
    stores.report,
    stores.query,
    stores.export,
    stores.errors,
    stores.status,
    stores.verify,
    stores.repair,
    check.check,
    convert.convert,
    evaluate.evaluate,
    evaluate.compare,
    importance.importance,
    performance.performance,
    outliers.outliers,
    views.balance,
    views.scatter,
    search.search,
    duplicates.duplicates,
    drift.drift,
    doctor.doctor,
)
for verb in _VERBS:
    app.command()(verb)
app.command(cls=select.SelectCommand)(select.select)
parts.command("find")(slices.find)
parts.command("add")(slices.add)
parts.command("list")(slices.list_)
parts.command("remove")(slices.remove)
parts.command("test")(slices.check)
models.command("list")(model.list_)
models.command("verify")(model.verify)
models.command("fetch")(model.fetch)
metrics.command("list")(metric.list_)
metrics.command("show")(metric.show)
metrics.command("run")(metric.run)
metrics.command("import")(metric.import_)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        sys.stdout.write(f"gpu-quality {__version__}\n")
        raise typer.Exit


class _Terminated(BaseException):
    """SIGTERM arrived."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated


def main() -> None:
    """The console script: run the program and leave at once, without the 0.7 s that torch takes to be torn down."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 gets ? instead of a crash
    code = program()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def program() -> int:
    """Run the command line; returns the exit code, and never shows a traceback for a user's mistake."""
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    as_json = "--json" in arguments
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(arguments, standalone_mode=False)
    except GpuQualityError as error:
        show_error(error, as_json=as_json, debug=debug)
        if debug:
            traceback.print_exc()
        code = error.exit_code
    except typer.Exit as stop:
        code = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except _Terminated:
        code = 143
    except BrokenPipeError:
        os._exit(141)  # as the shell tells a closed pipe: what was asked for is not finished
    except Exception as error:
        if _is_usage(error):
            code = _show_usage(error, as_json=as_json)
        else:
            told = GpuQualityError(
                f"this is a bug: {type(error).__name__}: {error}", hint="run again with --debug and report it"
            )
            show_error(told, as_json=as_json, debug=False)
            if debug:
                traceback.print_exc()
            code = 1
    if code in (130, 143):  # typer turns Ctrl-C into a code of its own
        sys.stderr.write("gpu-quality: stopped; what is committed is kept, run the same command again to go on\n")
    return code if isinstance(code, int) else 0


def _is_usage(error: Exception) -> bool:
    return hasattr(error, "exit_code") and hasattr(error, "format_message")


def _show_usage(error: Exception, *, as_json: bool) -> int:
    """A wrong flag or argument, told in one line."""
    told = UsageError(error.format_message(), hint="gpu-quality --help")  # type: ignore[attr-defined]
    show_error(told, as_json=as_json, debug=False)
    return told.exit_code
