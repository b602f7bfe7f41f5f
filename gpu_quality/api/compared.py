"""What an evaluation compares: labels and predictions of a store as flat arrays, and what their rows are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.annotations import objects_tensor
from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances, Keypoints, Kind, MaskShapes, Polygons, ShapeSet
from gpu_quality.evaluation.masks import drawn
from gpu_quality.evaluation.overlaps import Comparison
from gpu_quality.geometry.polygons import Outlines, reordered
from gpu_quality.store.store import Store
from gpu_quality.text import counted
from gpu_quality.types import KINDS, Objects, Shapes

Ints = NDArray[np.int64]
_LIKE: Final[Mapping[str, str]] = {"line": "polyline", "point": "point"}
"""Kinds that are compared with their like alone, and what the objects table calls them."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Labels and predictions ready to be matched, and what their rows are called."""

    labels: Instances
    predictions: Instances
    frames: Sequence[str]
    classes: tuple[str, ...]
    label_ids: Sequence[str]
    prediction_ids: Sequence[str]
    kind: Kind
    how: Comparison | None = None
    problems: Sequence[Mapping[str, Any]] = ()
    """Rows that are not used, or used in spite of something odd: origin, row, id, reason, detail, refused."""
    warnings: tuple[str, ...] = ()
    origin: str = "predictions"
    suffix: str = ""
    """What columns and results of a store are called after their name: ``_<set>`` where it has several prediction sets."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """What was read, for the record."""
    label_rows: Ints | None = None
    """Of a store: the row of the objects table that each label is."""
    prediction_rows: Ints | None = None

    @property
    def refused(self) -> list[Mapping[str, Any]]:
        """Rows of the files that could not be used."""
        return [problem for problem in self.problems if problem.get("refused", True)]


def of_store(store: Store, name: str | None, kind: Kind, *, inclusive: bool = False) -> Compared:
    """Labels and one prediction set of a store; `inclusive` as `evaluate` has it.

    Raises `UsageError` where one of them is missing or `name` leaves a choice.
    """
    origins = list(store.identity["origins"])
    chosen = prediction_set(store, name)
    sizes = store.table("frame", ["frame", "height", "width"])
    table = store.objects()
    rows = np.asarray(table.column("origin").to_numpy())
    found, notes = of_kind(table, [np.flatnonzero(rows == number) for number in (0, origins.index(chosen))], kind)
    frames = sizes["frame"].tolist()
    size = sizes[["height", "width"]].to_numpy(np.float64, na_value=np.nan)
    sides = [side(table.take(own), kind, size, predicted=i == 1) for i, own in enumerate(found)]
    if inclusive:
        read_as = [(store.identity[key] or {}) for key in ("labels", "predictions")]
        formats = [read_as[0].get("format"), (read_as[1].get(chosen) or {}).get("format")]
        sides = [as_written(one, form) for one, form in zip(sides, formats, strict=True)]
    ids = [table.column("object").take(own).to_pylist() for own in found]
    classes = tuple(store.identity["classes"])
    return Compared(
        sides[0], sides[1], frames, classes, ids[0], ids[1], kind, comparison(kind, size), warnings=notes, origin=chosen,
        suffix=f"_{chosen}" if len(origins) > 2 else "",
        sources={"store": str(store.path)}, label_rows=found[0], prediction_rows=found[1],
    )  # fmt: skip


def prediction_set(store: Store, name: str | None) -> str:
    """The name of the prediction set that is meant. Raises `UsageError` where there is none or `name` leaves a choice."""
    sets = list(store.identity["origins"])[1:]
    if not sets:
        raise UsageError(
            f"{store.path} holds no predictions", hint="gpu-quality run … --predictions NAME=PATH --out another folder"
        )
    if name is None and len(sets) > 1:
        raise UsageError(
            f"{store.path} holds {len(sets)} prediction sets: {', '.join(sets)}", hint="name one with --predictions NAME"
        )
    if name is not None and name not in sets:
        raise UsageError(f"{store.path} holds no prediction set {name!r}", hint=f"it holds {', '.join(sets)}")
    return sets[0] if name is None else name


def of_kind(table: Any, sides: Sequence[Ints], kind: Kind) -> tuple[list[Ints], tuple[str, ...]]:
    """The rows of labels and predictions that have the shape of a kind, and a remark on those that have not.

    Lines, points and keypoints are compared with their like; everything else covers an area, and has a box.
    """
    what = np.array(KINDS, dtype=object)[np.asarray(table.column("kind").to_numpy())]
    if kind == "keypoints":
        fits = np.array([bool(row) for row in table.column("keypoints").to_pylist()], bool)
    elif kind in _LIKE:
        fits = what == _LIKE[kind]
    else:
        fits = ~np.isin(what, list(_LIKE.values()))
    kept = [rows[fits[rows]] for rows in sides]
    lost = [len(rows) - len(own) for rows, own in zip(sides, kept, strict=True)]
    if not any(lost):
        return kept, ()
    for name, rows, own in zip(("labels", "predictions"), sides, kept, strict=True):
        if len(rows) and not len(own):
            there = ", ".join(sorted(set(what[rows].tolist())))
            raise UsageError(
                f"none of the {len(rows):,} {name} can be compared by --kind {kind}", hint=f"they are of the kind {there}"
            )
    told = " and ".join(counted(n, noun) for n, noun in zip(lost, ("label", "prediction"), strict=True) if n)
    return kept, (f"{told} of other shapes left out by --kind {kind}",)


def comparison(kind: Kind, size: NDArray[np.float64]) -> Comparison | None:
    """What a comparison has to know beyond the shapes."""
    if kind == "box":
        return None
    return Comparison(kind, sizes=None if np.isnan(size).any() else torch.from_numpy(size.astype(np.int64)))


def side(table: Any, kind: Kind, size: NDArray[np.float64], *, predicted: bool) -> Instances:
    """Rows of the objects table as evaluation takes them."""
    own = objects_tensor(table, 0, shapes=True)
    box = torch.cat([own.box[:, :2], own.box[:, 2:] - own.box[:, :2]], 1)
    ignored = torch.from_numpy(np.array(table.column("difficult").to_numpy(), bool))
    shapes = _shapes(own, table, kind, size)
    if isinstance(shapes, Keypoints):
        ignored = ignored | ((shapes.points[:, :, 2] > 0).sum(1) == 0)
    score = torch.from_numpy(np.array(table.column("score").to_numpy(), np.float64))
    return Instances(
        frame=own.frame,
        class_id=own.class_id.long(),
        box=box,
        score=score if predicted else torch.full_like(score, torch.nan),
        area=box[:, 2] * box[:, 3] if predicted and kind == "box" else own.area,
        crowd=own.crowd,
        ignored=ignored,
        shapes=shapes,
    )


def as_written(given: Instances, form: str | None) -> Instances:
    """Boxes from their first to their last pixel, as a VOC file has them, where the reader made them edges."""
    return replace(given, box=given.box + given.box.new_tensor([1, 1, -1, -1])) if form == "voc" else given


def _shapes(own: Objects, table: Any, kind: Kind, size: NDArray[np.float64]) -> ShapeSet | None:
    """The shapes of a kind that the rows have; None for plain boxes."""
    if kind == "box":
        return None
    if kind == "keypoints":
        return Keypoints(_keypoints(table))
    if kind == "mask" or (own.shapes is not None and any(text is not None for text in own.shapes.rle)):
        return _masks(own, table, size)  # of other kinds with a mask among them: the poorer common form
    return None if own.shapes is None else _outlines(own)


def _keypoints(table: Any) -> Tensor:
    """X y v of every object [n k 3]; not labeled where it has none. Raises `UsageError` where numbers of keypoints differ."""
    rows = [row or () for row in table.column("keypoints").to_pylist()]
    counts = {len(row) for row in rows if row}
    if len(counts) > 1 or any(count % 3 for count in counts):
        raise UsageError(f"objects have different numbers of keypoints: {sorted(count / 3 for count in counts)}")
    if not counts:
        raise UsageError("no object has keypoints", hint="evaluate boxes (--kind box), or name files with keypoints")
    (count,) = counts
    values = np.array([row or (0.0,) * count for row in rows], np.float64)
    return torch.from_numpy(values.reshape(len(rows), count // 3, 3))


def _outlines(own: Objects) -> Polygons:
    """Rings of every object; the four corners where it is a box."""
    shapes = own.shapes
    assert shapes is not None  # noqa: S101 - the caller looked
    plain = np.flatnonzero(shapes.rings.diff().numpy() == 0)
    whole = Outlines(shapes.rings.numpy(), shapes.points_of.numpy() * 2, shapes.points.numpy().reshape(-1))
    rest = np.setdiff1d(np.arange(len(own)), plain)
    x1, y1, x2, y2 = own.box.numpy()[plain].T
    corners = np.stack([x1, y1, x2, y1, x2, y2, x1, y2], 1).reshape(-1)
    rows = np.arange(len(plain) + 1)
    both = reordered([whole.take(rest), Outlines(rows, rows * 8, corners)], np.argsort(np.concatenate([rest, plain])))
    return Polygons(*map(torch.from_numpy, (both.rings, both.numbers // 2, both.values.reshape(-1, 2))))


def _masks(own: Objects, table: Any, size: NDArray[np.float64]) -> MaskShapes:
    """Masks as they are, everything else drawn into its frame by COCO's rule. Raises `UsageError` for frames without a size."""
    texts: list[bytes | None] = [None] * len(own) if own.shapes is None else list(own.shapes.rle)
    masked = np.array([text is not None for text in texts], bool)
    sizes = size[own.frame.numpy()]
    if masked.any():
        stated = table.column("rle").combine_chunks()
        of_masks = [stated.field(name).to_numpy(zero_copy_only=False).astype(np.float64) for name in ("height", "width")]
        sizes[masked] = np.stack(of_masks, 1)[masked]
    if np.isnan(sizes).any():
        raise UsageError(
            "masks need the width and height of every frame, and some are not known",
            hint="run with the images, or give labels that state the sizes",
        )
    height, width = (np.ascontiguousarray(column) for column in sizes.astype(np.int64).T)
    rest = np.flatnonzero(~masked)
    if len(rest):
        outlines = _outlines(own if own.shapes is not None else replace(own, shapes=_no_shapes(len(own))))
        rings = Outlines(outlines.rings.numpy(), outlines.points_of.numpy() * 2, outlines.points.numpy().reshape(-1))
        for row, text in zip(rest.tolist(), drawn(rings.take(rest), height[rest], width[rest]).rle, strict=True):
            texts[row] = text
    return MaskShapes(tuple(text or b"" for text in texts), torch.from_numpy(height), torch.from_numpy(width))


def _no_shapes(count: int) -> Shapes:
    """Shapes of plain boxes."""
    zero = torch.zeros(count + 1, dtype=torch.int64)
    return Shapes(zero[1:].to(torch.int8), zero, zero[:1], torch.zeros(0, 2, dtype=torch.float64), (None,) * count)
