"""The only writer: whole files, whole folders, in an order that survives a power loss."""

import os
import re
from pathlib import Path

import pytest

import gpu_quality
from gpu_quality.errors import ResourceError, UsageError
from gpu_quality.store import commit
from gpu_quality.store.commit import STAGED, append_text, commit_bytes, commit_folder, remove_file, remove_folder, sweep
from gpu_quality.store.failpoints import arm, failpoint


@pytest.fixture
def calls(monkeypatch):
    """Names and paths of the system calls that matter for a power loss, in order."""
    seen = []

    def spy(name, path_of):
        real = getattr(os, name)

        def call(*arguments, **options):
            seen.append((name, path_of(arguments)))
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)

    spy("fsync", lambda arguments: str(Path(f"/proc/self/fd/{arguments[0]}").readlink()))
    spy("rename", lambda arguments: str(arguments[1]))
    spy("replace", lambda arguments: str(arguments[1]))
    return seen


def test_a_file_is_synced_before_its_rename_and_its_folder_after(tmp_path, calls):
    commit_bytes(tmp_path / "a", b"new")
    (first, staged), (second, target), (third, folder) = calls
    assert (first, second, third) == ("fsync", "replace", "fsync")
    assert Path(staged).name.startswith(STAGED)
    assert (target, folder) == (str(tmp_path / "a"), str(tmp_path))


def test_a_folder_is_synced_before_its_one_rename(tmp_path, calls):
    commit_folder(tmp_path / "f", {"a": b"1", "b": memoryview(b"22"), "manifest": b"333"})
    names = [name for name, _ in calls]
    assert names == ["fsync"] * 4 + ["rename", "fsync"]
    assert [Path(path).name for _, path in calls[:3]] == ["a", "b", "manifest"]
    assert calls[3][1] == str(Path(calls[0][1]).parent)
    assert calls[4:] == [("rename", str(tmp_path / "f")), ("fsync", str(tmp_path))]
    assert {path.name: path.read_bytes() for path in (tmp_path / "f").iterdir()} == {"a": b"1", "b": b"22", "manifest": b"333"}


def test_bytes_replace_what_was_there_and_make_folders(tmp_path):
    commit_bytes(tmp_path / "x" / "y" / "a", b"old")
    commit_bytes(tmp_path / "x" / "y" / "a", b"new")
    assert (tmp_path / "x" / "y" / "a").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "x" / "y").iterdir()] == ["a"]


def test_links_are_followed_and_devices_refused(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    commit_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UsageError, match="not a regular file"):
            commit_bytes(path, b"")


def test_names_may_be_as_long_as_the_file_system_allows(tmp_path):
    commit_bytes(tmp_path / ("n" * 255), b"x")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"x"


def test_a_folder_that_is_there_is_kept(tmp_path):
    commit_folder(tmp_path / "f", {"manifest": b"1"})
    with pytest.raises(ResourceError):
        commit_folder(tmp_path / "f", {"manifest": b"2"})
    assert (tmp_path / "f" / "manifest").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_an_unwritable_place_is_a_resource_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="cannot write"):
        commit_bytes(tmp_path / "file" / "below", b"")


def test_removal_is_one_rename_and_forgives_absence(tmp_path, calls):
    commit_folder(tmp_path / "f", {"a": b"", "manifest": b""})
    del calls[:]
    remove_folder(tmp_path / "f")
    remove_folder(tmp_path / "f")
    remove_file(tmp_path / "g")
    assert calls[0][0] == "rename"
    assert not list(tmp_path.iterdir())


def test_sweep_removes_what_dead_writers_left(tmp_path):
    for place in (".", "layers", "layers/abc", "results"):
        (tmp_path / place / f"{STAGED}1-0").mkdir(parents=True)
        (tmp_path / place / f"{STAGED}1-1").write_bytes(b"")
        (tmp_path / place / "kept").write_bytes(b"")
    assert sweep(tmp_path) == 8
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["kept"] * 4


def test_logs_grow(tmp_path):
    append_text(tmp_path / "logs" / "a", "one\n")
    append_text(tmp_path / "logs" / "a", "two \udcff\n")
    assert (tmp_path / "logs" / "a").read_bytes() == b"one\ntwo \xff\n"


def test_failpoints_count_their_passes():
    arm("a:2=raise:EIO, b=raise:ENOSPC")
    try:
        failpoint("a")
        with pytest.raises(OSError, match="failpoint a"):
            failpoint("a")
        failpoint("a")
        for _ in range(2):
            with pytest.raises(OSError, match="failpoint b"):
                failpoint("b")
    finally:
        arm(None)
    failpoint("b")
    for wrong in ("a", "a=explode", "a=raise:ENOTHING", "a:x=kill", "=kill"):
        with pytest.raises(UsageError):
            arm(wrong)


WRITING = re.compile(
    r"""\bopen\([^)\n]*["'][rb]*[wax+][bt+]*["']|\bwrite_(bytes|text)\(|\.to_(parquet|csv|json|pickle|feather)\((?!\))(?!orient)"""
    r"""|\bnp\.save|\bsavetxt\(|\btorch\.save\(|\bwrite_index\(|\bO_(WRONLY|CREAT|APPEND)\b|\bos\.(rename|replace)\(|\bshutil\.(copy|move)"""
)


def test_nothing_else_in_the_package_writes_files():
    """`lock.py` creates the one file that is no data: it holds the kernel lock and is empty whenever nobody writes.

    Writers of annotation formats write where the person says, never into a store. A card pins a hash beside its weights, and a
    FAISS index is a cache that is made again at any doubt.
    """
    package = Path(gpu_quality.__file__).parent
    writers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if WRITING.search(path.read_text(encoding="utf-8")) and not path.match("data/formats/*.py")
    }
    assert writers == {"store/commit.py", "store/lock.py", "cards.py"}


def test_the_search_for_writers_can_fail():
    found = ["open(p, 'wb')", 'p.open("w")', "p.write_text(x)", "df.to_parquet(path)", "np.save(p, a)", "open(p, mode='a')"]
    assert all(WRITING.search(line) for line in found)
    assert not any(WRITING.search(line) for line in ["open(p, 'rb')", "p.open()", "table_bytes(x)", "sink.write(b)"])
    assert commit.__all__
