"""Bounded reads: every oddity of a file system ends as bytes or as a reason, at once."""

import os
import socket
import threading
from pathlib import Path

import pytest

from gpu_quality.data import files
from gpu_quality.data.files import read_bounded
from gpu_quality.data.loader import FileSource
from gpu_quality.errors import REASONS, STAGES, FrameError

LIMIT = 1000


def reason(path: Path | str, **kwargs: object) -> str:
    with pytest.raises(FrameError) as caught:
        read_bounded(path, **{"max_bytes": LIMIT, **kwargs})  # type: ignore[arg-type]
    assert caught.value.reason in REASONS
    assert caught.value.stage in STAGES
    return caught.value.reason


def test_reads_all_bytes(tmp_path: Path) -> None:
    data = os.urandom(LIMIT)
    (tmp_path / "a").write_bytes(data)
    found = (tmp_path / "a").stat()
    assert read_bounded(tmp_path / "a", max_bytes=LIMIT, expected=(found.st_size, found.st_mtime_ns)) == data
    assert read_bounded(str(tmp_path / "a"), max_bytes=LIMIT, expected=(-1, -1)) == data


@pytest.mark.parametrize("size", [0, LIMIT + 1])
def test_size_limits(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * size)
    assert reason(tmp_path / "a") == ("empty" if size == 0 else "too_many_bytes")


def test_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for name in ("nothing", "file/below", "loop", "dangling", "x" * 300, "nul\0byte", "\ud800"):
        assert reason(str(tmp_path / "x").removesuffix("x") + name) == "missing", name


def test_fifo_folder_device_and_socket_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "s.jpg"))  # relative: such addresses have room for 107 bytes
        for path in (tmp_path / "x.jpg", tmp_path / "folder.jpg", tmp_path / "s.jpg", "/dev/zero"):
            assert reason(path) == "not_regular_file"


def test_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"x")
    if os.geteuid() == 0:  # root may read anything

        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(files.os, "open", refuse)
    else:
        (tmp_path / "a").chmod(0)
    assert reason(tmp_path / "a") == "permission"


def test_device_error_is_retryable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"x")

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files.os, "read", fail)
    with pytest.raises(FrameError, match="Input/output") as caught:
        read_bounded(tmp_path / "a", max_bytes=LIMIT)
    assert (caught.value.reason, caught.value.stage) == ("internal", "read")


def test_changed_since_listing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    mtime = (tmp_path / "a").stat().st_mtime_ns
    assert reason(tmp_path / "a", expected=(4, mtime)) == "changed_since_listing"
    assert reason(tmp_path / "a", expected=(3, mtime + 1)) == "changed_since_listing"


@pytest.mark.parametrize("change", ["shrink", "grow", "rewrite"])
def test_changed_during_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abcdef")
    read = os.read

    def read_and_change(file: int, size: int) -> bytes:
        if change == "shrink":
            os.truncate(path, 3)
        data = read(file, size)
        if change == "grow":
            path.write_bytes(b"abcdefgh")
        if change == "rewrite":
            os.utime(path, ns=(1, 1))
        return data

    monkeypatch.setattr(files.os, "read", read_and_change)
    assert reason(path) == "changed_during_read"


def test_short_reads_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"abcdefgh")
    read = os.read
    monkeypatch.setattr(files.os, "read", lambda file, size: read(file, min(size, 3)))
    assert read_bounded(tmp_path / "a", max_bytes=LIMIT) == b"abcdefgh"


NASTY = [
    b"\xff\xfe.jpg",
    b"new\nline",
    b"<script>alert(1)<script>",
    b"=cmd|' |A0",
    "\u0639\u0643\u0633\u202egpj.jpg".encode(),
    b"x" * 255,
    "e\u0301.jpg".encode(),
    "é.jpg".encode(),
    b" ",
    b"-rf",
    b"%s%n{}$HOME",
    b"..jpg",
    b"tab\tcr\rbell\a",
    b"back\\slash",
]


def test_any_file_name(tmp_path: Path) -> None:
    for i, name in enumerate(NASTY):
        (tmp_path / os.fsdecode(name)).write_bytes(b"%d" % i)
    source = FileSource(tmp_path, [os.fsdecode(name) for name in NASTY])
    assert [source.read(i, LIMIT) for i in range(len(NASTY))] == [b"%d" % i for i in range(len(NASTY))]


def test_nothing_outside_the_root_is_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "root-like").mkdir()
    for place in (tmp_path / "secret", root / "good", root / "sub" / "good", tmp_path / "root-like" / "secret"):
        place.write_bytes(b"x")
    (root / "link-in").symlink_to("sub/good")
    (root / "link-out").symlink_to(tmp_path / "secret")
    (root / "folder-out").symlink_to(tmp_path)
    (root / "folder-in").symlink_to(root / "sub")
    (tmp_path / "root-link").symlink_to(root)
    inside = ["good", "sub/good", "sub/../good", "link-in", "folder-in/good", str(root / "good")]
    outside = ["../secret", "link-out", "folder-out/secret", "../root-like/secret", str(tmp_path / "secret")]
    for start in (root, tmp_path / "root-link"):
        source = FileSource(start, inside + outside)
        assert [source.read(i, LIMIT) for i in range(len(inside))] == [b"x"] * len(inside)
        for row in range(len(inside), len(source)):
            with pytest.raises(FrameError) as caught:
                source.read(row, LIMIT)
            assert caught.value.reason == "outside_root", source.uris[row]
    assert FileSource(None, [tmp_path / "secret"]).read(0, LIMIT) == b"x"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (LIMIT + 1))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        reason(tmp_path / "a")
        reason(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_one_source_serves_many_threads(tmp_path: Path) -> None:
    for i in range(50):
        (tmp_path / f"{i % 5}").mkdir(exist_ok=True)
        (tmp_path / f"{i % 5}" / f"{i}").write_bytes(b"%d" % i)
    source, wrong = FileSource(tmp_path, [f"{i % 5}/{i}" for i in range(50)]), []

    def read_all() -> None:
        wrong.extend(i for i in range(50) if source.read(i, LIMIT) != b"%d" % i)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
