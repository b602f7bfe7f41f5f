"""Listing images: every kind of source, every kind of oddity on a file system."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data.formats.folder import list_images, path_of, uri_of
from gpu_quality.errors import EmptyInputError, FrameError, UsageError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * len(name))


def listed(source: str | Path) -> tuple[Path, list[str], Dataset]:
    builder = Builder()
    root = list_images(source, builder)
    made = builder.build()
    assert builder.images_listed
    return root, made.frames.column("frame").to_pylist(), made


def test_a_folder_with_everything_in_it(tmp_path: Path) -> None:
    touch(
        tmp_path, "b.JPG", "a/c.png", "a/b/d.webp", "a/.hidden.jpg", ".git/e.jpg", "notes.txt", "a/more.txt", "README", "z.tif"
    )
    touch(tmp_path, "x.jpg/inside.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    root, names, made = listed(tmp_path)
    assert root == tmp_path
    assert names == ["a/b/d.webp", "a/c.png", "b.JPG", "pipe.jpg", "x.jpg/inside.png", "z.tif"]
    assert made.frames.column("uri").to_pylist() == names
    assert made.frames.column("size_bytes").to_pylist() == [10, 7, 5, -1, 16, 5]
    assert made.frames.column("mtime_ns").to_pylist()[2] == (tmp_path / "b.JPG").stat().st_mtime_ns
    assert made.notes == ("3 files are no images by name and were passed over: 1 without extension, 2 .txt",)
    assert made.errors.num_rows == 0
    assert made.frames.column("labelled").to_pylist() == [False] * 6


def test_links(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg", "in/sub/b.jpg", "out/c.jpg", "out/d.txt", "in-other/e.jpg")
    folder = tmp_path / "in"
    (folder / "good.jpg").symlink_to("sub/b.jpg")
    (folder / "bad.jpg").symlink_to(tmp_path / "out" / "c.jpg")
    (folder / "sneaky.jpg").symlink_to("../in-other/e.jpg")
    (folder / "text.txt").symlink_to(tmp_path / "out" / "d.txt")
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "loop").symlink_to(".")
    (folder / "away").symlink_to(tmp_path / "out")
    _, names, made = listed(folder)
    assert names == ["a.jpg", "broken.jpg", "good.jpg", "sub/b.jpg"]
    errors = made.errors.to_pylist()
    assert [(e["frame"], e["stage"], e["reason"]) for e in errors] == [
        (name, "list", "outside_root") for name in ("away", "bad.jpg", "sneaky.jpg")
    ]
    assert dict(zip(names, made.frames.column("size_bytes").to_pylist(), strict=True))["broken.jpg"] == -1
    (tmp_path / "door").symlink_to(folder)
    assert listed(tmp_path / "door")[1] == names


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg", "closed/b.jpg")
    true = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return true(path)

    monkeypatch.setattr(os, "scandir", scandir)
    _, names, made = listed(tmp_path)
    assert names == ["a.jpg"]
    (error,) = made.errors.to_pylist()
    assert (error["frame"], error["reason"], error["stage"]) == ("closed", "permission", "list")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    names = [
        b"caf\xe9.jpg",
        b"new\nline.jpg",
        b"back\\slash.jpg",
        b"back\\xff.jpg",
        "日本.jpg".encode(),
        b"\xff\xfe\\x00.jpg",
        b"%41.jpg",
    ]
    names += ["\u00e9.jpg".encode(), "e\u0301.jpg".encode(), b"=cmd.jpg", b"<b>.jpg", b"a" * 251 + b".jpg"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    root, ids, made = listed(tmp_path)
    assert len(set(ids)) == len(names)
    assert {path_of(root, uri).read_bytes() for uri in made.frames.column("uri").to_pylist()} == set(names)
    assert "caf\\xe9.jpg" in ids
    assert "back\\slash.jpg" in ids
    assert "日本.jpg" in ids


@given(
    st.binary(min_size=1, max_size=12).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))
)
def test_any_name_comes_back(name: bytes) -> None:
    uri = uri_of(os.fsdecode(name))
    uri.encode("utf-8")
    assert os.fsencode(path_of(Path("root"), uri).name) == name


@pytest.mark.parametrize("uri", ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "\\x2e\\x2e/a.jpg", "\\x2fetc/passwd"])
def test_no_uri_leads_out(uri: str) -> None:
    with pytest.raises(FrameError, match="outside_root"):
        path_of(Path("root"), uri)


def test_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.jpg", "s/b.png", "s/t/c.jpg", "s/d.txt", "s/e.raw")
    assert listed(str(tmp_path / "s" / "*.jpg"))[1] == ["a.jpg"]
    root, names, made = listed(str(tmp_path / "s" / "**"))
    assert (root, names) == (tmp_path / "s", ["a.jpg", "b.png", "t/c.jpg"])
    assert "2 files" in made.notes[0]
    assert listed(str(tmp_path / "*" / "t" / "*.jpg"))[1] == ["s/t/c.jpg"]
    assert listed(str(tmp_path / "s" / "*.raw"))[1] == ["e.raw"]


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].jpg", "a1.jpg", "d[x]/b.jpg")
    assert listed(str(tmp_path / "a[1].jpg"))[1] == ["a[1].jpg"]
    assert listed(str(tmp_path / "d[x]"))[1] == ["b.jpg"]


def test_a_list_file(tmp_path: Path) -> None:
    touch(tmp_path, "lists/a.jpg", "lists/deep/b.jpg", "other/c.jpg")
    text = tmp_path / "lists" / "all.txt"
    text.write_bytes(b"\xef\xbb\xbf# photos\r\n\na.jpg\r\ndeep/b.jpg \n./a.jpg\nmissing.jpg\nca\xe9.jpg")
    root, names, made = listed(text)
    assert (root, names) == (tmp_path / "lists", ["a.jpg", "ca\\xe9.jpg", "deep/b.jpg", "missing.jpg"])
    assert made.frames.column("size_bytes").to_pylist() == [11, -1, 16, -1]
    assert made.errors.num_rows == 0
    text.write_text(f"a.jpg\n../other/c.jpg\n{tmp_path}/lists/deep/b.jpg\n")
    root, names, _ = listed(text)
    assert (root, names) == (tmp_path, ["lists/a.jpg", "lists/deep/b.jpg", "other/c.jpg"])


def test_a_single_image(tmp_path: Path) -> None:
    touch(tmp_path, "d/a.jpg", "d/b.jpg")
    assert listed(tmp_path / "d" / "a.jpg")[:2] == (tmp_path / "d", ["a.jpg"])


def test_the_order_of_a_folder_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    names = [f"{i % 7}/{i}.jpg" for i in range(60)]
    touch(first, *names)
    touch(second, *reversed(names))
    assert listed(first)[1] == listed(second)[1] == sorted(names)


def test_nothing_to_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no images at .*absent"):
        list_images(tmp_path / "absent", Builder())
    with pytest.raises(EmptyInputError, match="no images in"):
        list_images(tmp_path, Builder())
    touch(tmp_path, "notes.txt")
    with pytest.raises(EmptyInputError) as error:
        list_images(tmp_path, Builder())
    assert error.value.hint == "found only: 1 .txt"
    with pytest.raises(EmptyInputError):
        list_images(str(tmp_path / "*.jpg"), Builder())
    (tmp_path / "binary.dat").write_bytes(b"\0\1\2")
    with pytest.raises(UsageError, match="neither an image nor a text"):
        list_images(tmp_path / "binary.dat", Builder())
    (tmp_path / "empty.txt").write_text("\n# nothing\n")
    with pytest.raises(EmptyInputError):
        list_images(tmp_path / "empty.txt", Builder())


def test_all_hostile_files_are_listed(test_data: Path) -> None:
    _, names, made = listed(test_data / "hostile")
    files = [p for p in (test_data / "hostile").rglob("*") if p.is_file() and p.suffix != ".json"]
    assert len(names) == len(files)
    assert made.errors.num_rows == 0
