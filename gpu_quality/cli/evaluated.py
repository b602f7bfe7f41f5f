"""How the terminal and ``--json`` show an evaluation."""

from typing import TYPE_CHECKING, Any, Final

from gpu_quality.cli.common import clean, records, stderr, stdout, typed
from gpu_quality.cli.tabular import cell, show_table
from gpu_quality.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from gpu_quality.api.evaluation import Evaluation

SHOWN: Final = 20
"""Classes that the terminal lists."""


def as_json(found: "Evaluation", ranges: "pd.DataFrame | None", *, tide: bool, calibration: bool, lrp: bool) -> dict[str, Any]:
    """One object with everything that was asked for."""
    told = found.to_dict()
    if ranges is not None:
        told["intervals"] = records(ranges)
    if tide:
        told["tide"] = found.tide_summary()
    if calibration:
        told["calibration"] = found.calibration_summary()
    if lrp:
        told["lrp"] = records(found.per_class[["oLRP", "threshold_LRP"]].reset_index())
    return told


def show(found: "Evaluation", ranges: "pd.DataFrame | None", *, quiet: bool) -> None:
    """The protocol's table, counts in one line, and the classes, the worst first."""
    out = stdout()
    out.print(found.table(), markup=False)
    if ranges is not None:
        _intervals(ranges)
    if quiet:
        return
    total = found.grid((found.confidence,), (found.iou,), average="micro").iloc[0]
    precision, recall, f1 = (cell(float(total[name])) for name in ("precision", "recall", "f1"))
    out.print(
        f"\nat confidence {found.confidence:g} and IoU {found.iou:g}: {int(total.tp):,} right, {int(total.fp):,} false, "
        f"{int(total.fn):,} missed; precision {precision}, recall {recall}, F1 {f1}",
        markup=False,
    )
    rows = found.per_class
    labeled = rows[(rows["tp"] + rows["fn"]) > 0]
    by = next(name for name in ("AP", "f1") if name in labeled)
    if len(labeled):
        title = f"{counted(len(labeled), 'class', 'classes')} of {len(rows):,} with labels, the lowest {by} first"
        title += f": the first {SHOWN}" if len(labeled) > SHOWN else ""
        columns = ["class", "AP", "AP50", "AR", "tp", "fp", "fn", "precision", "recall", "f1", "oLRP", "ECE"]
        show_table(title, labeled.sort_values(by, kind="stable").head(SHOWN).reset_index(), columns)
    if found.slices:
        show_table("slices", found.by_slice, ["slice", "labels", "predictions", "AP", "AP50", "AR100"])


def _intervals(ranges: "pd.DataFrame") -> None:
    head = ranges[~ranges["figure"].str.contains("/")]
    show_table("95 % intervals over resampled frames", head, ["figure", "value", "low", "high", "message"])


def more(found: "Evaluation", *, tide: bool, calibration: bool, lrp: bool) -> None:
    """What was asked for beyond the usual."""
    import pandas as pd

    if tide:
        rows = pd.DataFrame(found.tide_summary()["errors"])
        show_table("errors by kind, and the AP points each kind costs (TIDE)", rows, ["error", "count", "dAP"])
    if calibration:
        told = found.calibration_summary()
        rows = pd.DataFrame(told["bins"])
        title = f"calibration: ECE {told['ece']:.4f}, MCE {told['mce']:.4f}" if told["ece"] is not None else "calibration"
        show_table(title, rows, ["confidence_from", "confidence_to", "count", "confidence", "right", "low", "high"])
    if lrp:
        rows = found.per_class.reset_index().sort_values("oLRP", ascending=False).head(SHOWN)
        show_table("optimal LRP (0 perfect, 1 nothing right)", rows, ["class", "oLRP", "threshold_LRP"])


def remarks(found: "Evaluation", out: str | None) -> None:
    """What was left out and why, and what to type next."""
    told = [*found.compared.warnings]
    refused = found.compared.refused
    if refused:
        first = refused[0]
        told.append(
            f"{counted(len(refused), 'row')} could not be used; the first: {first['origin']} row {first['row']}, "
            f"{first['reason']}: {first['detail']}"
        )
    for line in told:
        stderr().print(f"note: {clean(line, 400)}", markup=False)
    if out is not None:
        from gpu_quality.api.slices import quoted

        reason, outcome = (quoted(f"{name}{found.compared.suffix}") for name in ("reason", "outcome"))
        sql = f"select {reason}, count(*) from objects where {outcome} = 'fp' group by 1"  # noqa: S608 - a hint to type
        stderr().print(f"next: {typed('gpu-quality', 'query', out, sql)}", markup=False)


def show_answers(found: dict[str, Any], *, quiet: bool) -> None:
    """Figures of classifications, question by question."""
    import pandas as pd

    for question in found["questions"]:
        rows = pd.DataFrame(question["per_class"])
        head = ", ".join(f"{key} {value:.4f}" for key, value in question["metrics"].items() if isinstance(value, float))
        title = f"{question['question']}: {counted(question['answers'], 'label')}, {head}"
        show_table(clean(title, 400), rows, ["class", "labels", "precision", "recall", "f1", "auc"])
    for note in () if quiet else found["warnings"]:
        stderr().print(f"note: {clean(note, 400)}", markup=False)


def show_maps(found: dict[str, Any], *, quiet: bool) -> None:
    """Figures of class maps, the lowest IoU first, and the pairs that could not be compared."""
    import pandas as pd

    rows = pd.DataFrame(found["per_class"]).sort_values("iou", na_position="last")
    head = ", ".join(f"{key} {value:.4f}" for key, value in found["metrics"].items() if value is not None)
    show_table(f"{counted(found['frames'], 'map')}: {head}", rows, ["class", "pixels", "iou", "dice", "recall", "precision"])
    for problem in () if quiet else found["problems"][:20]:
        stderr().print(f"note: {clean(problem['id'], 200)}: {clean(problem['detail'], 200)}", markup=False)
