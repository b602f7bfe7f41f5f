"""Vectors: right ones, unit ones, the same ones whatever else is in the batch."""

import numpy as np
import pytest
import torch
from encoders.tiny import batch_of, noise, write_tiny
from PIL import Image

from gpu_quality.cards import ModelCard
from gpu_quality.encoders import open_clip
from gpu_quality.encoders.encoder import ImageEncoder, load_encoder, unit
from gpu_quality.encoders.precision import dtype_for, folded, has_bfloat16
from gpu_quality.errors import ConfigError, ResourceError, UsageError


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("GPU_QUALITY_WEIGHTS", str(tmp_path))
    return write_tiny(tmp_path, tmp_path, text=True)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def default(request):
    return load_encoder("default", precision=request.param)


@pytest.fixture(scope="module")
def four_classes(test_data_folder):
    files = sorted((test_data_folder / "retrieval" / "four_classes_24").rglob("*.JPEG"))
    pictures = [torch.from_numpy(np.array(Image.open(path).convert("RGB"))) for path in files]
    return [path.parent.name for path in files], batch_of(pictures)


@pytest.fixture(scope="module")
def test_data_folder(request):
    return request.getfixturevalue("test_data")


def hits(names, vectors):
    """Share of photos whose nearest other photo is of their class."""
    cosine = vectors @ vectors.T
    nearest = cosine.fill_diagonal_(-2).argmax(1).tolist()
    return np.mean([names[row] == names[other] for row, other in enumerate(nearest)])


def test_the_default_encoder_tells_classes_apart(default, four_classes):
    names, (pixels, regions) = four_classes
    assert len(names) == 24
    assert hits(names, default(default.prepare(pixels, regions))) == pytest.approx(0.958, abs=0.001)


def test_random_weights_do_not(four_classes):
    names, (pixels, regions) = four_classes
    card = ModelCard.find("default")
    torch.manual_seed(0)
    encoder = ImageEncoder(card, open_clip.bare_image_tower(card))
    assert hits(names, encoder(encoder.prepare(pixels, regions))) < 0.6


def test_bfloat16_agrees_with_float32(four_classes):
    _, (pixels, regions) = four_classes
    exact, quick = (load_encoder("default", precision=name) for name in ("float32", "bfloat16"))
    pictures = exact.prepare(pixels, regions)
    assert (exact(pictures) * quick(pictures)).sum(1).min() > 0.999


def test_bfloat16_agrees_with_float32_on_other_photos(test_data):
    """Among them the one that asked for a second stage in float32 (0.99897 with one)."""
    files = sorted((test_data / "coco_photos").rglob("*.jpg"))[:20]
    pixels, regions = batch_of([torch.from_numpy(np.array(Image.open(path).convert("RGB"))) for path in files])
    exact, quick = (load_encoder("default", precision=name) for name in ("float32", "bfloat16"))
    pictures = exact.prepare(pixels, regions)
    assert (exact(pictures) * quick(pictures)).sum(1).min() > 0.999


def test_vectors_are_those_of_the_plain_network(four_classes):
    """The network as timm has it, without folding, batching or another memory layout."""
    _, (pixels, regions) = four_classes
    card = ModelCard.find("default")
    encoder = load_encoder(card, precision="float32")
    pictures = encoder.prepare(pixels, regions)[:6]
    with torch.inference_mode():
        plain = open_clip.image_tower(card)((pictures.contiguous() / 255 - 0.5) / 0.5)
    assert (torch.nn.functional.normalize(plain) - encoder(pictures)).abs().max() < 1e-5


def test_vectors_do_not_depend_on_their_neighbors(default):
    """Bit for bit, at any place in a batch and beside anything."""
    pictures = noise(21, 3, 224, 224)
    vectors = default(pictures)
    assert vectors.shape == (21, 1280)
    assert vectors.dtype == torch.float32
    order = torch.randperm(21, generator=torch.Generator().manual_seed(1))
    assert torch.equal(default(pictures[order]), vectors[order])
    assert all(torch.equal(default(pictures[row : row + 1])[0], vectors[row]) for row in (0, 3, 20))
    assert (torch.linalg.vector_norm(vectors, dim=1) - 1).abs().max() < 1e-6


def test_a_vision_transformer_does_not_depend_on_neighbors_either(tiny):
    for precision in ("float32", "bfloat16"):
        encoder = load_encoder(tiny, precision=precision, batch=4)
        pictures = noise(13, 3, 32, 32)
        vectors = encoder(pictures)
        assert torch.equal(encoder(pictures.flip(0)).flip(0), vectors)
        assert torch.equal(encoder(pictures[12:])[0], vectors[12])


def test_other_batch_sizes_and_threads_change_the_last_bits_at_most(tiny):
    pictures = noise(9, 3, 32, 32)
    vectors = load_encoder(tiny, precision="float32", batch=4)(pictures)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert (load_encoder(tiny, precision="float32", batch=8)(pictures) - vectors).abs().max() < 1e-5
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("batch", [0, -4, 5, 24])
def test_batches_are_powers_of_two(tiny, batch):
    with pytest.raises(UsageError, match=f"must be a power of two, got {batch}"):
        load_encoder(tiny, batch=batch)


def test_nothing_gives_nothing(tiny):
    assert load_encoder(tiny)(noise(0, 3, 32, 32)).shape == (0, 32)


def test_statistics_of_colors_are_applied(tiny):
    encoder = load_encoder(tiny, precision="float32")
    pictures = noise(3, 3, 32, 32)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (tiny.input.mean, tiny.input.std))
    with torch.inference_mode():
        plain = open_clip.image_tower(tiny)((pictures / 255 - mean) / std)
    assert (torch.nn.functional.normalize(plain) - encoder(pictures)).abs().max() < 1e-5


@pytest.mark.parametrize("bad", [noise(1, 3, 31, 32), noise(1, 3, 32, 32).float()], ids=["size", "dtype"])
def test_other_pictures_are_refused(tiny, bad):
    with pytest.raises(UsageError, match=r"tiny wants uint8 \[r, 3, 32, 32\]"):
        load_encoder(tiny)(bad)


def test_rows_without_a_direction_are_flagged():
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [torch.nan, 1.0], [torch.inf, 1.0], [1e-30, 0.0], [3e38, 3e38]])
    found = unit(rows)
    assert found.isnan().all(1).tolist() == [False, True, True, True, False, False]
    assert found[0].tolist() == pytest.approx([0.6, 0.8])
    assert found[4].tolist() == [1, 0]
    assert found[5].tolist() == pytest.approx([0.5**0.5] * 2)


def test_a_network_that_overflows_is_flagged_and_its_neighbors_are_not(tiny):
    class Overflowing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x):
            flat = x.flatten(1)[:, :32] * self.weight
            return torch.where(flat.sum(1, keepdim=True) > 0, flat, torch.inf)

    encoder = ImageEncoder(tiny, Overflowing(), precision="float32", batch=4)
    pictures = torch.full((3, 3, 32, 32), 255, dtype=torch.uint8)
    pictures[1] = 0
    assert encoder(pictures).isnan().all(1).tolist() == [False, True, False]


class Hungry(torch.nn.Module):
    """A network that has memory for `limit` pictures."""

    def __init__(self, limit, error):
        super().__init__()
        self.weight, self.limit, self.error = torch.nn.Parameter(torch.ones(1)), limit, error

    def forward(self, x):
        if len(x) > self.limit:
            raise self.error
        return x.flatten(1)[:, :32] * self.weight


OOM = [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]


@pytest.mark.parametrize("error", OOM, ids=lambda error: type(error).__name__)
def test_out_of_memory_halves_the_batch_and_says_so(tiny, error):
    said = []
    encoder = ImageEncoder(tiny, Hungry(4, error), precision="float32", batch=16, on_remark=said.append)
    pictures = noise(9, 3, 32, 32)
    assert torch.equal(encoder(pictures), ImageEncoder(tiny, Hungry(4, error), precision="float32", batch=4)(pictures))
    assert encoder.batch == 4
    assert encoder.remarks == said
    assert said[-1] == "tiny: out of memory on cpu; going on with batches of 4"
    encoder(pictures)
    assert len(said) == 2


def test_out_of_memory_for_one_picture_is_an_error_and_other_errors_stay_themselves(tiny):
    with pytest.raises(ResourceError, match="does not fit into the memory of cpu"):
        ImageEncoder(tiny, Hungry(0, OOM[0]), batch=2)(noise(1, 3, 32, 32))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        ImageEncoder(tiny, Hungry(0, RuntimeError("shapes cannot be multiplied")), batch=2)(noise(1, 3, 32, 32))


def test_words_are_unit_vectors_comparable_with_pictures(tiny):
    encoder = load_encoder(tiny)
    texts = ["a truck at night", "a cat", "a truck at night"]
    words = encoder.encode_text(texts)
    assert words.shape == (3, 32)
    assert torch.equal(words[0], words[2])
    assert not torch.equal(words[0], words[1])
    assert (torch.linalg.vector_norm(words, dim=1) - 1).abs().max() < 1e-6
    assert encoder.encode_text([]).shape == (0, 32)
    assert encoder.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)


def test_the_whole_model_sees_pictures_as_the_image_tower_does(tiny):
    pictures = noise(2, 3, 32, 32).float() / 255
    with torch.inference_mode():
        assert torch.equal(open_clip.both_towers(tiny).encode_image(pictures), open_clip.image_tower(tiny)(pictures))


def test_words_for_a_card_without_a_text_tower_say_what_to_do(default):
    with pytest.raises(UsageError, match="card default has no text tower") as caught:
        default.encode_text(["a cat"])
    assert "clip-vit-b32-openai" in caught.value.hint


def test_a_tokenizer_that_is_not_here_is_told_and_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("GPU_QUALITY_WEIGHTS", str(tmp_path))
    with pytest.raises(UsageError, match=r"card siglip2-b16: its tokenizer is not here") as caught:
        open_clip.tokens(ModelCard.find("siglip2-b16"), ["a cat"])
    assert caught.value.hint == "gpu-quality model fetch siglip2-b16"


def test_precision_is_told_or_found(monkeypatch):
    cpu = torch.device("cpu")
    assert dtype_for("float32", cpu) == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert not has_bfloat16(cpu)
    assert dtype_for("auto", cpu) == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert dtype_for("auto", cpu) == torch.bfloat16
    with pytest.raises(UsageError, match="precision 'half' is unknown"):
        dtype_for("half", cpu)


def test_parts_that_should_stay_exact_must_exist(tiny):
    card = tiny.model_copy(update={"float32": ("stem",)})
    with pytest.raises(ConfigError, match="'stem' is no part of the image tower"):
        load_encoder(card)


def test_a_fold_that_changes_what_a_network_computes_is_not_kept():
    class Twisted(torch.nn.Module):
        """The norm is listed after the convolution but works before it."""

        def __init__(self):
            super().__init__()
            self.conv, self.norm = torch.nn.Conv2d(3, 3, 3), torch.nn.BatchNorm2d(3)
            self.norm.running_mean += torch.tensor([0.5, -1.0, 2.0])
            self.norm.running_var += torch.tensor([0.0, 3.0, 8.0])

        def forward(self, x):
            return self.conv(self.norm(x)).mean((2, 3))

    torch.manual_seed(0)
    network = Twisted().eval()
    assert folded(network, torch.rand(1, 3, 8, 8)) is network
