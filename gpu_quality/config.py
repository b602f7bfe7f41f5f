"""A run's configuration: YAML or keywords into frozen models. A config is data; it never names code."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from gpu_quality.errors import ConfigError, UsageError
from gpu_quality.text import close

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 20
SET_NAMES: Final = "letters, digits and _, no digit first, and neither labels nor frames"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AnnotationSource(_Model):
    """Where labels or predictions come from; without `format` it is guessed from the file."""

    path: str
    format: str | None = None


class Source(_Model):
    """What to score: images (folder, glob, list file), labels, prediction sets by name.

    With `sequences` "folders" the images of each folder are one ordered sequence, as frames of a video are.
    """

    images: str | None = None
    every: int = Field(1, ge=1)
    """Of videos, every n-th frame."""
    image_column: str | None = None
    """The column of images of a table, where name and type leave it open."""
    sequences: Literal["none", "folders"] = "none"
    labels: AnnotationSource | None = None
    predictions: dict[str, AnnotationSource] = Field(default_factory=dict)

    @field_validator("labels", mode="before")
    @classmethod
    def _path_alone(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("predictions", mode="before")
    @classmethod
    def _paths_alone(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        for name in value:
            if not _names_a_set(str(name)):
                raise ValueError(f"{name!r} cannot name a prediction set: {SET_NAMES}")
        return {name: {"path": v} if isinstance(v, str) else v for name, v in value.items()}


class Decode(_Model):
    """How files become pixels. `batch` and `threads` change no number; the rest is part of the question a store answers."""

    backend: Literal["auto"] = "auto"
    threads: Literal["auto"] | PositiveInt = "auto"
    batch: int = Field(64, ge=1, le=4096)
    batch_mb: int = Field(256, ge=1)
    max_megapixels: float = Field(64, gt=0)
    max_mb: int = Field(256, ge=1)
    max_scans: int = Field(100, ge=1)
    exif: bool = True
    float_range: tuple[float, float] | None = None

    def meaning(self) -> dict[str, object]:
        """The settings that decide what a pixel is, and so what a pixel metric's number means."""
        kept = {"backend", "max_megapixels", "max_mb", "max_scans", "exif", "float_range"}
        return {key: value for key, value in self.model_dump(mode="json").items() if key in kept}


class Encoder(_Model):
    """What embeds frames and objects, and how; all of it decides what a vector is. `card` "none" embeds nothing.

    With "auto" a store that already holds vectors of the card is continued as it was begun.
    """

    card: str = "default"
    batch: Literal["auto"] | PositiveInt = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    objects: tuple[Literal["labels", "predictions"], ...] = ("labels",)
    """Whose objects are embedded. Columns that need vectors stay empty for the others, without a reason: nobody asked."""
    context: float = Field(0, ge=0, le=10)
    mask: bool = False

    @field_validator("batch")
    @classmethod
    def _power(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value & (value - 1):
            raise ValueError("must be a power of two: 16, 32, 64 …")
        return value


class Index(_Model):
    """How neighbors are searched; "auto" is exact as long as that is affordable."""

    kind: Literal["auto", "exact", "flat", "ivf", "hnsw", "pq"] = "auto"


class Engine(_Model):
    """Where the work runs. Nothing here changes a number."""

    kind: Literal["local", "inline"] = "local"
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    shard: Literal["auto"] | PositiveInt = "auto"
    stall_s: float = Field(120, gt=0)
    frame_timeout_s: float = Field(30, gt=0)
    restarts: int = Field(2, ge=0)


class RunConfig(_Model):
    """Everything a run is told. Unknown keys are refused by name."""

    source: Source = Source()
    decode: Decode = Decode()
    regions: tuple[Literal["frames", "labels", "predictions"], ...] = ("frames", "labels", "predictions")
    metrics: tuple[str | dict[str, Any], ...] | Literal["default"] = "default"
    encoder: Encoder = Encoder()
    index: Index = Index()
    reference: str | None = None
    """The store of another run; novelty is the distance to its frames."""
    engine: Engine = Engine()
    seed: int = 0
    max_errors: str = "5%"
    out: str | None = None

    @field_validator("max_errors", mode="before")
    @classmethod
    def _budget(cls, value: object) -> str:
        text = str(value).strip()
        number = text.removesuffix("%")
        try:
            good = float(number) >= 0 and (text.endswith("%") or float(number).is_integer())
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"{text!r} is neither a count (20) nor a share (5%)")
        return text

    @field_validator("metrics", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        if isinstance(value, list | tuple) and not value:
            raise ValueError("there is nothing to compute; name metrics, or leave the key out for all of them")
        return tuple(value) if isinstance(value, list) else value

    def error_budget(self, listed: int) -> float:
        """How many of `listed` frames may fail."""
        number = float(self.max_errors.removesuffix("%"))
        return number / 100 * listed if self.max_errors.endswith("%") else number

    @classmethod
    def of(cls, values: Mapping[str, Any], *, where: str = "the configuration") -> "RunConfig":
        """Check a mapping; raises `ConfigError` that names the key, what was found and what is close."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ConfigError(*_story(error, where)) from None

    @classmethod
    def load(cls, path: Path) -> "RunConfig":
        """Read a YAML file; relative paths in it mean beside the file, or else below the current folder."""
        values = load_yaml(path)
        config = cls.of(values, where=str(path))
        source = config.source

        def beside(text: str) -> str:
            return str(path.parent / text) if not Path(text).is_absolute() and _exists(path.parent / text) else text

        labels = source.labels and source.labels.model_copy(update={"path": beside(source.labels.path)})
        predictions = {k: v.model_copy(update={"path": beside(v.path)}) for k, v in source.predictions.items()}
        images = beside(source.images) if source.images else None
        moved = source.model_copy(update={"images": images, "labels": labels, "predictions": predictions})
        return config.model_copy(update={"source": moved})


def _exists(path: Path) -> bool:
    """Whether a path, or the fixed part of a glob, exists."""
    fixed = path
    while any(c in fixed.name for c in "*?["):
        fixed = fixed.parent
    return fixed.exists()


def _story(error: ValidationError, where: str) -> tuple[str]:
    lines: list[str] = []
    for item in error.errors()[:5]:
        # Alternatives of a union (a number or "auto") are one complaint each, under names no user wrote.
        key = ".".join(
            str(part) for part in item["loc"] if not re.search(r"[\[(]|^(int|str|float|tuple|constrained)", str(part))
        )
        if item["type"] == "extra_forbidden":
            parent: Any = RunConfig
            for part in item["loc"][:-1]:
                found = getattr(parent, "model_fields", {}).get(str(part))
                parent = found.annotation if found is not None else None
            known = getattr(parent, "model_fields", {})
            hint = close(str(item["loc"][-1]), known)
            lines.append(f"{key} is no known key" + (f"; {hint}" if hint else f"; known: {', '.join(known)}" if known else ""))
        elif not any(line.startswith(f"{key}: ") for line in lines):
            lines.append(f"{key}: {item['msg']} (got {str(item['input'])[:80]!r})")
    return (f"{where}: " + "; ".join(lines),)


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without aliases (no bombs) and without duplicate keys (no surprises)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise ConfigError(f"line {line}: YAML aliases are not accepted")
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > MAX_DEPTH:
            raise ConfigError(f"more than {MAX_DEPTH} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[object] = set()
        for key in (self.construct_object(key, deep=True) for key, _ in node.value):
            if not isinstance(key, str | int | float | bool):
                raise ConfigError(f"line {node.start_mark.line + 1}: a key must be a name, got {key!r:.80}")
            if key in seen:
                raise ConfigError(f"line {node.start_mark.line + 1}: key {key!r} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping safely: bounded size and depth, no aliases, tags or duplicate keys; else `ConfigError`."""
    if not path.is_file():
        raise ConfigError(f"{path} is not a file", hint="give a YAML file; presets lie in configs/")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES:,} bytes")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506  (a SafeLoader)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        first = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path} is not readable YAML: {first}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}, expected keys and values")
    return values


def _names_a_set(name: str) -> bool:
    """Whether columns and files can be called after a prediction set of this name."""
    return re.fullmatch(r"[A-Za-z_]\w{0,79}", name, re.ASCII) is not None and name not in ("labels", "frames")


def parse_predictions(entries: tuple[str, ...]) -> dict[str, str]:
    """Split ``NAME=PATH`` entries of `--predictions`; a lone path gets the name "predictions"."""
    sets: dict[str, str] = {}
    for entry in entries:
        name, sign, path = entry.partition("=")
        if not sign:
            name, path = "predictions", entry
        if not _names_a_set(name) or name in sets:
            raise UsageError(
                f"--predictions {entry}: {name!r} cannot name a prediction set",
                hint=f"use NAME=PATH, each NAME once: {SET_NAMES}",
            )
        sets[name] = path
    return sets
