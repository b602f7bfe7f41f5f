"""Tables that the README holds between two markers, made by code: put in place, compared, or printed."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where a table stands, and what makes it."""

    name: str
    table: Callable[[], str]

    def replaced(self, text: str) -> str:
        """A README with the table between its markers. Raises `SystemExit` where it has none."""
        begin, end = f"<!-- {self.name}:begin -->", f"<!-- {self.name}:end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"there is no {begin} … {end} in the file")
        return f"{before}{begin}\n{self.table()}\n{end}{after}"

    def main(self, about: str) -> int:
        """The program of a script whose docstring is `about`."""
        parser = argparse.ArgumentParser(description=about)
        parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the file's markers")
        parser.add_argument("--check", type=Path, metavar="FILE", help="exit 1 if the file's table is not this one")
        options = parser.parse_args()
        if options.check:
            text = options.check.read_text(encoding="utf-8")
            return int(self.replaced(text) != text)
        if options.write:
            options.write.write_text(self.replaced(options.write.read_text(encoding="utf-8")), encoding="utf-8")
        else:
            sys.stdout.write(self.table() + "\n")
        return 0
