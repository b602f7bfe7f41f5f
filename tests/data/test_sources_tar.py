"""Archives: members are frames read in place; whatever is odd about an archive is told, and never followed."""

import io
import os
import tarfile
import time
from pathlib import Path

import pytest
from photos import write_photos

from gpu_quality.annotations import Builder
from gpu_quality.data import tar
from gpu_quality.data.formats.folder import list_images
from gpu_quality.data.sources import open_source
from gpu_quality.errors import EmptyInputError, FrameError, UsageError

LIMIT = 1_000_000


def listed(source: str | Path):
    builder = Builder()
    root = list_images(source, builder)
    return root, builder.build()


def opened(root: Path, made):
    """The source that a worker opens from the frames table alone."""
    rows = made.frames.to_pylist()
    return open_source(root, [r["uri"] for r in rows], [(r["size_bytes"], r["mtime_ns"]) for r in rows])


def member(archive: tarfile.TarFile, name: str, data: bytes = b"data", **facts: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in facts.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(data))


def reason(source, row: int) -> str:
    with pytest.raises(FrameError) as caught:
        source.read(row, LIMIT)
    return caught.value.reason


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, bytes]:
    return {name: (tmp_path / "in" / name).read_bytes() for name in write_photos(tmp_path / "in", 6)}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_frames_in_order_of_ids(tmp_path, photos, form):
    long = "deep/" * 60 + "日本.png"
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        for name, data in reversed(photos.items()):
            member(archive, f"./{name}", data)
        if form != tarfile.USTAR_FORMAT:
            member(archive, long, b"long")
    root, made = listed(tmp_path / "a.tar")
    names = sorted([*photos, *([long] if form != tarfile.USTAR_FORMAT else [])])
    assert made.frames["frame"].to_pylist() == [f"a.tar#{name}" for name in names]
    source = opened(root, made)
    assert [source.read(i, LIMIT) for i in range(len(names))] == [photos.get(name, b"long") for name in names]
    assert [source.weight(i) for i in range(len(names))] == [len(photos.get(name, b"long")) for name in names]
    assert made.errors.num_rows == 0


def test_index_agrees_with_the_standard_library(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for i in range(50):
            member(archive, f"{'x' * i * 7}{i}.bin", os.urandom(i * 37 % 2000), mtime=i + 0.5)
    with (tmp_path / "a.tar").open("rb") as file:
        found = tar.index_of(file.fileno(), (tmp_path / "a.tar").stat().st_size)
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert found.members == {info.name: (info.offset_data, info.size) for info in archive}
    assert found.problems == []


def test_samples_by_key(tmp_path, photos):
    data = next(iter(photos.values()))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for key, name in (("s/a", "10"), ("s/b", "9"), ("s/c", "cat")):
            member(archive, f"{key}.left.png", data)
            member(archive, f"{key}.PNG", data)
            member(archive, f"{key}.cls", name.encode())
            member(archive, f"{key}.json", b"{}")
        member(archive, "lonely.cls", b"1")
        member(archive, "s/a.x.cls", b"x" * 5000)
    _, made = listed(tmp_path / "a.tar")
    answers = [(r["frame"], r["question"], made.classes[r["class_id"]]) for r in made.classifications.to_pylist()]
    assert made.classes == ("9", "10", "cat")
    assert answers == [
        (f"a.tar#s/{key}.{end}", "class", name)
        for key, name in (("a", "10"), ("b", "9"), ("c", "cat"))
        for end in ("PNG", "left.png")
    ]
    assert made.frames["labelled"].to_pylist() == [True] * 6
    assert [(r["uri"], r["stage"]) for r in made.errors.to_pylist()] == [("a.tar", "annotate")] * 2
    assert "3 .json" in " ".join(made.notes)


def test_braces_globs_folders_and_lists_name_the_same_archives(tmp_path, photos):
    for i in range(3):
        with tarfile.open(tmp_path / f"train-{i:06d}.tar", "w") as archive:
            member(archive, f"{i}.png", photos["photo000.png"])
    wanted = [f"train-{i:06d}.tar#{i}.png" for i in range(3)]
    (tmp_path / "t.txt").write_text("train-000000.tar\ntrain-000001.tar\ntrain-000002.tar\n")
    for source in ("train-{000000..000002}.tar", "train-*.tar", "t.txt"):
        assert listed(str(tmp_path / source))[1].frames["frame"].to_pylist() == wanted, source
    (tmp_path / "t.txt").unlink()
    for name in photos:
        (tmp_path / "in" / name).unlink()
    assert listed(tmp_path)[1].frames["frame"].to_pylist() == wanted
    _, made = listed(str(tmp_path / "train-{000000..000004}.tar"))
    assert made.frames["frame"].to_pylist() == wanted
    assert [(r["uri"], r["reason"]) for r in made.errors.to_pylist()] == [
        ("train-000003.tar", "missing"),
        ("train-000004.tar", "missing"),
    ]
    with pytest.raises(UsageError, match="none of 2 files"):
        listed(str(tmp_path / "test-{0..1}.tar"))
    with pytest.raises(UsageError, match="more than"):
        listed(str(tmp_path / "test-{0..99999999}.tar"))


def test_archives_beside_images_are_passed_over_and_told(tmp_path, photos):
    with tarfile.open(tmp_path / "in" / "backup.tar", "w") as archive:
        member(archive, "x.png", photos["photo000.png"])
    _, made = listed(tmp_path / "in")
    assert made.frames["frame"].to_pylist() == list(photos)
    assert "1 .tar" in made.notes[0]


def test_a_truncated_archive_gives_what_comes_before_the_cut(tmp_path, photos):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, data in photos.items():
            member(archive, name, data)
    whole = (tmp_path / "a.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        ends = [info.offset_data + info.size for info in archive]
        starts = [info.offset for info in archive]
    for cut, count in ((ends[3] - 1, 3), (starts[4] + 100, 4), (starts[2], 2), (ends[5], 6)):
        (tmp_path / "a.tar").write_bytes(whole[:cut])
        root, made = listed(tmp_path / "a.tar")
        assert made.frames["frame"].to_pylist() == [f"a.tar#{name}" for name in list(photos)[:count]], cut
        assert [(r["uri"], r["stage"], r["reason"]) for r in made.errors.to_pylist()] == [("a.tar", "list", "truncated")]
        assert f"a.tar: members after the first {count} are not listed" in made.notes[0]
        source = opened(root, made)
        assert [source.read(i, LIMIT) for i in range(count)] == list(photos.values())[:count]


def test_links_devices_and_names_that_lead_out_are_told_and_not_followed(tmp_path, photos):
    (tmp_path / "secret.png").write_bytes(b"secret")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member(archive, "good.png", photos["photo000.png"])
        member(archive, "soft.png", b"", type=tarfile.SYMTYPE, linkname=str(tmp_path / "secret.png"))
        member(archive, "hard.png", b"", type=tarfile.LNKTYPE, linkname="good.png")
        member(archive, "device.png", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
        member(archive, "pipe.png", b"", type=tarfile.FIFOTYPE)
        member(archive, "/etc/absolute.png")
        member(archive, "../out.png")
        member(archive, "good.png", b"again")
        member(archive, "folder.png", b"", type=tarfile.DIRTYPE)
        member(archive, "empty.png", b"")
    root, made = listed(tmp_path / "a.tar")
    assert made.frames["frame"].to_pylist() == ["a.tar#empty.png", "a.tar#good.png"]
    assert sorted(r["reason"] for r in made.errors.to_pylist()) == [
        "duplicate_image_id",
        "not_regular_file",
        "not_regular_file",
        *["outside_root"] * 4,
    ]
    source = opened(root, made)
    assert reason(source, 0) == "empty"
    assert source.read(1, LIMIT) == photos["photo000.png"]


def test_sizes_that_are_claimed_are_never_allocated(tmp_path, photos):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member(archive, "good.png", photos["photo000.png"][:512])
    good = (tmp_path / "a.tar").read_bytes()[:1024]
    huge = tarfile.TarInfo("huge.png")
    huge.size = 1 << 60
    name = tarfile.TarInfo("x")
    name.size, name.type = 1 << 40, tarfile.GNUTYPE_LONGNAME
    for header in (huge.tobuf(tarfile.GNU_FORMAT), name.tobuf(tarfile.GNU_FORMAT), os.urandom(512)):
        (tmp_path / "a.tar").write_bytes(good + header + bytes(1024))
        begun = time.process_time()
        _, made = listed(tmp_path / "a.tar")
        assert time.process_time() - begun < 5
        assert made.frames.num_rows == 1
        assert made.errors.num_rows == 1


def test_a_member_larger_than_allowed_is_an_error(tmp_path, photos):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member(archive, "big.png", bytes(2000))
    source = opened(*listed(tmp_path / "a.tar"))
    with pytest.raises(FrameError, match="too_many_bytes"):
        source.read(0, 1999)


def test_a_changed_archive_is_noticed(tmp_path, photos):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member(archive, "a.png", photos["photo000.png"])
    root, made = listed(tmp_path / "a.tar")
    source = opened(root, made)
    assert source.read(0, LIMIT) == photos["photo000.png"]
    time_of = (tmp_path / "a.tar").stat().st_mtime_ns
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member(archive, "a.png", photos["photo001.png"] + b"more")
    os.utime(tmp_path / "a.tar", ns=(time_of, time_of))
    assert reason(opened(root, made), 0) == "changed_since_listing"
    os.utime(tmp_path / "a.tar", ns=(1, 1))
    assert reason(source, 0) == "changed_since_listing"
    (tmp_path / "a.tar").unlink()
    assert reason(source, 0) == "missing"


def test_compressed_archives_are_refused_with_a_remedy(tmp_path, photos):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        member(archive, "a.png", photos["photo000.png"])
    with pytest.raises(UsageError) as caught:
        listed(tmp_path / "a.tar.gz")
    assert "unpack" in caught.value.hint
    (tmp_path / "a.tar.gz").rename(tmp_path / "b.tar")
    with pytest.raises(EmptyInputError, match="compressed"):
        listed(tmp_path / "b.tar")


def test_plain_files_with_names_like_parts_stay_files(tmp_path):
    (tmp_path / "a.tar#b.jpg").write_bytes(b"one")
    (tmp_path / "c.MP4#").mkdir()
    (tmp_path / "c.MP4#" / "000001.jpg").write_bytes(b"two")
    (tmp_path / "d#e.jpg").write_bytes(b"three")
    root, made = listed(tmp_path)
    assert made.frames["frame"].to_pylist() == ["a.tar\\x23b.jpg", "c.MP4\\x23/000001.jpg", "d#e.jpg"]
    source = opened(root, made)
    assert [source.read(i, LIMIT) for i in range(3)] == [b"one", b"two", b"three"]


def test_uris_that_labels_make_up_lead_nowhere(tmp_path, photos):
    (tmp_path / "secret.tar").write_bytes(b"")
    uris = ["../secret.tar#a.png", "/etc/x.tar#a", "none.tar#a.png", "photo000.png", "https://example.org/a.png", "v.mp4#x"]
    source = open_source(tmp_path / "in", uris, [None] * len(uris))
    assert source.read(3, LIMIT) == photos["photo000.png"]
    assert [reason(source, i) for i in (0, 1, 2, 4, 5)] == ["outside_root", "outside_root", "missing", "missing", "missing"]
