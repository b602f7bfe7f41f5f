"""Values computed elsewhere become part of a store: columns of frames and objects, and aggregates under ``custom/``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_quality.authoring.finding import Ids
from gpu_quality.authoring.names import reserved_columns
from gpu_quality.authoring.parcel import ImportedMetric, Parcel
from gpu_quality.authoring.values import BadLine, Given, Values, read_values
from gpu_quality.errors import UsageError
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file: its metrics, how many rows it has, and the rows that could not be used, with their lines."""

    metrics: tuple[ImportedMetric, ...]
    rows: int
    bad: tuple[tuple[int, str], ...]


def import_values(out: Path, file: Path, *, replace: bool = False) -> Imported:
    """Read a CSV or NDJSON file of values and store every metric in it: a layer of columns, and ``results/custom.…json``.

    Rows that cannot be used are rows of the error table. The same values again do nothing; other values under a name that is
    taken are refused unless `replace`. Raises `UsageError` where no row can be used, `IncompatibleError`, `LockedError`.
    """
    store = Store.open(Path(out))
    path = Path(file)
    values = read_values(path, Ids(store))
    if not values.metrics:
        first = f"; first, line {values.bad[0].line}: {values.bad[0].reason}" if values.bad else ""
        raise UsageError(
            f"{path} holds no usable value in {values.lines:,} rows{first}", hint="gpu-quality metric import --help"
        )
    reserved = reserved_columns(store)
    parcels = [Parcel(store, given, reserved, path.name) for given in values.metrics.values()]
    _refuse_twins(parcels)
    with writer_lock(store.path):
        doomed = [layer for parcel in parcels for layer in parcel.rivals(replacing=replace)]
        for layer in {layer.name: layer for layer in doomed}.values():
            store.retire(layer.name)
        stored = tuple(parcel.commit(_bad_of(values, parcel.given, parcels[0].given)) for parcel in parcels)
    return Imported(stored, values.lines, tuple((bad.line, bad.reason) for bad in values.bad))


def _refuse_twins(parcels: Sequence[Parcel]) -> None:
    """Two metrics of a file whose names make the same column cannot be told apart in a table."""
    seen: dict[str, str] = {}
    for parcel in parcels:
        for column in parcel.columns:
            if column in seen:
                raise UsageError(
                    f"metrics {seen[column]!r} and {parcel.given.name!r} would both be the column {column!r}", hint="rename one"
                )
            seen[column] = parcel.given.name


def _bad_of(values: Values, given: Given, first: Given) -> list[BadLine]:
    """The unusable lines that are told with a metric: its own, and with the first metric those that name none."""
    return [bad for bad in values.bad if bad.metric == given.name or (given is first and bad.metric not in values.metrics)]
