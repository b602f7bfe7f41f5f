"""Print the README's table of metrics, made from the code; `--write FILE` puts it between the markers, `--check` compares."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from readme_table import Place

from gpu_quality import registry
from gpu_quality.cli.metrics import by_topic, range_of

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


PLACE = Place("metrics", table)

if __name__ == "__main__":
    sys.exit(PLACE.main(__doc__))
