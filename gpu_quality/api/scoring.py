"""The verb `score`: numbers for a few images at once, in memory, without a store."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gpu_quality import plan, registry
from gpu_quality.api.embedding import Semantics, semantics
from gpu_quality.api.embedding import resources as semantic_resources
from gpu_quality.config import RunConfig
from gpu_quality.data.decode import DecodeSettings
from gpu_quality.data.files import read_bounded
from gpu_quality.data.loader import LoaderSettings, load
from gpu_quality.encoders.encoder import load_encoder
from gpu_quality.engine.stream import Cells, Stream, Work
from gpu_quality.engine.tables import TableInput, run_tables
from gpu_quality.errors import MetricError, UsageError
from gpu_quality.geometry.regions import regions_of
from gpu_quality.types import Frame, Sizes


def score(
    images: Sequence[Any],
    metrics: Sequence[str | Mapping[str, object]] | None = None,
    *,
    plugins: Sequence[str | Path] = (),
    seed: int = 0,
    encoder: str = "default",
) -> pd.DataFrame:
    """Score images given as paths, Pillow images, NumPy arrays (HWC or HW, uint8) or torch tensors (CHW or HW, uint8).

    Returns one row per image, in order, with a column per metric; a value a metric does not define is null. Without `metrics`,
    everything that needs only pixels or size; metrics of vectors, such as singularity, have to be named, and come from the card
    `encoder`. Raises `DecodeError` for the first image that cannot be read, `MetricError` when
    a metric fails.

    >>> import numpy as np
    >>> score([np.zeros((8, 8, 3), np.uint8)], metrics=["brightness"])["brightness"].item()
    0.0
    """
    if isinstance(images, str | bytes | Path):
        raise UsageError("score takes a list of images", hint=f"write score([{str(images)!r}]), or use run for a whole folder")
    if hasattr(images, "shape") or hasattr(images, "getbands"):
        raise UsageError(
            "score takes a list of images, not one image", hint="write score([image]); a stack is score(list(stack))"
        )
    images = list(images)
    registry.load_built_in()
    for path in plugins:
        registry.load_plugin(Path(path))
    config = RunConfig.of({"encoder": {"card": encoder}, "seed": seed})
    found = semantics(config, "cpu")
    wanted = (
        plan.parse_wanted([metrics] if isinstance(metrics, str) else metrics)
        if metrics is not None
        else plan.default_metrics(absent={"objects", "encoder", *plan.OFTEN_EMPTY})
    )
    given = {"decode": {}, "seed": seed, "classes": (), **found.given}
    built = plan.Plan.build(wanted, given=given, absent={"objects", "answers", *found.absent})
    if not images:
        return pd.DataFrame(columns=list(wanted), index=pd.Index([], name="frame"), dtype=np.float64)
    resources = _resources(config, found, built)
    names = [str(image) if isinstance(image, str | Path) else f"{i}" for i, image in enumerate(images)]
    parts, shapes = _streamed(built, images, names, resources)
    vectors = {name: torch.cat([c.value for c in cells]) for name, cells in parts.items() if cells[0].value.ndim > 1}
    columns = {name: _joined(cells) for name, cells in parts.items() if name not in vectors}
    if built.table:
        columns |= _table_columns(built, columns, vectors, shapes, resources)
    result = pd.DataFrame({name: columns[name] for name in wanted if name in columns})
    return result.set_axis(pd.Index(names, name="frame"))


def _resources(config: RunConfig, found: Semantics, built: plan.Plan) -> dict[str, object]:
    """What the steps of the plan need besides pixels."""
    resources: dict[str, object] = {"seed": config.seed, "classes": (), **semantic_resources(config, found, lambda _: None)}
    if "encoder" in built.resources and found.embedding is not None:
        resources["encoder"] = load_encoder(found.embedding.card, precision=found.embedding.precision)
    return {name: value for name, value in resources.items() if name in built.resources}


def _streamed(
    built: plan.Plan, images: Sequence[Any], names: Sequence[str], resources: Mapping[str, object]
) -> tuple[dict[str, list[Cells]], list[tuple[int, int]]]:
    """Cells of every stream column, batch after batch, and the sizes of the frames; raises what goes wrong with the first."""
    stream = Stream(built, resources, ())
    parts: dict[str, list[Cells]] = {}
    shapes: list[tuple[int, int]] = []
    for loaded in load(_Given(images), list(range(len(images))), LoaderSettings(decode=DecodeSettings())):
        for failure in loaded.failures:
            failure.error.add_note(f"image {names[failure.row]}")
            raise failure.error
        frames = tuple(Frame(names[row], names[row]) for row in loaded.rows)
        if loaded.pixels is None:
            continue
        sizes = Sizes(loaded.pixels.width, loaded.pixels.height)
        roots: dict[str, object] = {"pixels": loaded.pixels, "facts": loaded.facts, "sizes": sizes, "frames": frames}
        roots["regions"] = regions_of(None, sizes)
        rows = stream(Work(roots, len(frames), None, torch.empty(0, dtype=torch.int64)))
        if rows.errors:
            raise MetricError(f"image {names[loaded.rows[rows.errors[0].frame]]}: {rows.errors[0].detail}")
        for name, cells in rows.frame.items():
            parts.setdefault(name, []).append(cells)
        shapes += list(zip(sizes.width.tolist(), sizes.height.tolist(), strict=True))
    return parts, shapes


class _Given:
    """Images given in memory or as paths, as a source of the loader."""

    def __init__(self, images: Sequence[Any]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def read(self, row: int, max_bytes: int) -> object:
        """The bytes of a path's file, or the image itself."""
        image = self.images[row]
        return read_bounded(str(image), max_bytes=max_bytes) if isinstance(image, str | Path) else image

    def weight(self, row: int) -> int:  # noqa: ARG002 - part of the protocol
        """Unknown before it is read."""
        return 0


def _joined(cells: Sequence[Cells]) -> pd.Series:
    value = torch.cat([c.value for c in cells]).numpy()
    null = torch.cat([c.null for c in cells]).numpy() != 0
    return _series(value, null)


def _series(value: np.ndarray, null: np.ndarray) -> pd.Series:
    kind = {"f": "float64", "i": "Int64" if null.any() else "int64", "b": "boolean" if null.any() else "bool"}[value.dtype.kind]
    series = pd.Series(value).astype(kind)
    return series.mask(null) if null.any() else series


def _table_columns(
    built: plan.Plan,
    columns: Mapping[str, pd.Series],
    vectors: Mapping[str, Tensor],
    shapes: Sequence[tuple[int, int]],
    resources: Mapping[str, object],
) -> dict[str, pd.Series]:
    frames = pd.DataFrame(dict(columns))
    frames["width"], frames["height"] = [w for w, _ in shapes], [h for _, h in shapes]
    frames["scored"], frames["sequence"], frames["position"] = True, "", 0
    result = run_tables(built, TableInput(frames, vectors=vectors), resources, lambda _: None)
    if result.errors:
        raise MetricError(result.errors[0].detail)
    return {name: _series(np.ma.getdata(values), np.ma.getmaskarray(values)) for name, values in result.frame.items()}
