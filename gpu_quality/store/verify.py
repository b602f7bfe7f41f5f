"""Finding what is missing, changed, extra or damaged in a store, and removing it so that a run makes it again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gpu_quality.errors import CorruptError
from gpu_quality.store import layers
from gpu_quality.store.commit import STAGED, commit_bytes, remove_file
from gpu_quality.store.layer import read_array, read_table
from gpu_quality.store.layout import (
    COMPLETE,
    INPUT,
    LAYER,
    LAYERS,
    RESULTS,
    RUN,
    SHARD,
    SUMS,
    WHOLE,
    file_digest,
    is_shard,
    read_sealed,
    seal,
)
from gpu_quality.store.results import ABSENT, read_sums

if TYPE_CHECKING:
    from gpu_quality.store.store import Store

Kind = Literal["missing", "changed", "extra", "damaged"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One file that is not what was committed; `layer` and `shard` are "" where the file belongs to none."""

    kind: Kind
    file: str
    layer: str = ""
    shard: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found, and how many files it looked at."""

    findings: tuple[Finding, ...]
    files: int

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class _Walk:
    """One pass over a store."""

    def __init__(self, store: "Store", *, read_data: bool) -> None:
        self.store, self.read_data = store, read_data
        self.files = 0

    def everything(self) -> Iterator[Finding]:
        """Findings of all parts."""
        yield from self._run()
        yield from self._folder(self.store.path / INPUT, self.store.run["input"], "", "", frozenset())
        folder = self.store.path / LAYERS
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.name.startswith(STAGED):
                continue
            if path.is_dir():
                yield from self._layer(path)
            else:
                yield Finding("extra", f"{LAYERS}/{path.name}")
        yield from self._results()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.store.path).as_posix()

    def _sealed(self, path: Path, layer: str, shard: str = "") -> dict[str, Any] | Finding:
        """Content of a sealed file, or what is wrong with it."""
        self.files += 1
        if not path.is_file():
            return Finding("missing", self._name(path), layer, shard)
        try:
            return read_sealed(path)
        except CorruptError as error:
            return Finding("damaged", self._name(path), layer, shard, str(error))

    def _run(self) -> Iterator[Finding]:
        content = self._sealed(self.store.path / RUN, "")
        if isinstance(content, Finding):
            yield content
        elif content["seal"] != self.store.run["seal"]:
            yield Finding("changed", RUN, detail="it was replaced while it was open")

    def _folder(
        self, folder: Path, facts: Mapping[str, Mapping[str, Any]], layer: str, shard: str, others: frozenset[str]
    ) -> Iterator[Finding]:
        """Compare the files of a folder with their recorded sizes, checksums and rows."""
        present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        for name in sorted(present - set(facts) - others):
            if not name.startswith(STAGED):
                yield Finding("extra", self._name(folder / name), layer, shard)
        for name, known in facts.items():
            self.files += 1
            path = folder / name
            if not path.is_file():
                yield Finding("missing", self._name(path), layer, shard)
            elif path.stat().st_size != known["size"] or file_digest(path) != known["sha256"]:
                yield Finding("changed", self._name(path), layer, shard, "its SHA-256 is not the recorded one")
            elif self.read_data and (fault := _unreadable(path, known["rows"])):
                yield Finding("damaged", self._name(path), layer, shard, fault)

    def _layer(self, folder: Path) -> Iterator[Finding]:
        name = folder.name
        if all(path.name.startswith(STAGED) for path in folder.iterdir()):
            return  # its writer died before it wrote anything
        described = self._sealed(folder / LAYER, name)
        if isinstance(described, Finding):
            yield described
            return
        if described["layer"] != name:
            yield Finding("changed", self._name(folder / LAYER), name, detail=f"it describes layer {described['layer']}")
        complete = self._sealed(folder / COMPLETE, name) if (folder / COMPLETE).is_file() else None
        under = [self.store.run["seal"], described["seal"]]
        names = sorted(layers.done(self.store.path, name))
        manifests = []
        for shard in names:
            manifest = self._sealed(folder / shard / SHARD, name, shard)
            if isinstance(manifest, Finding):
                if (folder / shard).exists():  # else it was dropped while we looked
                    yield manifest
            elif (manifest["layer"], manifest["shard"], manifest["under"]) != (name, shard, under):
                yield Finding("changed", self._name(folder / shard / SHARD), name, shard, "it belongs somewhere else")
            else:
                manifests.append(manifest)
                found = list(self._folder(folder / shard, manifest["files"], name, shard, frozenset({SHARD})))
                yield from found if (folder / shard).exists() else []
        yield from self._strangers(folder, described.get("kind", "stream"))
        if complete is not None and (folder / COMPLETE).is_file():
            yield from self._complete(folder, complete, manifests)

    def _strangers(self, folder: Path, kind: str) -> Iterator[Finding]:
        """Things in a layer's folder that no commit put there."""
        valid = {WHOLE} if kind == "table" else set(self.store.input.shard_names())
        for path in sorted(folder.iterdir()):
            known = path.name in (LAYER, COMPLETE) or path.name.startswith(STAGED) or path.name in valid
            if not known or (is_shard(path.name) and not path.is_dir()):
                yield Finding("extra", self._name(path), folder.name, path.name if is_shard(path.name) else "")

    def _complete(self, folder: Path, complete: dict[str, Any] | Finding, manifests: list[dict[str, Any]]) -> Iterator[Finding]:
        name, file = folder.name, self._name(folder / COMPLETE)
        if isinstance(complete, Finding):
            yield complete
            return
        wanted = [WHOLE] if [m["shard"] for m in manifests] == [WHOLE] else self.store.input.shard_names()
        for shard in sorted(set(wanted) - layers.done(self.store.path, name)) if complete["shards"] == len(wanted) else []:
            yield Finding("missing", self._name(folder / shard), name, shard, "the layer is complete, this shard is gone")
        ordered = sorted(manifests, key=lambda manifest: (len(manifest["shard"]), manifest["shard"]))
        same = complete["layer"] == name and complete["over"] == layers.seal_of_shards(ordered)
        if len(ordered) == len(wanted) and not same:
            yield Finding("changed", file, name, detail="its shards are not those that were there when it was written")

    def _results(self) -> Iterator[Finding]:
        folder = self.store.path / RESULTS
        if not folder.is_dir():
            return
        present = {path.name for path in folder.iterdir() if not path.name.startswith(STAGED)}
        if not present:
            return
        try:
            sums = read_sums(self.store.path)
        except CorruptError as error:
            yield Finding("damaged", f"{RESULTS}/{SUMS}", detail=str(error))
            return
        for name in sorted(present - set(sums) - {SUMS}):
            yield Finding("extra", f"{RESULTS}/{name}")
        for name, allowed in sums.items():
            self.files += 1
            found = file_digest(folder / name) if (folder / name).is_file() else ABSENT
            if found not in allowed:
                yield Finding("missing" if found == ABSENT else "changed", f"{RESULTS}/{name}")


def _unreadable(path: Path, rows: int) -> str:
    """Why a file's data cannot be read in full, or nothing."""
    try:
        found = len(read_array(path)) if path.suffix == ".npy" else read_table(path).num_rows
    except CorruptError as error:
        return str(error)
    return "" if found == rows else f"it has {found} rows, {rows} were committed"


def verify(store: "Store", *, read_data: bool = False) -> Verdict:
    """Compare every file of a store with what was committed; `read_data` also decodes every table and maps every array."""
    walk = _Walk(store, read_data=read_data)
    findings = tuple(walk.everything())
    return Verdict(findings, walk.files)


def repair(store: "Store", verdict: Verdict) -> tuple[Finding, ...]:
    """Remove what is wrong so that the next run makes it again; returns the findings that cannot be cured (the input).

    A damaged shard is dropped, a layer whose description is damaged is retired, a wrong result or stray file is removed.
    The caller holds the writer's lock. Raises `ResourceError`.
    """
    left = []
    for finding in verdict.findings:
        path = store.path / finding.file
        if finding.layer and finding.shard and finding.kind != "extra":
            layers.drop_shards(store.path, finding.layer, [finding.shard])
        elif finding.layer and finding.file.endswith(f"/{LAYER}"):
            layers.retire(store.path, finding.layer)
        elif (finding.layer and finding.file.endswith(f"/{COMPLETE}")) or (finding.kind == "extra" and path.is_file()):
            remove_file(path)
        elif finding.file.startswith(f"{RESULTS}/"):
            _forget_result(store.path, finding.file.removeprefix(f"{RESULTS}/"))
        elif finding.kind != "extra" or path.exists():
            left.append(finding)
    return tuple(left)


def _forget_result(store: Path, name: str) -> None:
    folder = store / RESULTS
    if name == SUMS:
        for path in [path for path in folder.iterdir() if path.is_file()]:
            remove_file(path)
        return
    remove_file(folder / name)
    left = {key: value for key, value in read_sums(store).items() if key != name}
    commit_bytes(folder / SUMS, seal({"files": left}, SUMS))
