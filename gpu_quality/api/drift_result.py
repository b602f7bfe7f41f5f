"""The answer of `drift`: its tables, figures for gates, and what it says in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpu_quality.analysis.drift import LIMIT
from gpu_quality.api.evaluation_json import plain
from gpu_quality.api.subjects import ROWS
from gpu_quality.text import clean, counted

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Drift:
    """How a second set of frames differs from a reference."""

    measures: "pd.DataFrame"
    """One row per measure of frames, labels and predictions (`rows`); columns of `analysis.drift.drift` and `unit`."""
    classes: "pd.DataFrame"
    """One row per class of labels and of predictions (`rows`); columns of `analysis.drift_classes.Balance`."""
    frames: "pd.DataFrame"
    """The frames of the second set least like the first: `rank`, `frame`, `score`, `above` (share of the reference that scores
    lower), `by` (vectors or measures), `nearest` frame of the reference with `similarity`, `unusual` measures in words."""
    facts: dict[str, Any] = field(default_factory=dict)
    """`reference`, `current` (name, store, frames), `params`, `verdict`, `figures`, `vectors`, `together`, `balance`,
    `histograms`, `frames_unusual`, `made_from`, `notes`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was not compared, and what to mind."""
        return tuple(self.facts["notes"])

    @property
    def verdict(self) -> tuple[str, ...]:
        """What was found, in sentences."""
        return tuple(self.facts["verdict"])

    def table(self) -> "pd.DataFrame":
        """One row per measure, those that drift first."""
        return self.measures

    def to_dict(self) -> dict[str, Any]:
        """Everything as one object that JSON can hold; what is undefined is None."""
        parts = {"measures": self.measures, "classes": self.classes, "frames": self.frames}
        tables = {
            name: [{str(k): v for k, v in row.items()} for row in part.to_dict("records")] for name, part in parts.items()
        }
        return dict(plain({**self.facts, **tables}))

    def figures(self) -> dict[str, Any]:
        """Figures for gates: of the whole, and ``ks``, ``psi``, ``wasserstein`` of each measure under its name."""
        whole = dict(self.facts["figures"])
        for row in self.measures.to_dict("records"):
            name = row["metric"] if row["rows"] == "frames" else f"{row['rows']}.{row['metric']}"
            whole[name] = {"ks": row["ks"], "psi": row["psi"], "wasserstein": row["wasserstein_scaled"]}
        return whole


def totals(measures: "pd.DataFrame", balance: Mapping[str, Any], vectors: Mapping[str, Any] | None) -> dict[str, Any]:
    """Figures of the whole. `ks`, `psi`, `wasserstein` are the largest among the measures that differ significantly, else 0."""
    tested = measures[measures["p"].notna()]
    sure = tested[tested["p_adjusted"] < LIMIT]
    most = {
        name: float(sure[column].max(skipna=True)) if sure[column].notna().any() else 0.0
        for name, column in (("ks", "ks"), ("psi", "psi"), ("wasserstein", "wasserstein_scaled"))
    }
    drifting = int(tested["drifts"].sum())
    share = drifting / len(tested) if len(tested) else None
    shifts = [part["jensen_shannon"] for part in balance.values() if part["jensen_shannon"] == part["jensen_shannon"]]
    return {
        **(most if len(tested) else dict.fromkeys(most)), "measures": len(tested), "drifting": drifting,
        "drifting_share": share, "class_divergence": max(shifts) if shifts else None,
        "domain_auc": None if vectors is None else vectors["auc"], "mmd2": None if vectors is None else vectors["mmd2"],
    }  # fmt: skip


def about_measures(measures: "pd.DataFrame", rows: str) -> str:
    """How many measures of one kind of rows drift, and the strongest, in a sentence."""
    every = measures[measures["rows"] == ROWS[rows]]
    own = every[every["p"].notna()]
    if own.empty:
        why = "the two sets have none in common" if every.empty else every["message"].mode()[0]
        return f"no measure of {ROWS[rows]} could be compared: {why}"
    found = own[own["drifts"]]
    little = int(((own["p_adjusted"] < LIMIT) & ~own["drifts"]).sum())
    more = f"; {little:,} more differ a little" if little else ""
    if found.empty:
        return f"none of {counted(len(own), 'measure')} of {ROWS[rows]} drifts{more}"
    top = found.iloc[0]
    psi = f", PSI {top['psi']:.2f}" if top["psi"] == top["psi"] else ""
    way = "higher" if top["shift"] > 0 else "lower" if top["shift"] < 0 else "spread otherwise"
    verb = "drifts" if len(found) == 1 else "drift"
    told = f"strongest: {clean(top['metric'], 60)} ({way}, KS {top['ks']:.2f}{psi})"
    return f"{len(found):,} of {counted(len(own), 'measure')} of {ROWS[rows]} {verb}; {told}{more}"


def about_classes(classes: "pd.DataFrame", rows: str, facts: Mapping[str, Any]) -> str:
    """Whether the balance of classes is another, in a sentence."""
    own, what = classes[classes["rows"] == ROWS[rows]], f"class balance of {ROWS[rows]}"
    if facts["p"] != facts["p"]:
        return f"{what}: not compared, one side has none"
    told = f"divergence {facts['jensen_shannon']:.2f}, p {facts['p']:.2g}"
    if facts["p"] >= LIMIT:
        return f"{what}: no drift ({told})"
    top = own[own["drifts"]] if own["drifts"].any() else own
    shares = f"{top.iloc[0]['share_reference']:.1%} became {top.iloc[0]['share_current']:.1%}"
    return f"{what} drifts ({told}); most: {clean(top.iloc[0]['class'], 60)}, {shares}"
