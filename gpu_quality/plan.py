"""From wanted columns to a plan: what to load, what to compute once, what to keep. Names and needs only, no tensors."""

import graphlib
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from gpu_quality import registry
from gpu_quality.errors import PlanError, UnknownNameError
from gpu_quality.registry import RESOURCES, ROOTS, Node
from gpu_quality.text import close

OBJECT_ROOTS = frozenset({"objects", "track", "outlined", "annotation_seconds"})
"""Roots with a row per object: a step that needs one runs once per origin."""
TABLE_ROOTS = frozenset({"sizes", "sequence", "position", "seconds", "split", "answers"}) | OBJECT_ROOTS
"""Roots a table step may ask for: facts of all frames, all objects and all answers at once."""
OFTEN_EMPTY = frozenset({"sequence", "track", "outlined", "annotation_seconds", "split", "answers"})
"""Roots that many inputs leave empty; what needs one is computed by default only where it holds something."""
PIXEL_ROOTS = frozenset({"pixels", "rgb", "facts"})
"""Roots for which image files are opened."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A metric with the options a user gave; the key of the mapping it lies in is its column name."""

    metric: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One call: of a metric under its column's name, or of a feature."""

    name: str
    node: Node
    options: Mapping[str, object]
    needs: tuple[str, ...]
    wanted: frozenset[str]
    """Outputs of a feature with `gives` that somebody needs."""
    forget: tuple[str, ...] = ()
    """Values no later step needs."""
    stacked: bool = False
    """Runs once per stack of equal-sized frames, because it sees `rgb`."""
    by_origin: bool = False
    """Runs once per origin, because it sees `objects`."""
    cropped: bool = False
    """Built on crops of objects, so it runs for the origins whose objects are cut out."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a plan promises about one column."""

    name: str
    metric: str
    per: str
    options: Mapping[str, object]
    fingerprint: str
    table: bool
    hidden: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A query plan over frames."""

    roots: frozenset[str]
    resources: frozenset[str]
    stream: tuple[Step, ...]
    table: tuple[Step, ...]
    keep: frozenset[str]
    """Names whose stream results go to the store."""
    columns: Mapping[str, Column]

    @property
    def reads_pixels(self) -> bool:
        """Whether any image file has to be opened."""
        return bool(self.roots & PIXEL_ROOTS)

    @classmethod
    def build(cls, wanted: Mapping[str, Wanted], *, given: Mapping[str, object], absent: Collection[str] = ()) -> "Plan":
        """Plan the wanted columns. `given` says what roots and resources mean in this run ("decode": settings behind every
        pixel column, "seed", "classes"), `absent` names the roots this input does not have.

        Raises `UnknownNameError` for unknown metrics or options, `PlanError` for needs that cannot be met and for cycles.
        """
        steps = _close(wanted)
        order = _order(steps)
        table = _table_names(steps, order)
        sized = any("sizes" in steps[name].needs for name in table)
        if sized:  # the table pass knows sizes from stored columns only
            steps |= {
                name: step for name, step in _close({n: Wanted(n) for n in ("width", "height")}).items() if name not in steps
            }
            order = _order(steps)
        _check_roots(steps, table, absent)
        prints: dict[str, str] = {}
        for name in order:
            cropped = any(need == "crops" or _is_cropped(steps, need) for need in steps[name].needs)
            steps[name] = replace(steps[name], cropped=cropped)
            prints[name] = _fingerprint(steps[name], steps, prints, given)
        stream_steps = [steps[name] for name in order if name not in table]
        table_steps = [steps[name] for name in order if name in table]
        table_needs = {need for step in table_steps for need in step.needs if need not in ROOTS | RESOURCES | TABLE_ROOTS}
        keep = (frozenset(wanted) | table_needs | (frozenset(("width", "height")) if sized else frozenset())) - table
        for name in keep - frozenset(steps):
            raise PlanError(
                f"a table step needs {name!r}, one of several outputs of a feature", hint="wrap it in a feature of its own"
            )
        columns = {
            name: Column(
                name, step.node.name, step.node.per, step.options, prints[name], name in table, step.node.role == "feature"
            )
            for name, step in steps.items()
            if name in keep or name in table & frozenset(wanted)
        }
        needs = {need for step in stream_steps for need in step.needs}
        return cls(
            roots=frozenset(needs & ROOTS),
            resources=frozenset({need for step in steps.values() for need in step.needs} & RESOURCES),
            stream=_with_forget(_with_modes(stream_steps), keep),
            table=tuple(_with_modes(table_steps, {name for name in keep if steps[name].node.per == "object"})),
            keep=keep,
            columns=columns,
        )

    def only(self, names: Collection[str]) -> "Plan":
        """The plan cut down to some of its kept stream columns and what they need."""
        producers = {out: step for step in self.stream for out in (step.name, *step.node.gives)}
        needed: set[str] = set()
        queue = list(names)
        while queue:
            step = producers.get(queue.pop())
            if step is not None and step.name not in needed:
                needed.add(step.name)
                queue.extend(step.needs)
        steps = [replace(step, wanted=frozenset()) for step in self.stream if step.name in needed]
        asked = {need for step in steps for need in step.needs}
        steps = [replace(step, wanted=frozenset(asked & set(step.node.gives))) for step in steps]
        return Plan(
            roots=frozenset(asked & ROOTS),
            resources=frozenset(asked & RESOURCES),
            stream=_with_forget(steps, names),
            table=(),
            keep=frozenset(names),
            columns={name: self.columns[name] for name in names},
        )

    def layer(self, names: Iterable[str]) -> str:
        """Name of the layer that holds these columns: 16 hex digits of their fingerprints."""
        text = json.dumps(sorted((name, self.columns[name].fingerprint) for name in names))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def explain(self) -> str:
        """The plan in five lines, as `gpu-quality explain` prints it."""
        lines = {
            "roots": " ".join(sorted(self.roots)) or "none: no image is opened",
            "resources": " ".join(sorted(self.resources)) or "none",
            "stream": " → ".join(_describe(step) for step in self.stream) or "nothing",
            "keep": " ".join(sorted(self.keep)) or "nothing",
            "table": " → ".join(_describe(step) for step in self.table) or "nothing",
        }
        return "\n".join(f"{key:<11}{value}" for key, value in lines.items())


def parse_wanted(entries: Iterable[str | Mapping[str, object]]) -> dict[str, Wanted]:
    """Read the `metrics:` list of a config: names, or mappings with `name`, options, and `as` for another column name.

    ``object_<metric>`` of a region metric means the metric itself: it fills both tables. Raises `PlanError` on repeats.
    """
    wanted: dict[str, Wanted] = {}
    for entry in entries:
        options = {} if isinstance(entry, str) else {str(k): v for k, v in entry.items()}
        name = entry if isinstance(entry, str) else str(options.pop("name", ""))
        column = str(options.pop("as", None) or name)
        if name not in registry.metrics() and name.startswith("object_") and name.removeprefix("object_") in registry.metrics():
            name = name.removeprefix("object_")
            column = column.removeprefix("object_")
        found = Wanted(registry.find_metric(name).name, options)
        if column != name and _has_meaning(column):
            raise PlanError(f"`as: {column}` is a name with a meaning of its own", hint="choose a name nothing else has")
        if wanted.get(column, found) != found:
            raise PlanError(f"two metrics want the column {column!r}", hint="give one of them another name with `as:`")
        wanted[column] = found
    return wanted


def _has_meaning(name: str) -> bool:
    """Whether metrics that need `name` mean something else by it than a renamed column."""
    try:
        return bool(name in ROOTS | RESOURCES | TABLE_ROOTS or registry.find_need(name, "as:"))
    except PlanError:
        return False


def default_metrics(*, absent: Collection[str] = ()) -> dict[str, Wanted]:
    """Every declared metric whose needs this input can meet; `absent` names the roots that it does not have, or that hold
    nothing: "sequence" where all images are lone ones, "track" where no object has one.
    """
    wanted = {}
    for name in registry.metrics():
        try:
            Plan.build({name: Wanted(name)}, given={}, absent=absent)
        except PlanError:
            continue
        wanted[name] = Wanted(name)
    return wanted


def _close(wanted: Mapping[str, Wanted]) -> dict[str, Step]:
    """Every step somebody needs, directly or through others, keyed by the name of what it yields."""
    steps: dict[str, Step] = {}
    outputs: dict[str, set[str]] = {}
    queue = [(column, registry.find_metric(want.metric), dict(want.options)) for column, want in wanted.items()]
    while queue:
        name, node, options = queue.pop()
        if name in steps:
            continue
        _check_options(name, node, options)
        steps[name] = Step(name, node, {**node.options, **options}, node.needs, frozenset())
        for need in node.needs:
            if need in ROOTS | RESOURCES | TABLE_ROOTS:
                continue
            if need in wanted:
                continue
            producer = registry.find_need(need, f"{node.role} {node.name!r}")
            if need != producer.name:
                outputs.setdefault(producer.name, set()).add(need)
            queue.append((producer.name, producer, {}))
    return {name: replace(step, wanted=frozenset(outputs.get(name, ()))) for name, step in steps.items()}


def _check_options(name: str, node: Node, options: Mapping[str, object]) -> None:
    for option in options:
        if option not in node.options:
            known = ", ".join(node.options) or "none"
            raise UnknownNameError(
                f"{node.name} has no option {option!r} (asked for column {name!r})",
                hint=close(option, node.options) or f"its options: {known}",
            )
        default, value = node.options[option], options[option]
        numbers = isinstance(default, int | float) and isinstance(value, int | float)
        alike = isinstance(default, bool) == isinstance(value, bool) and (numbers or isinstance(value, type(default)))
        if isinstance(default, bool | int | float | str) and not alike:
            raise PlanError(
                f"{node.name}: option {option!r} is {value!r} (column {name!r}), expected something like {default!r}"
            )


def _producer(steps: Mapping[str, Step], need: str) -> str:
    """Name of the step that yields `need`."""
    if need in steps:
        return need
    return registry.find_need(need, "the plan").name


def _order(steps: Mapping[str, Step]) -> list[str]:
    given = ROOTS | RESOURCES | TABLE_ROOTS
    graph = {name: {_producer(steps, need) for need in step.needs if need not in given} for name, step in steps.items()}
    sorter = graphlib.TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)})
    try:
        return list(sorter.static_order())
    except graphlib.CycleError as error:
        raise PlanError(f"metrics need each other in a circle: {' → '.join(error.args[1])}") from None


def _table_names(steps: Mapping[str, Step], order: Iterable[str]) -> frozenset[str]:
    table: set[str] = set()
    for name in order:
        step = steps[name]
        ahead = any(need not in ROOTS | RESOURCES | TABLE_ROOTS and _producer(steps, need) in table for need in step.needs)
        if step.node.over != "batch" or ahead:
            table.add(name)
    return frozenset(table)


_WHAT = {
    "objects": "labels or predictions (--labels, --predictions)",
    "track": "labels or predictions with track ids",
    "outlined": "polygons or masks",
    "annotation_seconds": "labels that say how long their annotation took",
    "sequence": "frames of a video or an ordered group of images",
    "split": "frames that belong to a training, validation or test split",
    "answers": "classifications among the labels or predictions",
    "encoder": "an encoder (--encoder)",
    "words": "an encoder with a text tower (--encoder clip-vit-b32-openai, or another card with `text: true`)",
    "reference": "a run to compare with (--reference)",
    "umap": "the package umap-learn",
}


def _check_roots(steps: Mapping[str, Step], table: Collection[str], absent: Collection[str]) -> None:
    for name, step in steps.items():
        if step.node.per == "classification" and name not in table:
            raise PlanError(f"{name} gives values per answer, which only over='dataset' sees")
        if name in table and step.node.per == "region":
            raise PlanError(f"{name} gives values per {step.node.per} over={step.node.over!r}, which nothing runs yet")
        for need in step.needs:
            looked_at = need == "sequence" and step.node.over == "dataset"  # there, lone images are no sequence, which is fine
            if need in absent and not looked_at:
                what = _WHAT.get(need, f"{need} (an image source)")
                raise PlanError(f"{name} needs {what}, which this input does not have")
            if name in table and step.node.per == "object" and _per(steps, need) == "region":
                raise PlanError(f"{name} runs on stored columns of objects; {need!r} is about regions, which nothing runs yet")
            if name in table and need in ROOTS and need not in TABLE_ROOTS:
                raise PlanError(
                    f"{name} runs on stored columns and cannot see {need!r}", hint="move that part to an over='batch' metric"
                )
            if name not in table and need in TABLE_ROOTS - ROOTS:
                raise PlanError(f"{name} sees one batch; {need!r} exists only for over='sequence' or 'dataset'")


def _is_cropped(steps: Mapping[str, Step], need: str) -> bool:
    """Whether a need is itself built on crops of objects."""
    return need not in ROOTS | RESOURCES | TABLE_ROOTS and steps[_producer(steps, need)].cropped


def _per(steps: Mapping[str, Step], need: str) -> str:
    """What one row of a need is; "" for a root or a resource."""
    return "" if need in ROOTS | RESOURCES | TABLE_ROOTS else steps[_producer(steps, need)].node.per


def _fingerprint(step: Step, steps: Mapping[str, Step], prints: Mapping[str, str], given: Mapping[str, object]) -> str:
    """SHA-256 of everything that decides what the numbers of a step are."""
    upstream: dict[str, object] = {}
    for need in step.needs:
        if need in PIXEL_ROOTS:
            upstream[need] = given.get("decode")
        elif need in RESOURCES:
            upstream[need] = given.get(need)
        elif need not in ROOTS | TABLE_ROOTS:
            upstream[need] = prints[_producer(steps, need)]
    text = json.dumps([step.node.name, step.node.version, dict(step.options), upstream], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _with_modes(steps: Iterable[Step], of_objects: Iterable[str] = ()) -> list[Step]:
    """Mark steps that run per stack of equal sizes or per origin; `of_objects` are stored columns with a row per object."""
    stacked: set[str] = set()
    by_origin: set[str] = set(of_objects) | OBJECT_ROOTS
    marked = []
    for step in steps:
        is_stacked = "rgb" in step.needs or any(need in stacked for need in step.needs)
        is_by_origin = any(need in by_origin for need in step.needs)
        if is_stacked and is_by_origin:
            raise PlanError(f"{step.name} needs rgb and objects at once", hint="use `pixels` or `regions` instead of `rgb`")
        names = {step.name, *step.node.gives}
        if is_stacked and step.node.role == "feature":
            stacked |= names
        if is_by_origin:
            by_origin |= names
        marked.append(replace(step, stacked=is_stacked, by_origin=is_by_origin))
    return marked


def _with_forget(steps: list[Step], keep: Collection[str]) -> tuple[Step, ...]:
    """Let each step drop what nobody needs after it."""
    seen: set[str] = set(keep)
    result = []
    for step in reversed(steps):
        last = tuple(need for need in dict.fromkeys(step.needs) if need not in seen and need not in ROOTS | RESOURCES)
        seen |= set(step.needs)
        result.append(replace(step, forget=last))
    return tuple(reversed(result))


def _describe(step: Step) -> str:
    changed = [f"{k}={v}" for k, v in step.options.items() if v != step.node.options[k]]
    inside = ", ".join([*sorted(step.wanted), *changed])
    text = f"{step.name}({inside})" if inside else step.name
    return f"[by size: {text}]" if step.stacked else text
