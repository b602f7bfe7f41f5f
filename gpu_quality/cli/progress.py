"""Progress on a terminal: rate, ETA and errors; silent when piped."""

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    """Units per second, as a person reads them."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="cyan")


class TerminalProgress:
    """Shows a run to the person at the terminal; a pipe gets the remarks only, and `quiet` nothing."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self.console, self.quiet = console, quiet
        self.errors = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._unit = ""

    def say(self, text: str) -> None:
        """One remark."""
        if not self.quiet:
            self.console.print(text, style="dim", markup=False)

    def begin(self, total: int, done: int, unit: str) -> None:
        """Show a bar of `total` units; `done` of them are there already."""
        self.errors = 0
        if done and done < total:
            self.say(f"resuming: {done:,} of {total:,} {unit} are done")
        if self.quiet or not sys.stderr.isatty():
            return
        # Drawn only when something happens: no thread of ours runs while workers are forked.
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self.console, auto_refresh=False, transient=True)
        self._bar.start()
        self._task = self._bar.add_task(unit, total=total, completed=done)
        self._unit = unit

    def advance(self, count: int, errors: int) -> None:
        """`count` more units are done."""
        self.errors += errors
        if self._bar is not None and self._task is not None:
            note = f" [yellow]{self.errors:,} errors[/]" if self.errors else ""
            self._bar.update(self._task, advance=count, description=f"{self._unit}{note}")
            self._bar.refresh()

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
