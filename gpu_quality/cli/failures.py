"""What `gpu-quality errors` prints: why frames, annotation rows and cells have no value."""

from collections import Counter
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpu_quality.store.store import Store
from gpu_quality.text import clean

ERRORS_SHOWN: Final = 100


def errors_table(store: Store, console: Console) -> None:
    """Print why frames, annotation rows and cells have no value: counts by reason, then the first rows."""
    table = store.errors()
    if table.empty:
        console.print("no errors", markup=False)
        return
    for reason, count in _reasons(table["reason"]):
        console.print(f"{count:>8,}  {clean(reason)}", markup=False)
    shown = Table("where", "stage", "reason", "detail", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for row in table.head(ERRORS_SHOWN).to_dict("records"):
        shown.add_row(*[Text(clean(part, 120)) for part in (_where(row), row["stage"], row["reason"], _detail(row))])
    console.print()
    console.print(shown)
    if len(table) > ERRORS_SHOWN:
        console.print(f"… and {len(table) - ERRORS_SHOWN:,} more; --json prints all of them", markup=False)


def errors_json(store: Store) -> dict[str, Any]:
    """What `errors_table` prints, with every row: ``{"count", "reasons": {reason: count}, "rows": [...]}``."""
    table = store.errors()
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return {"count": len(rows), "reasons": dict(_reasons(table["reason"])), "rows": rows}


def _reasons(reasons: Any) -> list[tuple[str, int]]:
    counts = Counter(str(reason) for reason in reasons)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _where(row: dict[str, Any]) -> str:
    place = row["frame"] if isinstance(row["frame"], str) else row["uri"]
    line = row.get("line")
    return f"{place}:{int(line)}" if line is not None and line >= 0 else str(place)


def _detail(row: dict[str, Any]) -> str:
    return f"{row['metric']}: {row['detail']}" if isinstance(row["metric"], str) else str(row["detail"])
