"""Print the README's table of metrics, made from the code; `--write FILE` puts it between the markers, `--check` compares."""

import argparse
import sys
from pathlib import Path

from gpu_quality import registry
from gpu_quality.cli.metrics import by_topic, range_of

BEGIN, END = "<!-- metrics:begin -->", "<!-- metrics:end -->"
EXAMPLE = "Made by `scripts/table_of_metrics.py --write README.md`; region = frames, and objects as `object_<metric>`."


def table() -> str:
    """All built-in metrics as Markdown, a table for each topic."""
    registry.load_built_in()
    lines = [EXAMPLE, ""]
    for topic, every in by_topic().items():
        nodes = [node for node in every if node.module.startswith("gpu_quality.")]
        if not nodes:
            continue
        lines += [f"**{topic}**", "", "| metric | per | unit | range | bad | what it means |", "|---|---|---|---|---|---|"]
        for node in nodes:
            bad = "" if node.bad == "neither" else node.bad
            cells = (f"`{node.name}`", node.per, node.unit, range_of(node), bad, node.summary)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines).strip()


def replaced(text: str) -> str:
    """A README with the table between its markers. Raises `SystemExit` where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"there is no {BEGIN} … {END} in the file")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the file's markers")
    parser.add_argument("--check", type=Path, metavar="FILE", help="exit 1 if the file's table is not this one")
    options = parser.parse_args()
    if options.check:
        text = options.check.read_text(encoding="utf-8")
        return int(replaced(text) != text)
    if options.write:
        options.write.write_text(replaced(options.write.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(table() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
