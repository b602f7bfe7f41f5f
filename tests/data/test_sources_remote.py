"""Addresses: listed with sizes, read within bounds, never opened for anything but what the person named."""

from pathlib import Path

import pytest

from gpu_quality.annotations import Builder
from gpu_quality.data.formats.folder import list_images
from gpu_quality.data.remote import local_copy
from gpu_quality.data.sources import open_source
from gpu_quality.errors import EmptyInputError, FrameError, UsageError

fsspec = pytest.importorskip("fsspec")
LIMIT = 1000


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    for name in ("a.jpg", "deep/b.png", "deep/c.txt", "deep/d é.jpg"):
        system.pipe_file(f"/bucket/{name}", f"data of {name}".encode())
    yield system
    system.store.clear()


def listed(source: str):
    builder = Builder()
    root = list_images(source, builder)
    return root, builder.build()


def opened(root: Path, made):
    rows = made.frames.to_pylist()
    return open_source(root, [r["uri"] for r in rows], [(r["size_bytes"], r["mtime_ns"]) for r in rows])


def reason(source, row: int, limit: int = LIMIT) -> str:
    with pytest.raises(FrameError) as caught:
        source.read(row, limit)
    return caught.value.reason


@pytest.mark.parametrize("url", ["memory://bucket", "memory://bucket/"])
def test_a_folder(memory, url):
    root, made = listed(url)
    rows = made.frames.to_pylist()
    assert [r["frame"] for r in rows] == ["a.jpg", "deep/b.png", "deep/d é.jpg"]
    assert rows[0]["uri"] == "memory:///bucket/a.jpg"
    assert [r["size_bytes"] for r in rows] == [13, 18, 21]
    assert all(r["mtime_ns"] > 0 for r in rows)
    source = opened(root, made)
    assert [source.read(i, LIMIT) for i in range(3)] == [f"data of {r['frame']}".encode() for r in rows]
    assert source.weight(1) == 18
    assert "1 remote files" in made.notes[0]


def test_a_pattern_and_a_file(memory):
    assert listed("memory://bucket/*/*.png")[1].frames["frame"].to_pylist() == ["deep/b.png"]
    assert listed("memory://bucket/deep/b.png")[1].frames["frame"].to_pylist() == ["b.png"]


def test_files_over_an_address(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"one")
    root, made = listed(f"file://{tmp_path}")
    assert opened(root, made).read(0, LIMIT) == b"one"


def test_what_changed_or_went_is_an_error(memory):
    root, made = listed("memory://bucket")
    memory.pipe_file("/bucket/a.jpg", b"another size")
    memory.rm_file("/bucket/deep/b.png")
    source = opened(root, made)
    assert reason(source, 0) == "changed_since_listing"
    assert reason(source, 1) == "missing"
    assert reason(source, 2, 20) == "too_many_bytes"


def test_reads_are_bounded_where_the_size_is_unknown(memory):
    source = open_source(Path("/dev/null"), ["memory:///bucket/a.jpg"], [(0, -1)])
    assert source.read(0, 13) == b"data of a.jpg"
    assert reason(source, 0, 12) == "too_many_bytes"


def test_what_labels_name_is_never_fetched(memory, tmp_path, monkeypatch):
    root, _ = listed("memory://bucket")
    (tmp_path / "local.jpg").write_bytes(b"local")
    monkeypatch.chdir(tmp_path)
    for uri in ("memory:///bucket/a.jpg", "https://example.org/a.jpg", "local.jpg", str(tmp_path / "local.jpg")):
        assert reason(open_source(root, [uri], [None]), 0) in ("missing", "outside_root"), uri


def test_errors_are_told_with_a_remedy(memory, monkeypatch):
    for url, text in (
        ("memory://nothing", "nothing at"),
        ("nosuch://bucket", "no protocol"),
        ("https://user:secret@example.org/a", "password"),
        ("zip://a.jpg::memory://bucket/a.zip", "chain"),
    ):
        with pytest.raises(UsageError, match=text) as caught:
            listed(url)
        assert "secret" not in str(caught.value)
    memory.pipe_file("/other/a.tar", b"x")
    with pytest.raises(EmptyInputError) as caught:
        listed("memory://other")
    assert "copy them first" in caught.value.hint
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(UsageError) as caught:
        listed("memory://bucket")
    assert "gpu_quality[formats]" in caught.value.hint


def test_a_missing_package_of_a_protocol_is_named(monkeypatch):
    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(UsageError, match="s3fs"):
        listed("s3://bucket/a")


def test_local_copies(memory, tmp_path):
    assert local_copy(str(tmp_path)) == tmp_path
    found = local_copy("memory://bucket/deep/c.txt")
    assert (found.name, found.read_bytes()) == ("c.txt", b"data of deep/c.txt")
    folder = local_copy("memory://bucket/deep")
    assert sorted(p.name for p in folder.iterdir()) == ["b.png", "c.txt", "d é.jpg"]
    with pytest.raises(UsageError, match="nothing at"):
        local_copy("memory://bucket/none.json")
