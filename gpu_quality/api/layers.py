"""Which columns a store already has, which layer holds them, and which have to be computed."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gpu_quality import registry
from gpu_quality.engine.columns import column_names
from gpu_quality.errors import IncompatibleError, PlanError
from gpu_quality.plan import Plan
from gpu_quality.store.store import Store


@dataclass(frozen=True, slots=True)
class Pending:
    """A layer with work left: its name, the plan's columns in it, and whether it is made of stored columns."""

    name: str
    columns: tuple[str, ...]
    table: bool


def pending_layers(
    plan: Plan,
    store: Store,
    origins: tuple[str, ...],
    say: Callable[[str], None],
    *,
    replace: bool,
    encoder: Mapping[str, Any] = MappingProxyType({}),
) -> list[Pending]:
    """Begin the layers this plan needs and return the unfinished ones, stream layers first.

    Raises `IncompatibleError` when the store holds a wanted column that means something else, or unfinished columns nobody
    asks for; with `replace`, the layers that hold them are retired instead, and what was computed from them.
    """
    held, spoiled = _held(store), set()
    for name, column in plan.columns.items():
        for per, stored in _stored(plan, name, origins):
            _check_free(store, per, stored, column.metric)
        if name in held and held[name]["fingerprint"] != column.fingerprint:
            spoiled.add(name)
    if spoiled and not replace:
        raise _other_meaning(spoiled, held, plan, store, encoder)
    foreign = _foreign(plan, store)
    if foreign and not replace:
        raise IncompatibleError(
            f"{store.path} has unfinished columns that this run does not ask for: {', '.join(foreign[:5])}",
            hint="run the earlier command again to finish them, or start over with --replace",
        )
    _retire(store, {str(held[name]["layer"]) for name in (*spoiled, *foreign)}, plan, say)
    held = _held(store)
    missing = [name for name in plan.columns if name not in held]
    for table in (False, True):
        names = sorted(name for name in missing if plan.columns[name].table is table)
        if names:
            meta = _meta(plan, names, origins, store, table=table)
            embeds = any(facts.get("vector") for facts in meta["columns"].values())
            store.begin_layer(plan.layer(names), {**meta, "encoder": dict(encoder)} if embeds else meta)
    unfinished = []
    for layer in store.layers():
        columns = tuple(layer.meta["wanted"])
        if layer.complete or not set(columns) & set(plan.columns):
            continue
        unfinished.append(Pending(layer.name, columns, layer.meta["kind"] == "table"))
    return sorted(unfinished, key=lambda p: p.table)


def _retire(store: Store, names: Set[str], plan: Plan, say: Callable[[str], None]) -> None:
    """Remove layers, and every table layer of a run with them: its columns may have been computed from theirs.

    What came in by another door (class-form metrics, imported values) is nobody's to remove but the person's.
    """
    doomed = [
        layer
        for layer in store.layers()
        if layer.name in names or (names and layer.kind == "table" and "door" not in layer.meta)
    ]
    lost = sorted({name for layer in doomed for name in layer.meta["wanted"]} - set(plan.columns))
    if lost:
        say(
            f"--replace also retires {', '.join(lost[:8])}{' …' if len(lost) > 8 else ''}; ask for them again to have them back"
        )
    for layer in doomed:
        store.retire(layer.name)


def _foreign(plan: Plan, store: Store) -> list[str]:
    """Columns this plan cannot compute of unfinished layers that hold some it asks for."""
    unfinished = [set(layer.meta["wanted"]) for layer in store.layers() if not layer.complete]
    return sorted(name for names in unfinished if names & set(plan.columns) for name in names - set(plan.columns))


def _stored(plan: Plan, name: str, origins: Sequence[str]) -> list[tuple[str, str]]:
    step = next(step for step in (*plan.stream, *plan.table) if step.name == name)
    return column_names(name, step.node.per, origins, by_origin=step.by_origin)


def _check_free(store: Store, per: str, column: str, metric: str) -> None:
    """Refuse a column that would hide one of the input; `width` and `height` of the pixels are meant to."""
    if column in ("row", "file_hash", *store.input.columns(f"{per}s")) and column not in ("width", "height"):
        raise PlanError(f"{metric} cannot be stored as {column!r}: every store has a column of that name", hint="use `as:`")


def _held(store: Store) -> dict[str, dict[str, Any]]:
    return {name: {**facts, "layer": layer.name} for layer in store.layers() for name, facts in layer.meta["wanted"].items()}


def _other_meaning(
    names: Set[str], held: Mapping[str, Any], plan: Plan, store: Store, encoder: Mapping[str, Any]
) -> IncompatibleError:
    """What a store holds otherwise than it is asked for; of vectors what embeds them, not what was computed from them."""
    known = store.columns()
    vectors = sorted(name for name in names if known.get(name, {}).get("vector"))
    name = (vectors or sorted(names))[0]
    old, new = dict(held[name]["options"]), dict(plan.columns[name].options)
    hint = "give it another name with `as:`, write to another --out, or retire the old layer with --replace"
    if vectors:
        old |= _embeds(known[name].get("encoder", {}))
        new |= _embeds(encoder)
        hint = "ask for the encoder it has, write to another --out, or retire the old vectors with --replace"
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    what = ", ".join(f"{key}: {old.get(key)!r} there, {new.get(key)!r} asked" for key in keys)
    return IncompatibleError(
        f"{store.path} holds {name!r} with another meaning ({what or 'another version, or other settings behind it'})",
        hint=hint,
    )


def _embeds(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a vector, in words of the configuration; of a card also what it says beside its weights."""
    facts = {key: encoder.get(key) for key in ("precision", "batch", "device")} | dict(encoder.get("crops", {}))
    meaning = json.dumps(encoder.get("meaning"), sort_keys=True).encode()
    return facts | {"card": f"{encoder.get('card')}@{hashlib.sha256(meaning).hexdigest()[:8]}"}


def _meta(plan: Plan, names: Sequence[str], origins: tuple[str, ...], store: Store, *, table: bool) -> dict[str, Any]:
    """What `layer.json` says: the plan's columns, and every stored column with its facts."""
    steps = {step.name: step for step in (*plan.stream, *plan.table)}
    wanted, columns = {}, {}
    for name in names:
        column, step = plan.columns[name], steps[name]
        wanted[name] = {"metric": column.metric, "options": dict(column.options), "fingerprint": column.fingerprint}
        for per, stored in column_names(name, step.node.per, origins, by_origin=step.by_origin):
            columns[stored] = {
                "per": per,
                "metric": column.metric,
                "hidden": column.hidden,
                "unit": step.node.unit,
                "bounds": step.node.bounds,
                "bad": step.node.bad,
                "version": step.node.version,
                "options": dict(column.options),
                "fingerprint": column.fingerprint,
                "summary": step.node.summary,
                "module": step.node.module,
            }
            if step.node.vector:
                columns[stored]["vector"] = True
    if not table and plan.only(names).reads_pixels and "file_hash" not in store.columns():
        columns["file_hash"] = {
            "per": "frame",
            "metric": "file_hash",
            "hidden": False,
            "unit": "SHA-256 of the file",
            "module": "gpu_quality.metrics.facts",
        }
    return {"kind": "table" if table else "stream", "wanted": wanted, "columns": columns, "plugins": _plugins(plan, names)}


def _plugins(plan: Plan, names: Iterable[str]) -> list[str]:
    """Modules outside this package whose code made these columns."""
    homes = {registry.find_need(plan.columns[name].metric, "the store").module for name in names}
    return sorted(home for home in homes if not home.startswith("gpu_quality."))
