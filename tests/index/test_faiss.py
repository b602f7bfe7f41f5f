"""Indexes of faiss: what they find beside the exact one, how they are kept, and which one is chosen."""

import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from gpu_quality.errors import ConfigError, ResourceError, UsageError
from gpu_quality.index import choice
from gpu_quality.index.exact import Exact
from gpu_quality.store.commit import commit_folder

faiss = pytest.importorskip("faiss")
from gpu_quality.index import faiss as door  # noqa: E402


def vectors_of(n: int, d: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    center = torch.randn(20, d, generator=generator)
    x = center[torch.randint(20, (n,), generator=generator)] + 0.5 * torch.randn(n, d, generator=generator)
    x[3], x[5, 0] = 0, torch.nan
    return x


def recall(found, right) -> float:
    pairs = zip(found.row.tolist(), right.row.tolist(), strict=True)
    return sum(len(set(a) & set(b) - {-1}) for a, b in pairs) / int((right.row >= 0).sum())


@pytest.mark.parametrize(
    ("setting", "least"),
    [
        (door.Setting("flat"), 0.9999),
        (door.Setting("ivf", lists=20, probes=8), 0.95),
        (door.Setting("hnsw"), 0.95),
        (door.Setting("pq", lists=4, probes=4, bytes=16), 0.4),
    ],
)
def test_finds_what_the_exact_index_finds(setting, least, tmp_path):
    x = vectors_of(10_100)
    queries, same = x[:500], torch.arange(500)
    index = door.build(x, setting, "x")
    right = Exact().search(queries, x, 10, same=same)
    found = index.search(queries, 10, same=same)
    assert recall(found, right) >= least
    assert (found.row[[3, 5]] == -1).all()
    assert not {3, 5} & set(found.row.flatten().tolist())
    assert not (found.row == same[:, None]).any()
    commit_folder(tmp_path / "index", index.files())
    again = door.load(tmp_path / "index", setting, "x")
    assert again is not None
    assert torch.equal(again.search(queries, 10, same=same).row, found.row)
    assert torch.equal(door.build(x, setting, "x").search(queries, 10, same=same).row, found.row)


@pytest.mark.parametrize("kind", door.KINDS)
@pytest.mark.parametrize("n", [0, 1, 2, 40])
def test_few_vectors(kind, n):
    x = torch.nn.functional.normalize(torch.randn(40, 16, generator=torch.Generator().manual_seed(1)), dim=1)[:n]
    found = door.build(x, door.Setting(kind, bytes=4, probes=1000)).search(x, 3, same=torch.arange(n))
    assert torch.equal(found.row, Exact().nearest(x, 3).row)


def saved(folder):
    x = vectors_of(200)
    commit_folder(folder, door.build(x, door.Setting("flat"), "x").files())
    return x


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def forge(path):
    """A changed index whose checksum was changed with it, but not the seal."""
    meta = json.loads((path / door.META).read_text())
    meta["sha256"][door.INDEX] = "0" * 64
    (path / door.META).write_text(json.dumps(meta, sort_keys=True, indent=1))


def reseal(path, index=None, ids=None, **changed):
    """Files exchanged by somebody who knows how they are sealed."""
    meta = json.loads((path / door.META).read_text())
    for name, data in ((door.INDEX, index), (door.IDS, ids)):
        if data is not None:
            (path / name).write_bytes(data)
            meta["sha256"][name] = hashlib.sha256(data).hexdigest()
    body = {key: value for key, value in {**meta, **changed}.items() if key != "seal"}
    (path / door.META).write_bytes(door._sealed(body))


def array_bytes(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=array.dtype == object)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "harm",
    [
        lambda f: flip(f / door.INDEX),
        lambda f: flip(f / door.IDS),
        lambda f: flip(f / door.META),
        lambda f: (f / door.INDEX).unlink(),
        lambda f: (f / door.META).unlink(),
        lambda f: (f / door.META).write_text("[]"),
        lambda f: (f / door.INDEX).write_bytes((f / door.INDEX).read_bytes()[:-9]),
        forge,
    ],
)
def test_any_doubt_means_a_new_index(harm, tmp_path, monkeypatch):
    x = saved(tmp_path / "index")
    assert door.load(tmp_path / "index", door.Setting("flat"), "x") is not None
    harm(tmp_path / "index")
    with monkeypatch.context() as guard:
        guard.setattr(faiss, "deserialize_index", lambda _: pytest.fail("faiss read what did not verify"))
        assert door.load(tmp_path / "index", door.Setting("flat"), "x") is None
    rebuilt = door.load_or_build(tmp_path / "index", lambda: x, door.Setting("flat"), "x")
    assert len(rebuilt.ids) == 198


def other_index(n=200, d=32, kind="flat", seed=1) -> bytes:
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    return bytes(door.build(x, door.Setting(kind)).files()[door.INDEX])


@pytest.mark.parametrize(
    "harm",
    [
        lambda f: reseal(f, index=other_index(198)),
        lambda f: reseal(f, index=other_index(150)),
        lambda f: reseal(f, index=other_index(198, d=16)),
        lambda f: reseal(f, index=other_index(198, kind="hnsw")),
        lambda f: reseal(f, index=b"IxFI" + bytes(range(256))),
        lambda f: reseal(f, index=b""),
        lambda f: reseal(f, ids=array_bytes(np.arange(197))),
        lambda f: reseal(f, ids=array_bytes(np.arange(198)[::-1].copy())),
        lambda f: reseal(f, ids=array_bytes(np.arange(198) - 1)),
        lambda f: reseal(f, ids=array_bytes(np.arange(198.0))),
        lambda f: reseal(f, ids=array_bytes(np.array([None] * 198))),
        lambda f: reseal(f, probes=[0]),
        lambda f: reseal(f, vectors=10**9),
        lambda f: reseal(f, sha256={}),
    ],
)
def test_an_index_that_is_sealed_well_but_does_not_fit_is_not_used(harm, tmp_path):
    saved(tmp_path / "index")
    before = faiss.get_deserialization_loop_limit(), faiss.get_deserialization_vector_byte_limit()
    reseal(tmp_path / "index")
    assert door.load(tmp_path / "index", door.Setting("flat"), "x") is not None
    harm(tmp_path / "index")
    assert door.load(tmp_path / "index", door.Setting("flat"), "x") is None
    assert (faiss.get_deserialization_loop_limit(), faiss.get_deserialization_vector_byte_limit()) == before


def test_an_index_is_built_once_and_handed_over_whole(tmp_path):
    x, setting, kept = vectors_of(200), door.Setting("hnsw"), []

    def keep(folder, files):
        kept.append(list(files))
        commit_folder(folder, files)

    first = door.load_or_build(tmp_path / "a" / "index", lambda: x, setting, "x", keep)
    again = door.load_or_build(tmp_path / "a" / "index", lambda: pytest.fail("built again"), setting, "x", keep)
    assert kept == [[door.INDEX, door.IDS, door.META]]
    assert torch.equal(first.search(x[:9], 4).row, again.search(x[:9], 4).row)
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "index"]


def test_an_index_of_something_else_is_not_used(tmp_path):
    saved(tmp_path / "index")
    assert door.load(tmp_path / "index", door.Setting("flat"), "y") is None
    assert door.load(tmp_path / "index", door.Setting("hnsw"), "x") is None
    assert door.load(tmp_path / "nothing", door.Setting("flat"), "x") is None
    with pytest.raises(ResourceError, match="cannot write"):
        saved(tmp_path / "index")


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="no index 'tree'"):
        door.Setting("tree")
    with pytest.raises(UsageError, match="5 bytes do not split 32"):
        door.build(vectors_of(10_100), door.Setting("pq", lists=4, bytes=5))
    with pytest.raises(UsageError, match="do not fit"):
        door.build(vectors_of(20), door.Setting()).search(torch.ones(2, 3), 1)


@pytest.mark.parametrize(
    ("n", "memory", "name"),
    [(1000, 1, "exact"), (200_000, 1 << 30, "exact"), (5_000_000, 1 << 35, "hnsw"), (5_000_000, 1 << 30, "pq"),
     (50_000_000, 1 << 38, "ivf"), (10**9, 1 << 35, "pq")],
)  # fmt: skip
def test_the_choice_says_why(n, memory, name):
    chosen = choice.choose(n, 512, memory=memory)
    assert chosen.name == name
    assert f"{n:,} vectors of 512 components" in chosen.why
    assert choice.choose(n, 512, memory=memory, wanted="hnsw").why.endswith("as asked")


def test_an_unknown_index_is_refused():
    with pytest.raises(ConfigError, match="no index 'annoy'"):
        choice.choose(10, 4, memory=1, wanted="annoy")


def test_faiss_is_imported_at_first_use():
    code = "import sys, gpu_quality.index.faiss; print('faiss' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
