"""The verb `check`: annotation health and class balance, of a store or straight from files."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpu_quality import __version__, api
from gpu_quality.analysis import balance as balance_table
from gpu_quality.analysis import health
from gpu_quality.annotations import CLASSIFICATIONS, OBJECTS, Builder, Dataset, empty
from gpu_quality.api import inputs
from gpu_quality.api.progress import Silent
from gpu_quality.data.formats.measure import measure
from gpu_quality.errors import CorruptError, LockedError, ResourceError, UsageError
from gpu_quality.store import layer, reading
from gpu_quality.store.layout import RESULTS, digest, file_digest
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

Annotations = str | Path | Mapping[str, str]
_FINDINGS: Final = "health.parquet"
_BALANCE: Final = "balance.parquet"
_STATE: Final = "health.json"
"""What the two tables were made from; while it stays the same they are read and not made again."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong or odd in labels and predictions."""

    findings: "pd.DataFrame"
    """One row per finding, gravest first: `analysis.health.findings`."""
    summary: "pd.DataFrame"
    """How often each check spoke, with an example: `analysis.health.summary`."""
    balance: "pd.DataFrame"
    """Objects and images of every class: `analysis.balance.balance`."""
    notes: tuple[str, ...] = ()
    """Sentences about what the checks could not look at."""


def check(
    store: str | Path | Store | None = None,
    *,
    labels: Annotations | None = None,
    predictions: Mapping[str, Annotations] | None = None,
    images: str | Path | None = None,
    limits: health.Limits | None = None,
) -> Health:
    """Health checks and class balance of a store, or of label and prediction files that nobody has scored.

    Of a store the findings are kept in ``results/health.parquet`` and ``results/balance.parquet`` and read from there as long
    as nothing changed. A run that measured the sizes of its images lets the checks compare them with the declared ones.
    Raises `UsageError` where neither or both are given, and what opening a store or reading files raises.
    """
    given = labels is not None or bool(predictions) or images is not None
    if (store is None) != given:
        what = "both a store and files are given" if given else "neither a store nor labels are given"
        raise UsageError(f"check takes one of them: {what}", hint="name a store, or labels=FILE")
    chosen = limits or health.Limits()
    if store is None:
        source = api.configure(images, labels=labels, predictions=predictions).source
        tables, root = inputs.read_source(source, Silent().say)
        return _checked(tables, _measured(tables, root), chosen)
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    state = _state(opened, chosen)
    return _stored(opened, state) or _kept(opened, state, _checked(tables_of(opened), _decoded(opened), chosen))


def _checked(tables: Dataset, decoded: tuple[Any, Any] | None, limits: health.Limits) -> Health:
    balance = balance_table.balance(tables)
    found = health.findings(tables, decoded=decoded, limits=limits, balance=balance)
    return Health(found, health.summary(found), balance, found.attrs["notes"])


def _measured(tables: Dataset, root: Path | None) -> tuple[Any, Any] | None:
    """Widths and heights of the images that are there, from their headers."""
    if not isinstance(root, Path):
        return None
    frames = Builder()
    frames.root = root
    rows = frames.add_frames(tables.frames.column("frame").to_pylist(), uris=tables.frames.column("uri").to_pylist())
    measure(frames, rows)
    return frames.frame_sizes(rows)


def tables_of(store: Store) -> Dataset:
    """The canonical tables that a store was made from, with the errors of all its layers."""
    asked = store.identity
    return Dataset(
        store.frames(),
        store.objects() if store.input.count("objects") else empty(OBJECTS),
        store.classifications() if store.input.count("classifications") else empty(CLASSIFICATIONS),
        reading.fixed_rows(store, "errors"),
        tuple(asked.get("classes", ())),
        tuple(asked.get("class_sources", ())),
        tuple(asked.get("origins", ("labels",))),
    )


def _decoded(store: Store) -> tuple[Any, Any] | None:
    """Widths and heights of the frames where a run measured both."""
    known = store.columns()
    if not all(name in known and known[name]["per"] == "frame" for name in ("width", "height")):
        return None
    return store.column("width"), store.column("height")


def _state(store: Store, limits: health.Limits) -> dict[str, Any]:
    """Everything that findings depend on, as JSON gives it back."""
    layers = [{key: row[key] for key in ("name", "shards_done", "columns", "counts")} for row in store.status()["layers"]]
    state = {"version": __version__, "input": store.run["input"], "layers": layers, "limits": asdict(limits)}
    return dict(json.loads(json.dumps(state)))


def _stored(store: Store, state: dict[str, Any]) -> Health | None:
    """The findings of an earlier check, if they are of the same state and whole."""
    folder = store.path / RESULTS
    try:
        known = json.loads((folder / _STATE).read_bytes())
        if known["state"] != state or known["sha256"] != {name: file_digest(folder / name) for name in (_FINDINGS, _BALANCE)}:
            return None
        found, balance = (layer.to_pandas(layer.read_table(folder / name)) for name in (_FINDINGS, _BALANCE))
        notes = tuple(str(note) for note in known["notes"])
    except (OSError, ValueError, KeyError, TypeError, CorruptError):
        return None
    found = health.typed(found, store.identity.get("origins", ("labels",)), notes)
    return Health(found, health.summary(found), balance_table.typed(balance), notes)


def _kept(store: Store, state: dict[str, Any], found: Health) -> Health:
    """Write the findings beside the layers, unless somebody else is writing there or nobody may."""
    plain = found.findings.astype({"code": "str", "severity": "str", "origin": "str"})
    tables = {_FINDINGS: plain, _BALANCE: found.balance}
    data = {name: layer.table_bytes({key: table[key] for key in table}) for name, table in tables.items()}
    told = {"state": state, "notes": found.notes, "sha256": {name: digest(part) for name, part in data.items()}}
    try:
        with writer_lock(store.path):
            for name, part in {**data, _STATE: json.dumps(told, indent=1).encode()}.items():
                store.save_result(name, part)
    except (LockedError, ResourceError) as error:
        return replace(found, notes=(*found.notes, f"the findings are not kept in the store: {error}"))
    return found
