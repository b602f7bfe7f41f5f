"""The verb `balance`: classes per split, crowded frames, classes seen together, and who labeled what."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gpu_quality.analysis.co_occurrence import co_occurrence, crowding
from gpu_quality.api.check import check
from gpu_quality.api.subjects import measures_of
from gpu_quality.errors import UsageError
from gpu_quality.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

BY: Final = ("split", "annotator")
_GRAVE: Final = ("error", "warning")


@dataclass(frozen=True, slots=True)
class Balance:
    """What a data set holds of what."""

    classes: "pd.DataFrame"
    """Objects and images of every class, per origin and split: `analysis.balance.balance`."""
    crowding: "pd.DataFrame"
    """Frames per number of objects: `origin`, `objects`, `frames`."""
    together: "pd.DataFrame"
    """Frames in which two classes are seen together: `origin`, `class`, `other`, `frames`, `share` (of those with `class`),
    `other_share`; pairs that are never seen together are left out, the most frequent come first."""
    annotators: "pd.DataFrame"
    """Per annotator of labels and answers (null where none is named): `annotator`, `labels`, `frames`, `classes`, `findings`
    (labels with an error or warning of `check`), `findings_share` (0..1) and `mean_<measure>` of the objects; no rows where
    nobody is named."""
    notes: tuple[str, ...] = ()

    def undersampled(self) -> "pd.DataFrame":
        """Classes with at most half the median count, splits together: `origin`, `question`, `class`, `class_count`."""
        few = self.classes[self.classes["split"].isna() & self.classes["class_undersampled"]]
        return few[["origin", "question", "class", "class_count"]].reset_index(drop=True)

    def matrix(self, origin: str = "labels") -> "pd.DataFrame":
        """Frames per pair of classes as a square table, frames with the class itself on the diagonal."""
        import pandas as pd

        whole = self.classes[self.classes["split"].isna() & (self.classes["origin"] == origin)]
        images = whole.drop_duplicates("class").set_index("class")["class_images"]
        place = {name: at for at, name in enumerate(images.index)}
        values = np.diag(images.to_numpy())
        own = self.together[self.together["origin"] == origin]
        a, b = ([place[name] for name in own[side]] for side in ("class", "other"))
        values[a, b] = values[b, a] = own["frames"].to_numpy()
        return pd.DataFrame(values, index=images.index, columns=images.index.to_numpy())

    def to_dict(self) -> dict[str, Any]:
        """Everything as one object that JSON can hold; the frame counts of pairs as a list."""
        names = ("classes", "crowding", "together", "annotators")
        tables = {name: _records(getattr(self, name)) for name in names}
        return {**tables, "undersampled": _records(self.undersampled()), "notes": list(self.notes)}


def balance(store: str | Path | Store, *, by: str | None = None) -> Balance:
    """Class counts of a store per origin and split, frames per number of objects, classes seen together, and annotators.

    Counts are those of `check`, which keeps them in the store. `by` (split, annotator) only makes sure that there are some.

    Raises
    ------
    UsageError
        Nothing is labeled; `by` is unknown, or no frame has a split, no label an annotator; and what opening a store raises.
    """
    if by not in (None, *BY):
        raise UsageError(f"by {by!r}: there is no such view", hint=f"choose {' or '.join(BY)}")
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    health = check(opened)
    if health.balance.empty:
        raise UsageError(f"{opened.path} holds no labels and no classes", hint="run again with --labels")
    if by == "split" and not health.balance["split"].notna().any():
        raise UsageError("by split: no frame is in a split", hint="folders called train, val and test make splits")
    marks = _marks(opened)
    people = _annotators(opened, marks, health.findings)
    if by == "annotator" and people.empty:
        hint = "COCO (key `annotator` of an annotation), Labelbox and Encord files can"
        raise UsageError("by annotator: no label names its annotator", hint=hint)
    return Balance(health.balance, _crowding(opened, marks), _together(opened, marks), people, health.notes)


def _marks(store: Store) -> "pd.DataFrame":
    """Every object and every answer about a frame: `object` (null: an answer), `origin`, `row`, `class_id`, `annotator`."""
    import pandas as pd

    names = ["object", "row", "origin", "class_id", "annotator"]
    parts = [store.table("object", names)] if store.input.count("objects") else []
    if store.input.count("classifications"):
        answers = store.table("classification", ["frame", "object", "origin", "class_id", "annotator"])
        frames = pd.Index(store.table("frame", ["frame"])["frame"])
        answers = answers[answers["object"].isna()].assign(object=None)
        parts.append(answers.assign(row=frames.get_indexer(answers["frame"]))[names])
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype="int64") for name in names}).astype({"object": "str", "annotator": "str"})
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0].reset_index(drop=True)


def _origins(store: Store, marks: "pd.DataFrame") -> list[tuple[str, "pd.DataFrame"]]:
    """The objects of each origin that has some, else its answers."""
    found = []
    for number, name in enumerate(store.identity.get("origins", ("labels",))):
        own = marks[marks["origin"] == number]
        objects = own[own["object"].notna()]
        own = objects if len(objects) else own
        if len(own):
            found.append((str(name), own))
    return found


def _crowding(store: Store, marks: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    frames = store.input.count("frames")
    parts = [crowding(own["row"], frames=frames).assign(origin=name) for name, own in _origins(store, marks)]
    kinds = {"origin": "str", "objects": "int64", "frames": "int64"}
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(kinds))
    return table[list(kinds)].astype(kinds)


def _together(store: Store, marks: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    names = np.array([str(name) for name in store.identity.get("classes", ())], dtype=object)
    parts = []
    for origin, own in _origins(store, marks):
        table = co_occurrence(own["row"], own["class_id"], classes=len(names))
        named = {"class": names[table.pop("class_id")], "other": names[table.pop("other_id")]}
        parts.append(table.assign(origin=origin, **named))
    columns = ["origin", "class", "other", "frames", "share", "other_share"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    kinds = {"frames": "int64", "share": "float64", "other_share": "float64"}
    return table[columns].astype({name: kinds.get(name, "str") for name in columns})


def _annotators(store: Store, marks: "pd.DataFrame", findings: "pd.DataFrame") -> "pd.DataFrame":
    """What each annotator did; no rows where none is named."""
    import pandas as pd

    own = marks[marks["origin"] == 0]
    names = ["annotator", "labels", "frames", "classes", "findings", "findings_share"]
    if not own["annotator"].notna().any():
        return pd.DataFrame({name: pd.Series(dtype="str" if name == "annotator" else "float64") for name in names})
    grave = findings.loc[findings["severity"].isin(_GRAVE) & findings["object"].notna(), "object"]
    own = own.assign(odd=own["object"].isin(set(grave)) & own["object"].notna())
    groups = own.groupby("annotator", dropna=False, sort=True)
    facts = {"row": ("frames", "nunique"), "class_id": ("classes", "nunique"), "odd": ("findings", "sum")}
    table = pd.DataFrame({"labels": groups.size()} | {new: groups[old].agg(how) for old, (new, how) in facts.items()})
    table["findings_share"] = table["findings"] / table["labels"]
    table = table.join(_means(store, own)).reset_index()
    return table.sort_values(["labels", "annotator"], ascending=[False, True], ignore_index=True).astype({"annotator": "str"})


def _means(store: Store, own: "pd.DataFrame") -> "pd.DataFrame":
    """Mean of every measure of the labeled objects, per annotator."""
    objects = own[own["object"].notna()]
    names = ["annotation_seconds", *(name for name, of in measures_of(store, "O").items() if of.level == "O")]
    values = store.table("object", ["object", *names]).set_index("object").loc[objects["object"]]
    values = values.apply(lambda column: column.astype("float64")).add_prefix("mean_")
    return values.groupby(objects["annotator"].to_numpy(), dropna=False).mean().rename_axis("annotator")


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows as dictionaries; null and non-finite values are None."""
    plain = table.astype(object).where(table.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]
