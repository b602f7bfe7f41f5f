"""Weights: hashed before they are parsed, never run, and all in their places."""

import io
import pickle

import pytest
import torch
from encoders.tiny import write_tiny

from gpu_quality.cards import ModelCard, digest_of
from gpu_quality.encoders import open_clip, weights
from gpu_quality.errors import ConfigError, RefusedError, UnknownNameError, UsageError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GPU_QUALITY_WEIGHTS", str(tmp_path))
    return tmp_path


def card_for(folder, data: bytes, name="tiny.pth"):
    """The tiny card with other bytes as its weights, and their true hash."""
    card = write_tiny(folder, folder)
    (folder / name).write_bytes(data)
    return card.model_copy(update={"weights": name, "sha256": digest_of(folder / name)})


def saved(value) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


def script() -> bytes:
    class Plain(torch.nn.Module):
        def forward(self, x):
            return x

    buffer = io.BytesIO()
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(Plain()), buffer)
    return buffer.getvalue()


def test_one_changed_byte_is_refused_before_anything_is_parsed(folder, monkeypatch):
    card = write_tiny(folder, folder)
    path = folder / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(weights, "_parse", lambda _: pytest.fail("parsed"))
    with pytest.raises(RefusedError, match=r"is not what card tiny names: its SHA-256 is .*, expected "):
        open_clip.image_tower(card)


FOREIGN = {
    "pickle": lambda: pickle.dumps(Evil()),
    "torch with code": lambda: saved(Evil()),
    "TorchScript": script,
    "empty": lambda: b"",
    "cut": lambda: b"\x80\x02",
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_files_that_are_not_plain_tensors_are_refused(folder, make):
    with pytest.raises(RefusedError, match="is not a plain file of tensors"):
        open_clip.image_tower(card_for(folder, make()))


@pytest.mark.parametrize(
    "value", [[1, 2], {"a": 1}, {1: torch.ones(1)}, torch.ones(3)], ids=["list", "numbers", "keys", "tensor"]
)
def test_files_that_hold_something_else_are_refused(folder, value):
    with pytest.raises(RefusedError, match="does not hold tensors by name"):
        open_clip.image_tower(card_for(folder, saved(value)))


def test_broken_safetensors_are_refused(folder):
    for data in (b"", b"\xff" * 64, (folder / "x").name.encode()):
        with pytest.raises(RefusedError, match="is no safetensors file"):
            open_clip.image_tower(card_for(folder, data, "other.safetensors"))


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


def with_value(state, name, value):
    return {**state, name: value}


POSITION = "visual.positional_embedding"
CHANGES = {
    "missing": (lambda s: without(s, POSITION), r"1 tensors missing \(positional_embedding\), 0 too many"),
    "too many": (lambda s: with_value(s, "visual.extra", torch.ones(2)), r"0 tensors missing \(none\), 1 too many \(extra\)"),
    "shape": (lambda s: with_value(s, POSITION, torch.ones(3, 64)), r"positional_embedding is \(3, 64\).*expected \(17, 64\)"),
    "kind": (lambda s: with_value(s, POSITION, s[POSITION].long()), "positional_embedding is .* torch.int64, expected"),
    "NaN": (lambda s: with_value(s, POSITION, torch.full((17, 64), torch.nan)), "hold NaN or infinity in positional_embedding"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_weights_that_do_not_fit_are_refused(folder, change):
    how, said = CHANGES[change]
    with pytest.raises(RefusedError, match=said):
        open_clip.image_tower(write_tiny(folder, folder, change=how))


def test_half_precision_weights_are_taken(folder):
    card = write_tiny(folder, folder, change=lambda s: {k: v.half() for k, v in s.items()})
    assert next(open_clip.image_tower(card).parameters()).dtype == torch.float32


def test_the_default_weights_fit_one_to_one_in_order_and_shape():
    """As the card claims: 296 tensors of the file, 296 of timm's network, of equal shapes in equal order."""
    import timm

    state = list(weights.read_weights(ModelCard.find("default")).values())
    network = list(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict().values())
    assert len(state) == len(network) == 296
    assert [tensor.shape for tensor in state] == [tensor.shape for tensor in network]


def test_tensors_in_order_must_be_all_there(folder):
    card = write_tiny(folder, folder).model_copy(update={"tensors": "in_order"})
    tower = open_clip.bare_image_tower(card)
    state = {f"_{name}": tensor for name, tensor in tower.state_dict().items()}
    weights.fill(tower, state, card)
    classifier = {"head": torch.ones(10, 32), "bias": torch.ones(10)}
    weights.fill(tower, state | classifier, card)
    for bad in (dict(list(state.items())[:-1]), state | {"more": torch.ones(1)}, classifier | state):
        with pytest.raises(RefusedError):
            weights.fill(tower, bad, card)


def test_a_folder_that_open_clip_saved_brings_its_architecture(folder):
    import json

    card = write_tiny(folder, folder, text=True)
    home = folder / "saved"
    home.mkdir()
    (folder / "tiny.safetensors").rename(home / "open_clip_model.safetensors")
    config = {"model_cfg": json.loads((folder / "tiny.json").read_text()), "preprocess_cfg": {}}
    (home / "open_clip_config.json").write_text(json.dumps(config))
    text = (folder / "tiny.yaml").read_text().replace("model: tiny.json\n", "").replace("tiny.safetensors", "local-dir:saved")
    (folder / "local.yaml").write_text(text.replace("name: tiny", "name: local"))
    local = ModelCard.load(folder / "local.yaml")
    assert local.sha256 == card.sha256
    assert open_clip.image_tower(local)(torch.zeros(1, 3, 32, 32)).shape == (1, 32)
    assert open_clip.both_towers(local).encode_text(open_clip.tokens(local, ["a cat"])).shape == (1, 32)


BAD = {
    '{"embed_dim": 32}': (ConfigError, "this is no architecture of open_clip"),
    "[1]": (ConfigError, "holds list"),
    "{": (ConfigError, "is no JSON"),
    '{"embed_dim": 32, "vision_cfg": {}, "hub": 1}': (ConfigError, "hub is no known key"),
    '{"embed_dim": 33, "vision_cfg": {}}': (ConfigError, "says dim: 32, but .* has 33"),
    '{"embed_dim": 32, "vision_cfg": {"timm_model_name": "hf-hub:a/b"}}': (RefusedError, "is no architecture of timm"),
    '{"embed_dim": 32, "vision_cfg": {"color": 3}}': (ConfigError, "color"),
    '{"embed_dim": 32, "vision_cfg": {"timm_model_name": "resnet_of_mine"}}': (ConfigError, "resnet_of_mine"),
}


@pytest.mark.parametrize("text", BAD)
def test_architectures_that_are_none_or_would_fetch_are_refused(folder, text):
    card = write_tiny(folder, folder)
    (folder / "tiny.json").write_text(text)
    error, said = BAD[text]
    with pytest.raises(error, match=said):
        open_clip.image_tower(card)


def test_pretrained_weights_of_timm_are_never_asked_for(folder):
    card = write_tiny(folder, folder)
    (folder / "tiny.json").write_text(
        '{"embed_dim": 32, "vision_cfg": {"timm_model_name": "a", "timm_model_pretrained": true}}'
    )
    assert open_clip.architecture(card)["vision_cfg"]["timm_model_pretrained"] is False


def test_unknown_names_say_what_is_close(folder):
    card = write_tiny(folder, folder).model_copy(update={"model": "ViT-B-33"})
    with pytest.raises(UnknownNameError, match="open_clip knows no architecture 'ViT-B-33'") as caught:
        open_clip.architecture(card)
    assert "ViT-B-32" in caught.value.hint


def test_a_card_that_promises_words_needs_a_text_tower(folder):
    card = write_tiny(folder, folder, text=True)
    (folder / "tiny.json").write_text('{"embed_dim": 32, "vision_cfg": {}}')
    with pytest.raises(ConfigError, match="says text: true"):
        open_clip.architecture(card)
    with pytest.raises(UsageError, match="has no text tower"):
        open_clip.both_towers(card.model_copy(update={"text": False}))
