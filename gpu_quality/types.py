"""The nouns: frames, pixels, regions, objects, and the integer statistics that metrics are made of.

Axes: ``b`` frames of a batch, ``o`` objects, ``r`` regions (the frames of the batch first, then its objects), ``h w`` pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int8, Int32, Int64, UInt8
from torch import Tensor

from gpu_quality.errors import NULL_REASONS

KINDS: Final = ("box", "rotated_box", "polygon", "mask", "polyline", "point", "keypoints")
"""Shapes an object can have; the first four cover an area. `Shapes.kind` holds indices into this list."""
AREAL: Final = 4


_Struct = TypeVar("_Struct")


def moved(value: _Struct, device: str | torch.device) -> _Struct:
    """A tensor, or a struct of tensors, on another device; what is there already, and what is no tensor, stays as it is."""
    if isinstance(value, Tensor):
        return value.to(device)  # type: ignore[return-value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return type(value)(*(moved(getattr(value, part.name), device) for part in fields(value)))


def _gather(offset: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Members of the given rows of a CSR table, and the offsets of the smaller table."""
    count = offset[rows + 1] - offset[rows]
    smaller = torch.cat([torch.zeros(1, dtype=torch.int64), count.cumsum(0)])
    within = torch.arange(int(smaller[-1])) - torch.repeat_interleave(smaller[:-1], count)
    return torch.repeat_interleave(offset[rows], count) + within, smaller


@dataclass(frozen=True, slots=True)
class Frame:
    """One image or video frame as a reader promises it; no pixels."""

    id: str
    uri: str
    sequence: str = ""
    position: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """Unit of work, of resume and of storage: a name and a range of rows of ``input/frames.parquet``."""

    name: str
    rows: range


@dataclass(frozen=True, slots=True)
class Pixels:
    """Decoded frames of one batch: RGB, HWC, frame after frame in one flat buffer, ragged, no padding."""

    data: UInt8[Tensor, " bytes"]
    offset: Int64[Tensor, " b"]
    height: Int32[Tensor, " b"]
    width: Int32[Tensor, " b"]

    def frame(self, row: int) -> UInt8[Tensor, "h w 3"]:
        """Frame `row` as a view of the buffer."""
        h, w, start = int(self.height[row]), int(self.width[row]), int(self.offset[row])
        return self.data[start : start + h * w * 3].view(h, w, 3)

    def stacks(self) -> Iterator[tuple[Int64[Tensor, " g"], UInt8[Tensor, "g 3 h w"]]]:
        """Frames of equal size, stacked: the rows of the batch they are and a permuted copy."""
        sizes = torch.stack([self.height, self.width], 1)
        for size in torch.unique(sizes, dim=0):
            rows = (sizes == size).all(1).nonzero().flatten()
            yield rows, torch.stack([self.frame(int(row)).permute(2, 0, 1) for row in rows])


@dataclass(frozen=True, slots=True)
class Sizes:
    """Width and height of every frame of the batch in pixels of the canonical frame.

    Where some are unknown (labels without images), the tensors are float64 and hold NaN there.
    """

    width: Int32[Tensor, " b"] | Float64[Tensor, " b"]
    height: Int32[Tensor, " b"] | Float64[Tensor, " b"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the stored files said before they became canonical pixels; -1 means unknown (an image given in memory)."""

    file_size: Int64[Tensor, " b"]
    channels: Int64[Tensor, " b"]
    bit_depth: Int64[Tensor, " b"]
    transparent: Float64[Tensor, " b"]
    """Share of pixels with alpha below 255."""
    reversed_x: Bool[Tensor, " b"]
    """The stored rows (or columns, if EXIF turned the frame) run against the x axis."""
    reversed_y: Bool[Tensor, " b"]


@dataclass(frozen=True, slots=True)
class Spans:
    """Pixel runs of masked regions as CSR: region `i` owns runs ``offset[i]:offset[i+1]`` in row order.

    A region without runs of its own (``whole[i]``) counts its whole rectangle.
    """

    offset: Int64[Tensor, " r_plus_1"]
    whole: Bool[Tensor, " r"]
    y: Int32[Tensor, " s"]
    x0: Int32[Tensor, " s"]
    x1: Int32[Tensor, " s"]


@dataclass(frozen=True, slots=True)
class Regions:
    """Where to count pixels: every frame of the batch first, then every object."""

    frame: Int64[Tensor, " r"]
    rect: Int32[Tensor, "r 4"]
    """x0 y0 x1 y1, half-open, clipped to the frame; an empty region has x1 <= x0 or y1 <= y0."""
    spans: Spans | None
    null: Int8[Tensor, " r"]
    """Why a region holds no pixels: 0 it holds some, else 1 + index into ``errors.NULL_REASONS``."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """Outlines of objects as CSR: object → rings → points; masks as COCO-compressed RLE."""

    kind: Int8[Tensor, " o"]
    rings: Int64[Tensor, " o_plus_1"]
    """Object `i` owns rings ``rings[i]:rings[i+1]``; none for boxes and masks."""
    points_of: Int64[Tensor, " rings_plus_1"]
    points: Float64[Tensor, "p 2"]
    rle: tuple[bytes | None, ...]
    """Compressed counts, column-major, of the size of the frame; None where the object is no mask."""

    def select(self, rows: Int64[Tensor, " k"]) -> "Shapes":
        """The shapes of the given objects, in that order."""
        ring_rows, rings = _gather(self.rings, rows)
        point_rows, points_of = _gather(self.points_of, ring_rows)
        rle = tuple(self.rle[row] for row in rows.tolist())
        return Shapes(self.kind[rows], rings, points_of, self.points[point_rows], rle)


@dataclass(frozen=True, slots=True)
class Objects:
    """Rows of the objects table as tensors, sorted by frame; there may be none."""

    ids: tuple[str, ...]
    frame: Int64[Tensor, " o"]
    """Row in the batch (stream) or in the data set (table pass)."""
    origin: Int8[Tensor, " o"]
    """0 = label, i = i-th prediction set."""
    box: Float64[Tensor, "o 4"]
    """xyxy in pixels: the axis-aligned hull, whatever the shape."""
    class_id: Int32[Tensor, " o"]
    score: Float64[Tensor, " o"]
    """1 where none was given."""
    track: Int64[Tensor, " o"]
    """-1 = none."""
    area: Float64[Tensor, " o"]
    crowd: Bool[Tensor, " o"]
    shapes: Shapes | None = None

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.ids)

    def select(self, rows: Int64[Tensor, " k"]) -> "Objects":
        """The given objects, in that order."""
        return Objects(
            ids=tuple(self.ids[row] for row in rows.tolist()),
            frame=self.frame[rows],
            origin=self.origin[rows],
            box=self.box[rows],
            class_id=self.class_id[rows],
            score=self.score[rows],
            track=self.track[rows],
            area=self.area[rows],
            crowd=self.crowd[rows],
            shapes=self.shapes and self.shapes.select(rows),
        )


@dataclass(frozen=True, slots=True)
class Masked:
    """A metric's result with rows that are undefined by its definition: they become null, with `reason`.

    `missing` marks those rows; what `value` holds there does not matter. `reason` is one of ``errors.NULL_REASONS``, or per row
    1 + the index of one, where rows are undefined for different reasons.
    """

    value: Tensor
    missing: Bool[Tensor, " rows"]
    reason: str | Int8[Tensor, " rows"]

    def codes(self) -> Int8[Tensor, " rows"]:
        """Per row 1 + index into ``errors.NULL_REASONS`` where it is undefined, else 0."""
        if isinstance(self.reason, str):
            return self.missing.to(torch.int8) * (1 + NULL_REASONS.index(self.reason))
        return torch.where(self.missing, self.reason, 0).to(torch.int8)


@dataclass(frozen=True, slots=True)
class Answers:
    """Rows of the classifications table as tensors, in input order: one answer to one question."""

    frame: Int64[Tensor, " c"]
    """Row in the data set."""
    object: Int64[Tensor, " c"]
    """Row of the object that the answer is about, -1 = the whole frame."""
    origin: Int8[Tensor, " c"]
    """0 = label, i = i-th prediction set."""
    question: Int64[Tensor, " c"]
    """Number of the question; equal numbers are equal questions."""
    class_id: Int64[Tensor, " c"]
    score: Float64[Tensor, " c"]
    """1 where none was given."""

    def __len__(self) -> int:
        """Number of answers."""
        return len(self.frame)


class Crops(NamedTuple):
    """How objects are cut out of their frames before they are embedded, and whose objects are."""

    context: float = 0.0
    """How far a crop reaches beyond its box on each side, as a share of the box's side."""
    mask: bool = False
    """Whether pixels outside the object's shape are painted over."""
    origins: frozenset[int] = frozenset({0})
    """0 = labels, i = the i-th prediction set."""


@runtime_checkable
class Encoder(Protocol):
    """Pictures in, unit vectors out; a vector does not depend on what else is in its batch."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def prepare(
        self, pixels: Pixels, regions: Regions, *, context: float = 0.0, mask: bool = False
    ) -> UInt8[Tensor, "r 3 s s"]:
        """Every region as the picture the network wants to see."""

    def __call__(self, rgb: UInt8[Tensor, "r 3 s s"]) -> Float32[Tensor, "r d"]:
        """A unit vector per picture, on the CPU; NaN throughout where there is no direction."""


@runtime_checkable
class Words(Protocol):
    """The text tower of a model that has one."""

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by before a softmax."""

    def encode_text(self, texts: list[str]) -> Float32[Tensor, "t d"]:
        """A unit vector per text, comparable with those of pictures."""


@runtime_checkable
class Index(Protocol):
    """Neighbors by cosine; vectors that are zero or not finite are never found and find nothing."""

    def neighbors(self, x: Float[Tensor, "n d"], k: int) -> tuple[Float32[Tensor, "n k"], Int64[Tensor, "n k"]]:
        """Distances and rows of the k nearest other rows; NaN and -1 past the last."""

    def nearest(self, x: Float[Tensor, "n d"], k: int, *, groups: Tensor | None = None) -> Any:
        """The same as `distance` and `row`, leaving out rows that share a group (-1: none)."""

    def search(self, queries: Float[Tensor, "q d"], x: Float[Tensor, "n d"], k: int) -> Any:
        """The k rows of `x` nearest to each query, as `distance` and `row`."""

    def pairs(self, x: Float[Tensor, "n d"], at_least: float) -> Int64[Tensor, "p 2"]:
        """All pairs of rows with a cosine of at least `at_least`."""

    def groups(self, x: Float[Tensor, "n d"], at_least: float) -> Any:
        """Groups whose members have a cosine of at least `at_least` to their leader."""

    def components(self, x: Float[Tensor, "n d"], below: float = 1e-5) -> Int64[Tensor, " n"]:
        """The lowest row of the component of distances below `below`; -1 without a usable vector."""

    def kmeans(self, x: Float[Tensor, "n d"], k: int, seed: int = 0) -> Any:
        """Clusters as `label` (-1 without a usable vector), `distance` to the own center, `center`."""

    def refused(self, x: Float[Tensor, "n d"]) -> Int64[Tensor, " u"]:
        """Rows that cannot be compared."""


# Statistics groups (reference: metrics.md section 2). All int64 and exact; `count` is the number of pixels that took part.


@dataclass(frozen=True, slots=True)
class Moments:
    """Power sums of R, G, B and of the opponent axes rg = R - G, yb = R + G - 2B."""

    count: Int64[Tensor, " r"]
    sum: Int64[Tensor, "r 3"]
    square: Int64[Tensor, "r 3"]
    opponent: Int64[Tensor, "r 2"]
    opponent_square: Int64[Tensor, "r 2"]


@dataclass(frozen=True, slots=True)
class Tones:
    """Histogram of the luma Y = (19595 R + 38470 G + 7471 B + 32768) >> 16."""

    count: Int64[Tensor, " r"]
    histogram: Int64[Tensor, "r 256"]


@dataclass(frozen=True, slots=True)
class Edges:
    """Sums of the 4-neighbour Laplacian of Y."""

    count: Int64[Tensor, " r"]
    laplacian: Int64[Tensor, " r"]
    laplacian_square: Int64[Tensor, " r"]


@dataclass(frozen=True, slots=True)
class Gradients:
    """Sum of g2 = gx² + gy² (3x3 Sobel of Y), and the number of pixels with g2 >= 100²."""

    count: Int64[Tensor, " r"]
    square: Int64[Tensor, " r"]
    strong: Int64[Tensor, " r"]


@dataclass(frozen=True, slots=True)
class Grain:
    """Sum of abs(n), n = Y * [1 -2 1; -2 4 -2; 1 -2 1]; `count` = pixels whose 3x3 neighbourhood lies inside the frame."""

    count: Int64[Tensor, " r"]
    absolute: Int64[Tensor, " r"]


@dataclass(frozen=True, slots=True)
class ChannelEdges:
    """Sums of the 4-neighbour Laplacian of R, G and B."""

    count: Int64[Tensor, " r"]
    laplacian: Int64[Tensor, "r 3"]
    laplacian_square: Int64[Tensor, "r 3"]


@dataclass(frozen=True, slots=True)
class ChannelTones:
    """Histograms of R, G and B."""

    count: Int64[Tensor, " r"]
    histogram: Int64[Tensor, "r 3 256"]


@dataclass(frozen=True, slots=True)
class Hues:
    """Counts of red, green and blue pixels, sum of the saturation S, count of pixels with chroma D > 8."""

    count: Int64[Tensor, " r"]
    shares: Int64[Tensor, "r 3"]
    saturation: Int64[Tensor, " r"]
    colored: Int64[Tensor, " r"]


@dataclass(frozen=True, slots=True)
class Perceived:
    """Order statistics of K = 241 R² + 691 G² + 68 B² (perceived brightness squared, x 1000) over the rectangle.

    `low` and `high` hold the two order statistics around rank (N-1)·5/100 and (N-1)·99/100. Spans are ignored.
    """

    count: Int64[Tensor, " r"]
    low: Int64[Tensor, "r 2"]
    high: Int64[Tensor, "r 2"]


@dataclass(frozen=True, slots=True)
class Phases:
    """Sums over frames of abs(Y[x+1] - Y[x]) by x mod 8, and of abs(Y[y+1] - Y[y]) by y mod 8 (frames only)."""

    dx: Int64[Tensor, "b 8"]
    dy: Int64[Tensor, "b 8"]


@dataclass(frozen=True, slots=True)
class Cells:
    """Sum of Y in cell (floor(8y/H), floor(8x/W)) (frames only)."""

    sum: Int64[Tensor, "b 8 8"]
    count: Int64[Tensor, "b 8 8"]


@dataclass(frozen=True, slots=True)
class Content:
    """Sum of SplitMix64((index << 24) | R << 16 | G << 8 | B) modulo 2^64, as int64 (frames only)."""

    sum: Int64[Tensor, " b"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames of one batch and the roots the plan asked for, nothing else."""

    frames: tuple[Frame, ...]
    roots: dict[str, object] = field(default_factory=dict)
