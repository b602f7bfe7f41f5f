"""The encoder: pictures and words in, unit vectors out; a vector does not depend on what else is in its batch."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from gpu_quality.cards import ModelCard
from gpu_quality.encoders import open_clip, preparation
from gpu_quality.encoders.precision import as_vectors, dtype_for, first_dtype, folded, lowered
from gpu_quality.errors import ResourceError, UsageError
from gpu_quality.types import Pixels, Regions

BATCH: Final = {"cpu": 16, "cuda": 256}
"""Pictures that go through the network at once, where nobody says otherwise."""
_TEXTS: Final = 64


class ImageEncoder:
    """A model with its weights, ready to embed.

    Every call of the network sees exactly `batch` pictures, the last ones black where there are fewer: libraries choose their
    kernels by shape, so a fixed shape is what makes a vector independent of its neighbors and of where a run was interrupted.
    """

    def __init__(
        self,
        card: ModelCard,
        tower: nn.Module,
        *,
        device: str | torch.device = "cpu",
        precision: str = "auto",
        batch: int | None = None,
        threads: int = 1,
        on_remark: Callable[[str], None] | None = None,
    ) -> None:
        self.card, self.dim, self.device = card, card.dim, torch.device(device)
        self.dtype = dtype_for(precision, self.device)
        self.batch = BATCH.get(self.device.type, 16) if batch is None else batch
        if self.batch < 1 or self.batch & (self.batch - 1):
            # Small products of odd height are shared out unevenly: with batches of 5, 6, 7 and 10 the last bits of a vector
            # did depend on its place, with powers of two nowhere.
            raise UsageError(f"an encoder's batch must be a power of two, got {batch}", hint="use 16, 32, 64 …")
        self.remarks: list[str] = []
        """What a person should know: batches that were halved for want of memory."""
        self._on_remark = on_remark
        self.on_batch: Callable[[], None] | None = None
        """Called after every batch, in the thread that asked: whoever waits knows that it is not stuck."""
        self._threads = threads
        side = card.input.size
        gray = torch.linspace(-1, 1, 3 * side * side).view(1, 3, side, side)
        tower = lowered(folded(tower.eval(), gray), self.dtype, card.float32, card.name)
        tower = tower.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._tower: nn.Module = tower.requires_grad_(requires_grad=False)
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) * 255 for values in (card.input.mean, card.input.std)
        )
        self._first = first_dtype(self._tower)
        self._text: nn.Module | None = None

    def prepare(
        self, pixels: Pixels, regions: Regions, *, context: float = 0.0, mask: bool = False
    ) -> UInt8[Tensor, "r 3 s s"]:
        """Every region as the picture the network wants to see; see `preparation.prepare`."""
        return preparation.prepare(pixels, regions, self.card.input, context=context, mask=mask)

    def __call__(self, rgb: UInt8[Tensor, "r 3 s s"]) -> Float32[Tensor, "r d"]:
        """A unit vector per picture, on the CPU; a row is NaN throughout where the network gave no direction (zero, NaN, inf).

        Raises
        ------
        UsageError
            Pictures are not uint8 of the encoder's size.
        ResourceError
            There is not even memory for one picture.
        """
        side = self.card.input.size
        if rgb.dtype != torch.uint8 or rgb.shape[1:] != (3, side, side):
            raise UsageError(f"{self.card.name} wants uint8 [r, 3, {side}, {side}], got {rgb.dtype} {list(rgb.shape)}")
        while True:
            try:
                return self._all(rgb)
            except (RuntimeError, MemoryError) as error:
                if not _is_memory(error):
                    raise
                self._halve()

    def encode_text(self, texts: list[str]) -> Float32[Tensor, "t d"]:
        """A unit vector per text, comparable with those of pictures. Raises `UsageError` for a card without a text tower."""
        if not self.card.text:
            raise open_clip.no_text(self.card)
        found = [torch.zeros(0, self.dim)]
        for start in range(0, len(texts), _TEXTS):
            words = open_clip.tokens(self.card, texts[start : start + _TEXTS])
            with torch.inference_mode():
                found.append(unit(as_vectors(self._words().encode_text(words)).float()))  # type: ignore[operator]
        return torch.cat(found)

    @property
    def logit_scale(self) -> float:
        """What cosines of pictures and words are multiplied by before a softmax (100 for CLIP). Raises `UsageError`."""
        return float(self._words().logit_scale.exp())  # type: ignore[operator]

    def _words(self) -> nn.Module:
        """The whole model in float32 on the CPU, loaded at the first words."""
        if self._text is None:
            self._text = open_clip.both_towers(self.card).requires_grad_(requires_grad=False)
        return self._text

    def _all(self, rgb: UInt8[Tensor, "r 3 s s"]) -> Float32[Tensor, "r d"]:
        """All pictures in batches of one size, so that one answer never mixes two sizes.

        On a CPU several batches run side by side, each in a thread of its own: that keeps cores busier than sharing the sums of
        one batch out among them, and leaves the order of every sum as it is with one thread.
        """
        out = torch.empty(len(rgb), self.dim)
        starts = range(0, len(rgb), self.batch)
        if self._threads == 1 or len(starts) < 2 or torch.get_num_threads() > 1:
            for start in starts:
                self._one(rgb, start, out)
                self._beat()
            return out
        with ThreadPoolExecutor(self._threads, thread_name_prefix="encoder") as pool:
            for done in as_completed([pool.submit(self._one, rgb, start, out) for start in starts]):
                done.result()
                self._beat()
        return out

    def _beat(self) -> None:
        if self.on_batch is not None:
            self.on_batch()

    def _one(self, rgb: UInt8[Tensor, "r 3 s s"], start: int, out: Float32[Tensor, "r d"]) -> None:
        """One batch from row `start`, into its rows of `out`."""
        part = rgb[start : start + self.batch]
        full = torch.zeros((self.batch, *rgb.shape[1:]), dtype=torch.uint8, device=rgb.device)
        full = full.to(memory_format=torch.channels_last)
        full[: len(part)] = part
        with torch.inference_mode():
            values = (full.to(self.device).float() - self._mean) / self._std
            vectors = as_vectors(self._tower(values.to(self._first)))
            out[start : start + len(part)] = unit(vectors[: len(part)].float()).cpu()

    def _halve(self) -> None:
        if self.batch == 1:
            raise ResourceError(
                f"{self.card.name} does not fit into the memory of {self.device}", hint="use a smaller model, or the CPU"
            ) from None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.batch //= 2
        remark = f"{self.card.name}: out of memory on {self.device}; going on with batches of {self.batch}"
        self.remarks.append(remark)
        if self._on_remark is not None:
            self._on_remark(remark)


def load_encoder(
    card: ModelCard | str,
    *,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    batch: int | None = None,
    threads: int = 1,
    on_remark: Callable[[str], None] | None = None,
) -> ImageEncoder:
    """The encoder of a card (or of a card's name or path), its weights verified; on a CPU `threads` batches run side by side,
    where torch itself is kept to one thread. Raises `UsageError`, `RefusedError`.
    """
    card = ModelCard.find(card) if isinstance(card, str) else card
    tower = open_clip.image_tower(card)
    return ImageEncoder(card, tower, device=device, precision=precision, batch=batch, threads=threads, on_remark=on_remark)


def unit(vectors: Float32[Tensor, "r d"]) -> Float32[Tensor, "r d"]:
    """Vectors of length 1; rows without a direction (zero, or not finite) are NaN throughout, never something arbitrary."""
    length = torch.linalg.vector_norm(vectors.double(), dim=1, keepdim=True)
    sound = torch.isfinite(length) & (length > 0)
    return torch.where(sound, vectors.double() / length, torch.nan).float()


def _is_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out; the CPU's allocator has no type of its own for it."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "can't allocate memory" in str(error) or "could not allocate" in str(error).lower()
