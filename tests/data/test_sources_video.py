"""Videos: every frame by its place, whatever the order of its packets, and each of them decoded once."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from gpu_quality.annotations import Builder
from gpu_quality.data import video
from gpu_quality.data.formats.folder import list_images
from gpu_quality.data.loader import LoaderSettings, load
from gpu_quality.data.sources import open_source
from gpu_quality.errors import EmptyInputError, FrameError, UsageError

av = pytest.importorskip("av")
SIZE = (64, 48)


def scene(index: int) -> np.ndarray:
    """A picture whose mean tells the index."""
    image = np.full((SIZE[1], SIZE[0], 3), 40 + index, np.uint8)
    image[:8, :8] = 250
    return image


def write_video(
    path: Path, codec: str = "libx264", count: int = 40, *, start: int = 0, gop: int = 12, turn: int = 0, **options: str
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = gop
        stream.options = options
        if turn:
            stream.set_display_rotation(turn)
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(scene(i), format="rgb24")
            frame.pts = i + start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def listed(source: str | Path, **options: object):
    builder = Builder()
    root = list_images(source, builder, **options)
    return root, builder.build()


def opened(root: Path, made):
    rows = made.frames.to_pylist()
    return open_source(root, [r["uri"] for r in rows], [(r["size_bytes"], r["mtime_ns"]) for r in rows])


def plainly(path: Path) -> list[np.ndarray]:
    """All frames, decoded from the first to the last."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


CASES = [
    ("a.mp4", "libx264", {"bf": "3"}, 0),
    ("start.mp4", "libx264", {"bf": "2"}, 77),
    ("open.mkv", "libx264", {"bf": "2", "x264-params": "open-gop=1"}, 0),
    ("a.mov", "libx264", {"bf": "0"}, 0),
    ("a.avi", "mpeg4", {"bf": "2"}, 0),
    ("m.avi", "mjpeg", {}, 0),
    ("a.webm", "libvpx-vp9", {}, 0),
    ("hidden.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "7"}, 0),
]


@pytest.mark.parametrize(("name", "codec", "options", "start"), CASES)
def test_every_frame_by_its_place(tmp_path, name, codec, options, start):
    write_video(tmp_path / name, codec, start=start, **options)
    wanted = plainly(tmp_path / name)
    root, made = listed(tmp_path / name)
    rows = made.frames.to_pylist()
    assert [r["frame"] for r in rows] == [f"{name}#{i:06d}" for i in range(len(wanted))]
    assert len(wanted) == 40
    assert {(r["uri"] == r["frame"], r["sequence"], r["width"], r["height"]) for r in rows} == {(True, name, *SIZE)}
    assert [r["position"] for r in rows] == list(range(40))
    np.testing.assert_allclose([r["seconds"] for r in rows], np.arange(40) / 25, atol=0.001)
    source = opened(root, made)
    for i in (*range(40), 33, 5, 20, 0, 39):
        assert np.array_equal(source.read(i, 0), wanted[i]), i
    for i in (0, 11, 12, 13, 25, 39):  # careful mode opens the source anew for every frame
        assert np.array_equal(opened(root, made).read(i, 0), wanted[i]), i


def test_every_nth_frame(tmp_path):
    write_video(tmp_path / "a.mp4", bf="2")
    wanted = plainly(tmp_path / "a.mp4")
    root, made = listed(tmp_path / "a.mp4", every=7)
    assert made.frames["frame"].to_pylist() == [f"a.mp4#{i:06d}" for i in range(0, 40, 7)]
    assert made.frames["position"].to_pylist() == list(range(0, 40, 7))
    source = opened(root, made)
    assert all(np.array_equal(source.read(i, 0), wanted[7 * i]) for i in range(6))


def test_threads_decode_no_frame_twice(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", gop=5, bf="2")
    decoded, real = [], video._decoded

    def counted(path, begin):
        for pts, frame in real(path, begin):
            decoded.append(pts)
            yield pts, frame

    root, made = listed(tmp_path / "a.mp4")
    source = opened(root, made)
    monkeypatch.setattr(video, "_decoded", counted)
    wanted = plainly(tmp_path / "a.mp4")
    found = []
    for batch in load(source, range(40), LoaderSettings(batch=16, threads=6)):
        assert batch.failures == []
        found += [batch.pixels.frame(i).numpy().copy() for i in range(len(batch.rows))]
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    # The first frame may be decoded once more by the threads' first glance at the video's size.
    assert len(decoded) - len(set(decoded)) <= 1


def test_rows_asked_backwards_by_threads(tmp_path):
    write_video(tmp_path / "a.mp4", gop=8, bf="2")
    wanted = plainly(tmp_path / "a.mp4")
    source, wrong = opened(*listed(tmp_path / "a.mp4")), []

    def read(rows):
        wrong.extend(i for i in rows if not np.array_equal(source.read(i, 0), wanted[i]))

    threads = [threading.Thread(target=read, args=(range(start, -1, -4),)) for start in (39, 38, 37, 36)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_a_turned_video_is_shown_upright(tmp_path, turn):
    write_video(tmp_path / "a.mp4", count=3, turn=turn)
    root, made = listed(tmp_path / "a.mp4")
    (row, *_) = made.frames.to_pylist()
    shown = opened(root, made).read(0, 0)
    assert (row["height"], row["width"]) == shown.shape[:2] == ((64, 48) if turn != 180 else (48, 64))
    assert np.array_equal(shown, np.rot90(plainly(tmp_path / "a.mp4")[0], turn // 90))  # counterclockwise


def test_a_truncated_video_loses_only_what_is_cut(tmp_path):
    write_video(tmp_path / "a.mkv", gop=10, bf="2")
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) * 6 // 10])
    root, made = listed(tmp_path / "a.mkv")
    assert 3 < made.frames.num_rows < 40
    source = opened(root, made)
    good = 0
    for batch in load(source, range(made.frames.num_rows), LoaderSettings(batch=8, threads=2)):
        assert {failure.error.reason for failure in batch.failures} <= {"truncated"}
        for place, i in enumerate(batch.rows):
            assert abs(float(batch.pixels.frame(place)[20:, 20:].float().mean()) - (40 + i)) < 3, i
        good += len(batch.rows)
    assert good > made.frames.num_rows / 2


def test_frames_that_do_not_decode_are_errors_and_no_gaps(tmp_path):
    write_video(tmp_path / "a.mp4", gop=10, bf="0")
    with av.open(str(tmp_path / "a.mp4")) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    place, size = packets[20]
    data[place : place + size] = os.urandom(size)
    (tmp_path / "a.mp4").write_bytes(bytes(data))
    root, made = listed(tmp_path / "a.mp4")
    assert made.frames.num_rows == 40
    outcomes = []
    for batch in load(opened(root, made), range(40), LoaderSettings(batch=8, threads=2)):
        outcomes += [*batch.rows, *(f.row for f in batch.failures)]
        assert {f.error.reason for f in batch.failures} <= {"truncated", "decode_error"}
    assert sorted(outcomes) == list(range(40))


def test_what_is_no_video_is_an_error_row(tmp_path):
    write_video(tmp_path / "good.mp4", count=3)
    (tmp_path / "junk.mp4").write_bytes(os.urandom(5000))
    (tmp_path / "empty.mkv").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.avi")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    _, made = listed(tmp_path)
    assert made.frames.num_rows == 3
    errors = {r["uri"]: r["reason"] for r in made.errors.to_pylist()}
    assert errors == {
        "junk.mp4": "decode_error",
        "empty.mkv": "decode_error",
        "pipe.avi": "not_regular_file",
        "sound.mp4": "empty",
    }
    with pytest.raises(EmptyInputError, match="no frame in"):
        listed(tmp_path / "junk.mp4")


def test_what_cannot_be_read_beside_readable_videos_is_told(tmp_path):
    write_video(tmp_path / "a.mp4", count=3)
    (tmp_path / "junk.mp4").write_bytes(b"junk" * 100)
    _, made = listed(tmp_path)
    assert len(made.frames) == 3
    assert made.errors["uri"].to_pylist() == ["junk.mp4"]
    assert made.notes[0].startswith("1 of 2 files with frames cannot be read; first, junk.mp4: not a video")


def test_a_changed_video_is_noticed(tmp_path):
    write_video(tmp_path / "a.mp4", count=3)
    root, made = listed(tmp_path / "a.mp4")
    write_video(tmp_path / "a.mp4", count=4)
    with pytest.raises(FrameError, match="changed_since_listing"):
        opened(root, made).read(0, 0)


def test_without_the_library_the_remedy_is_told(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", count=2)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UsageError) as caught:
        listed(tmp_path / "a.mp4")
    assert "gpu_quality[video]" in caught.value.hint
    monkeypatch.setattr("gpu_quality.data.formats.folder.installed", lambda: False)
    (tmp_path / "b.jpg").write_bytes(b"x")
    _, made = listed(tmp_path)
    assert made.frames["frame"].to_pylist() == ["b.jpg"]
    assert "gpu_quality[video]" in made.notes[0]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "a.mp4", count=2)
    write_video(tmp_path / "in" / "b.mp4", count=2)
    (tmp_path / "in" / "a.mp4").symlink_to(tmp_path / "a.mp4")
    _, made = listed(tmp_path / "in")
    assert set(made.frames["sequence"].to_pylist()) == {"b.mp4"}
    assert [r["reason"] for r in made.errors.to_pylist()] == ["outside_root"]
