"""Declaring metrics, features and readers, and finding them by name.

A metric is a function: its positional parameters say what it needs, its keyword-only parameters what a user may tune, its
decorator what the number means. Nothing here imports torch, so `import gpu_quality` stays quick.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from gpu_quality.errors import PlanError, UnknownNameError, UsageError
from gpu_quality.text import close

Per = Literal["frame", "object", "region", "classification"]
Over = Literal["batch", "sequence", "dataset"]
Bad = Literal["low", "high", "neither"]
Role = Literal["metric", "feature"]
F = TypeVar("F", bound=Callable[..., Any])

ROOTS: Final = frozenset({"pixels", "rgb", "sizes", "facts", "regions", "objects", "classifications", "frames"})
"""What the loader gives per batch."""
RESOURCES: Final = frozenset({"classes", "seed", "encoder", "crops", "words", "index", "reference", "umap"})
"""What a worker has for the whole run."""
_DTYPES: Final = {"Int64": "int64", "Bool": "bool", "Float32": "float32", "Float16": "float16"}
PLUGIN_GROUP: Final = "gpu_quality.plugins"
BUILT_IN: Final = (
    "gpu_quality.features.pixels",
    "gpu_quality.features.thumbnails",
    "gpu_quality.features.objects",
    "gpu_quality.features.tracks",
    "gpu_quality.features.embeddings",
    "gpu_quality.features.neighbors",
    "gpu_quality.features.comparable",
    "gpu_quality.metrics.facts",
    "gpu_quality.metrics.color",
    "gpu_quality.metrics.exposure",
    "gpu_quality.metrics.values",
    "gpu_quality.metrics.sharpness",
    "gpu_quality.metrics.issues",
    "gpu_quality.metrics.flags",
    "gpu_quality.metrics.hashes",
    "gpu_quality.metrics.duplicates",
    "gpu_quality.metrics.objects",
    "gpu_quality.metrics.shapes",
    "gpu_quality.metrics.tracks",
    "gpu_quality.metrics.similarity",
    "gpu_quality.metrics.agreement",
    "gpu_quality.metrics.appearance",
    "gpu_quality.metrics.maps",
    "gpu_quality.metrics.words",
)
"""Modules that declare something; no folder is ever scanned."""


@dataclass(frozen=True, slots=True)
class Node:
    """One declared metric or feature: what it needs, what may be tuned, and what its number means."""

    name: str
    role: Role
    function: Callable[..., Any]
    needs: tuple[str, ...]
    options: Mapping[str, Any]
    per: Per
    over: Over
    version: int
    gives: tuple[str, ...] = ()
    unit: str = ""
    bounds: tuple[float, float] | None = None
    bad: Bad = "neither"
    doc: str = field(default="", compare=False)
    module: str = field(default="", compare=False)

    @property
    def dtype(self) -> str:
        """How the column is stored, from the return annotation; float64 unless it says otherwise."""
        function = self.function.forward if inspect.isclass(self.function) else self.function  # type: ignore[attr-defined]
        text = str(getattr(function, "__annotations__", {}).get("return", ""))
        return next((dtype for word, dtype in _DTYPES.items() if word in text), "float64")

    @property
    def vector(self) -> bool:
        """Whether a row is a vector, which is kept as an array and not as a column: results declared as float16."""
        return self.dtype == "float16"

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return self.doc.strip().partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Reader:
    """One annotation format: reads a path into an `annotations.Builder`."""

    name: str
    function: Callable[..., None]
    guess: Callable[[Path], bool]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Writer:
    """One annotation format: writes one origin of a `Dataset` to a path and says what the format cannot hold."""

    name: str
    function: Callable[..., list[str]]
    doc: str = ""


_nodes: dict[str, Node] = {}
_outputs: dict[str, str] = {}
_readers: dict[str, Reader] = {}
_writers: dict[str, Writer] = {}


def _signature(function: Callable[..., Any], name: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Needs and options of a function; for a class (a torch module) of its `forward` and `__init__`."""
    if inspect.isclass(function):
        forward = list(inspect.signature(function.forward).parameters.values())[1:]  # type: ignore[attr-defined]
        parameters = forward + list(inspect.signature(function).parameters.values())
    else:
        parameters = list(inspect.signature(function).parameters.values())
    needs, options = [], {}
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise UsageError(f"{name}: *{p.name} says neither what is needed nor what may be tuned")
        if p.kind is p.KEYWORD_ONLY:
            if p.default is p.empty and p.name != "wanted":
                raise UsageError(f"{name}: option {p.name!r} has no default", hint=f"write `{p.name}=<value>` after the `*`")
            options[p.name] = p.default
        else:
            needs.append(p.name)
    options.pop("wanted", None)
    return tuple(needs), options


def _declare(node: Node) -> None:
    known = _nodes.get(node.name)
    if known is not None and (known.module, known.function.__qualname__) != (node.module, node.function.__qualname__):
        raise UsageError(
            f"{node.role} {node.name!r} of {node.module} is already declared by {known.module}",
            hint="give it another name with `name=`",
        )
    if node.name in ROOTS | RESOURCES:
        raise UsageError(f"{node.name!r} is the name of a root; a {node.role} cannot take it")
    _nodes[node.name] = node
    for output in node.gives:
        _outputs[output] = node.name


def metric(
    *,
    per: Per = "frame",
    over: Over = "batch",
    unit: str,
    bounds: tuple[float, float] | None = None,
    bad: Bad = "neither",
    version: int = 1,
    name: str | None = None,
) -> Callable[[F], F]:
    """Declare a metric; the column's name is the function's name unless `name` is given.

    `per` is what one row of the result is, `over` how much must be seen at once, `unit` and `bounds` what the number is, `bad`
    the suspicious direction, `version` goes up when the number's meaning changes.
    """

    def register(function: F) -> F:
        own = name or function.__name__
        needs, options = _signature(function, own)
        doc = inspect.getdoc(function) or ""
        if not doc:
            raise UsageError(f"metric {own!r} has no docstring", hint="its first line says what the number means to a person")
        home = function.__module__
        _declare(Node(own, "metric", function, needs, options, per, over, version, (), unit, bounds, bad, doc, home))
        return function

    return register


def feature(
    *, per: Per = "frame", over: Over = "batch", gives: tuple[str, ...] = (), version: int = 1, name: str | None = None
) -> Callable[[F], F]:
    """Declare a shared intermediate.

    With `gives`, it takes a keyword `wanted` (names of the outputs somebody needs) and returns a mapping of those to values.
    """

    def register(function: F) -> F:
        own = name or function.__name__
        needs, options = _signature(function, own)
        doc = inspect.getdoc(function) or ""
        _declare(Node(own, "feature", function, needs, options, per, over, version, gives, doc=doc, module=function.__module__))
        return function

    return register


def reader(name: str, *, guess: Callable[[Path], bool]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare an annotation format. `guess` says whether a path looks like it, reading little."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        _readers[name] = Reader(name, function, guess, inspect.getdoc(function) or "")
        return function

    return register


def writer(name: str) -> Callable[[Callable[..., list[str]]], Callable[..., list[str]]]:
    """Declare how an annotation format is written; the function returns sentences about what could not be held."""

    def register(function: Callable[..., list[str]]) -> Callable[..., list[str]]:
        _writers[name] = Writer(name, function, inspect.getdoc(function) or "")
        return function

    return register


def load_built_in() -> None:
    """Import the built-in metrics and every installed plugin (entry points of group ``gpu_quality.plugins``)."""
    for module in BUILT_IN:
        importlib.import_module(module)
    for entry in entry_points(group=PLUGIN_GROUP):
        entry.load()


def load_plugin(path: Path) -> str:
    """Import a plugin file named by the person at the terminal; returns the SHA-256 of its bytes.

    Raises `UsageError` when the file is missing or does not import.
    """
    if not path.is_file():
        raise UsageError(f"plugin {path} is not a file", hint="--plugin takes a Python file with @gq.metric functions")
    source = path.read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    module_name = f"gpu_quality_plugin_{path.stem}_{digest[:8]}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise UsageError(f"plugin {path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except UsageError:
            del sys.modules[module_name]
            raise
        except Exception as error:
            del sys.modules[module_name]
            raise UsageError(f"plugin {path} does not import: {type(error).__name__}: {error}") from error
    return digest


def metrics() -> dict[str, Node]:
    """Every declared metric by name, in order of declaration."""
    return {name: node for name, node in _nodes.items() if node.role == "metric"}


def readers() -> dict[str, Reader]:
    """Every declared annotation format by name."""
    return dict(_readers)


def writers() -> dict[str, Writer]:
    """Every annotation format that can be written, by name."""
    return dict(_writers)


def find_metric(name: str) -> Node:
    """The metric called `name`, or `UnknownNameError` with close names."""
    node = _nodes.get(name)
    if node is None or node.role != "metric":
        known = metrics()
        raise UnknownNameError(
            f"no metric is called {name!r}", hint=close(name, known) or "`gpu-quality metric list` shows all of them"
        )
    return node


def find_need(need: str, by: str) -> Node:
    """The metric or feature that yields `need`; raises `PlanError` naming who asked and what is close."""
    node = _nodes.get(_outputs.get(need, need))
    if node is None:
        known = [*ROOTS, *RESOURCES, *_nodes, *_outputs]
        raise PlanError(
            f"{by} needs {need!r}, which is no root, resource, feature or metric",
            hint=close(need, known) or f"roots are {', '.join(sorted(ROOTS))}",
        )
    return node


def find_reader(name: str) -> Reader:
    """The reader of format `name`, or `UnknownNameError` with close names."""
    if name not in _readers:
        known = ", ".join(_readers)
        raise UnknownNameError(f"no annotation format is called {name!r}", hint=close(name, _readers) or f"known: {known}")
    return _readers[name]


def find_writer(name: str) -> Writer:
    """The writer of format `name`, or `UnknownNameError` with close names."""
    if name not in _writers:
        known = ", ".join(_writers)
        raise UnknownNameError(f"no format is written under the name {name!r}", hint=close(name, _writers) or f"known: {known}")
    return _writers[name]
