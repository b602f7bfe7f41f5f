"""Batches: every row once, in order, the right pixels, bounded buffers, and no thread left behind."""

import gc
import hashlib
import os
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from gpu_quality.data.decode import DecodeSettings, decode
from gpu_quality.data.loader import DatasetSource, FileSource, Loaded, LoaderSettings, Source, load
from gpu_quality.errors import REASONS, FrameError, StalledError

SIZES = [(20, 30), (20, 30), (31, 7), (1, 1), (64, 48), (20, 30), (9, 9)]


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = threading.active_count()
    yield
    gc.collect()
    assert threading.active_count() == before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for i in range(23):
        image = random.integers(0, 256, (*SIZES[i % len(SIZES)], 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f"{i:02d}.{('jpg', 'png')[i % 2]}")
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Images(Dataset[Any]):
    """Images made on demand; a callable item is called."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        item = self.items[row]
        return item() if callable(item) else item


def kept(batch: Loaded) -> list[np.ndarray]:
    """Copies of the frames of a batch."""
    assert batch.pixels is not None
    return [batch.pixels.frame(i).numpy().copy() for i in range(len(batch.rows))]


def layout(source: Source, rows: list[int], settings: LoaderSettings) -> list[list[int]]:
    return [batch.rows for batch in load(source, rows, settings)]


# ---------------------------------------------------------------------------------------------------- content and order


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 4, 100])
def test_every_row_in_order_with_its_pixels_and_facts(folder: Path, threads: int, batch: int) -> None:
    uris = names(folder)
    rows = [*range(22, 10, -1), *range(5)]
    seen: list[int] = []
    for found in load(FileSource(folder, uris), rows, LoaderSettings(batch=batch, threads=threads)):
        assert found.pixels is not None
        assert found.facts is not None
        assert len(found.rows) <= batch
        assert found.failures == []
        assert set(found.seconds) == {"read", "decode"}
        for i, row in enumerate(found.rows):
            data = (folder / uris[row]).read_bytes()
            expected = decode(data, DecodeSettings())
            np.testing.assert_array_equal(found.pixels.frame(i).numpy(), expected.rgb)
            assert found.digests[i] == hashlib.sha256(data).hexdigest()
            assert found.formats[i] == expected.format
            for name in ("file_size", "channels", "bit_depth", "transparent", "reversed_x", "reversed_y"):
                assert getattr(found.facts, name)[i] == getattr(expected, name)
        seen += found.rows
    assert seen == rows


def test_tensors_have_the_promised_types(folder: Path) -> None:
    found = next(iter(load(FileSource(folder, names(folder)), range(5), LoaderSettings())))
    assert found.pixels is not None
    assert found.facts is not None
    pixels, facts = found.pixels, found.facts
    assert [t.dtype for t in (pixels.data, pixels.offset, pixels.height, pixels.width)] == [
        torch.uint8, torch.int64, torch.int32, torch.int32]  # fmt: skip
    assert pixels.data.numel() == int((pixels.height.long() * pixels.width * 3).sum())
    assert pixels.offset.tolist() == [0, 1800, 3600, 3600 + 31 * 7 * 3, 3600 + 31 * 7 * 3 + 3]
    assert [facts.file_size.dtype, facts.transparent.dtype, facts.reversed_x.dtype] == [torch.int64, torch.float64, torch.bool]


def test_images_of_a_torch_data_set() -> None:
    rgb = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    items = [rgb, (rgb, 3), [torch.from_numpy(rgb.copy()).permute(2, 0, 1), "label"], Image.fromarray(rgb), rgb[:, :, 0]]
    source = DatasetSource(Images(items))
    (found,) = load(source, range(5), LoaderSettings())
    frames = kept(found)
    for frame in frames[:4]:
        np.testing.assert_array_equal(frame, rgb)
    np.testing.assert_array_equal(frames[4][:, :, 1], rgb[:, :, 0])
    assert found.facts is not None
    assert found.facts.file_size.tolist() == [-1] * 5
    assert found.facts.channels.tolist() == [3, 3, 3, 3, 1]
    assert found.digests == [""] * 5
    later = DatasetSource(Images(items), first=3)
    assert len(later) == 2
    np.testing.assert_array_equal(kept(next(load(later, [1], LoaderSettings())))[0], frames[4])


def test_encoded_bytes_in_a_data_set_are_files(folder: Path) -> None:
    data = (folder / "00.jpg").read_bytes()
    (found,) = load(DatasetSource(Images([data])), [0], LoaderSettings())
    assert found.digests == [hashlib.sha256(data).hexdigest()]
    np.testing.assert_array_equal(kept(found)[0], decode(data, DecodeSettings()).rgb)


def test_data_set_is_asked_by_one_thread_at_a_time() -> None:
    busy, worst = [0], [0]

    def slow() -> np.ndarray:
        busy[0] += 1
        worst[0] = max(worst[0], busy[0])
        time.sleep(0.002)
        busy[0] -= 1
        return np.zeros((4, 4), np.uint8)

    list(load(DatasetSource(Images([slow] * 20)), range(20), LoaderSettings(threads=4)))
    assert worst == [1]


# ---------------------------------------------------------------------------------------------------- where batches end


@pytest.mark.parametrize("threads", [1, 4])
def test_batches_end_at_the_number_of_frames(threads: int) -> None:
    source = DatasetSource(Images([np.zeros((2, 2), np.uint8)] * 10))
    assert layout(source, list(range(10)), LoaderSettings(batch=4, threads=threads)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert layout(source, [], LoaderSettings()) == []


@pytest.mark.parametrize("threads", [1, 4])
def test_batches_end_at_the_decoded_size(threads: int) -> None:
    def of(count: int) -> np.ndarray:
        return np.zeros((count, 100), np.uint8)  # count * 300 bytes decoded

    source = DatasetSource(Images([of(1), of(2), of(1), of(9), of(1), of(3), of(1)]))
    settings = LoaderSettings(batch=6, batch_mb=0.0012, threads=threads)  # four rows of 300 bytes
    assert layout(source, list(range(7)), settings) == [[0, 1, 2], [3], [4, 5], [6]]


def test_batches_end_at_the_size_of_the_files(folder: Path) -> None:
    uris = names(folder)[:6]
    sizes = [(folder / uri).stat().st_size for uri in uris]
    source = FileSource(folder, uris, [(size, -1) for size in sizes])
    settings = LoaderSettings(batch=6, batch_mb=max(sizes) / 1e6)
    found = layout(source, list(range(6)), settings)
    assert [row for rows in found for row in rows] == list(range(6))
    assert len(found) > 1
    assert all(sum(sizes[row] for row in rows) <= max(sizes) for rows in found)


# ---------------------------------------------------------------------------------------------------- failures


def test_failures_stand_between_good_rows(folder: Path) -> None:
    uris = names(folder)
    shutil.copy(folder / uris[5], folder / uris[3])
    (folder / uris[3]).write_bytes((folder / uris[3]).read_bytes()[:-40])
    (folder / uris[5]).write_bytes(b"")
    (folder / uris[6]).write_bytes(b"no image")
    (folder / uris[8]).unlink()
    os.mkfifo(folder / uris[8])
    (folder / uris[9]).unlink()
    (found,) = load(FileSource(folder, uris), range(11), LoaderSettings(batch=11, threads=3))
    assert found.rows == [0, 1, 2, 4, 7, 10]
    failed = {failure.row: failure for failure in found.failures}
    assert [failure.row for failure in found.failures] == [3, 5, 6, 8, 9]
    assert [failed[row].error.reason for row in failed] == [
        "truncated",
        "empty",
        "unknown_format",
        "not_regular_file",
        "missing",
    ]
    assert [failed[row].error.stage for row in failed] == ["decode", "read", "sniff", "open", "open"]
    cut = failed[3]
    assert (cut.width, cut.height, cut.format) == (30, 20, "PNG")
    assert cut.digest == hashlib.sha256((folder / uris[3]).read_bytes()).hexdigest()
    assert cut.size_bytes == (folder / uris[3]).stat().st_size
    assert (failed[6].size_bytes, failed[6].width, failed[6].format) == (8, None, "")
    assert (failed[9].size_bytes, failed[9].digest) == (None, "")
    for frame, row in zip(kept(found), found.rows, strict=True):  # the gap a late failure leaves shifts nothing
        np.testing.assert_array_equal(frame, decode((folder / uris[row]).read_bytes(), DecodeSettings()).rgb)


def test_a_batch_of_failures_is_a_batch(tmp_path: Path) -> None:
    (found,) = load(FileSource(tmp_path, ["a", "b"]), [1, 0], LoaderSettings())
    assert found.rows == []
    assert found.pixels is not None
    assert found.pixels.data.numel() == 0
    assert [failure.row for failure in found.failures] == [1, 0]


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_what_a_data_set_raises_is_a_failure_of_its_row() -> None:
    good = np.zeros((2, 2), np.uint8)
    items = [
        good,
        raising(KeyError("nope")),
        raising(MemoryError()),
        "text",
        np.zeros((3, 3)),
        raising(FrameError("timeout")),
        good,
    ]
    (found,) = load(DatasetSource(Images(items)), range(7), LoaderSettings())
    assert found.rows == [0, 6]
    reasons = ["internal", "out_of_memory", "internal", "decode_error", "timeout"]
    assert [failure.error.reason for failure in found.failures] == reasons
    assert set(reasons) <= set(REASONS)
    key, memory, text = found.failures[:3]
    assert key.error.stage == "read"
    assert isinstance(key.error.__cause__, KeyError)
    assert isinstance(memory.error.__cause__, MemoryError)
    assert "UsageError: got an image of type builtins.str" in text.error.detail
    for failure in found.failures:
        for error in (failure.error, failure.error.__cause__):
            assert error is None or error.__traceback__ is None


def test_bugs_of_the_decoder_are_failures_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr("gpu_quality.data.reading.pixels_of", broken)
    (found,) = load(FileSource(folder, names(folder)), range(3), LoaderSettings())
    assert [(f.row, f.error.reason, f.error.stage, f.width) for f in found.failures] == [
        (0, "internal", "decode", 30), (1, "internal", "decode", 30), (2, "internal", "decode", 7)]  # fmt: skip


def test_limits_of_the_settings_reach_the_files(folder: Path) -> None:
    uris = names(folder)  # 30 x 20, 30 x 20, 7 x 31, 1 x 1, 48 x 64
    size = (folder / uris[4]).stat().st_size
    settings = LoaderSettings(decode=DecodeSettings(max_bytes=size - 1, max_megapixels=0.0005))
    (found,) = load(FileSource(folder, uris), range(5), settings)
    assert found.rows == [2, 3]
    reasons = [failure.error.reason for failure in found.failures]
    assert reasons == ["too_many_pixels", "too_many_pixels", "too_many_bytes"]


def test_changed_files_are_noticed(folder: Path) -> None:
    uris = names(folder)[:3]
    stats = [(folder / uri).stat() for uri in uris]
    expected = [(stat.st_size, stat.st_mtime_ns) for stat in stats]
    os.utime(folder / uris[1], ns=(5, 5))
    (found,) = load(FileSource(folder, uris, [*expected[:2], None]), range(3), LoaderSettings())
    assert found.rows == [0, 2]
    assert found.failures[0].error.reason == "changed_since_listing"


class Broken:
    """A source that fails outside any row."""

    def __len__(self) -> int:
        return 5

    def read(self, row: int, max_bytes: int) -> object:
        return np.zeros((2, 2), np.uint8)

    def weight(self, row: int) -> int:
        if row == 3:
            raise ZeroDivisionError("weight")
        return 1


def test_errors_outside_rows_reach_the_consumer() -> None:
    batches = load(Broken(), range(5), LoaderSettings(batch=1))
    assert next(batches).rows == [0]
    with pytest.raises(ZeroDivisionError, match="weight"):
        list(batches)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_interrupt_inside_a_row_reaches_the_consumer(threads: int) -> None:
    items = [np.zeros((2, 2), np.uint8)] * 6 + [raising(KeyboardInterrupt())] + [np.zeros((2, 2), np.uint8)] * 6
    with pytest.raises(KeyboardInterrupt):
        list(load(DatasetSource(Images(items)), range(13), LoaderSettings(batch=4, threads=threads)))


# ---------------------------------------------------------------------------------------------------- threads and buffers


def test_nothing_runs_before_the_first_batch_is_drawn() -> None:
    asked: list[int] = []
    before = threading.active_count()
    batches = load(DatasetSource(Images([lambda: asked.append(0)])), [0], LoaderSettings())
    time.sleep(0.02)
    assert asked == []
    assert threading.active_count() == before
    del batches


@pytest.mark.parametrize("drawn", [1, 3])
@pytest.mark.parametrize("threads", [1, 3])
def test_leaving_early_stops_all_threads(threads: int, drawn: int) -> None:
    before = threading.active_count()
    batches = load(
        DatasetSource(Images([np.zeros((9, 9), np.uint8)] * 500)), range(500), LoaderSettings(batch=2, threads=threads)
    )
    for _ in range(drawn):
        next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_consumer_that_raises_stops_all_threads() -> None:
    before = threading.active_count()

    def consume() -> None:
        for _ in load(DatasetSource(Images([np.zeros((9, 9), np.uint8)] * 500)), range(500), LoaderSettings(batch=2)):
            raise ValueError("consumer")

    with pytest.raises(ValueError, match="consumer"):
        consume()
    gc.collect()
    assert threading.active_count() == before


def test_reads_two_batches_ahead_and_no_further() -> None:
    asked: list[int] = []

    def ask(row: int) -> Callable[[], np.ndarray]:
        def make() -> np.ndarray:
            asked.append(row)
            return np.zeros((3, 3), np.uint8)

        return make

    batches = load(DatasetSource(Images([ask(row) for row in range(50)])), range(50), LoaderSettings(batch=5, threads=2))
    next(batches)
    deadline = time.monotonic() + 10
    while len(asked) < 15 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    # Two batches are ready, and the images of a third may have been fetched, waiting for a buffer.
    assert 15 <= len(asked) <= 20
    batches.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_batch_stays_whole_until_the_next_is_drawn(threads: int) -> None:
    items = [np.full((50, 60 + row % 7, 3), row, np.uint8) for row in range(100)]
    for found in load(DatasetSource(Images(items)), range(100), LoaderSettings(batch=5, threads=threads)):
        assert found.pixels is not None
        for _ in range(3):
            time.sleep(0.002)  # the next batch is decoded meanwhile
            for i, row in enumerate(found.rows):
                assert bool((found.pixels.frame(i) == row).all())


def test_buffers_are_used_again() -> None:
    source = DatasetSource(Images([np.zeros((40, 50, 3), np.uint8)] * 60))
    places = {found.pixels.data.data_ptr() for found in load(source, range(60), LoaderSettings(batch=6)) if found.pixels}
    assert len(places) == 3


def test_a_buffer_grows_for_a_large_frame_and_stays_bounded() -> None:
    items = [np.full((size, 100), size % 251, np.uint8) for size in (1, 5, 400, 3, 2, 700, 1)]
    for found in load(DatasetSource(Images(items)), range(7), LoaderSettings(batch=2, batch_mb=0.0003)):
        for frame, row in zip(kept(found), found.rows, strict=True):
            np.testing.assert_array_equal(frame, np.stack([items[row]] * 3, -1))
        assert found.pixels is not None
        held = found.pixels.data.untyped_storage().nbytes()
        assert held <= max(700 * 300, 300)


def test_memory_and_descriptors_stay_flat(folder: Path) -> None:
    uris = names(folder)
    (folder / uris[1]).write_bytes((folder / uris[1]).read_bytes()[:-50])
    source = FileSource(folder, uris)

    def turn(times: int) -> None:
        for _ in load(source, list(range(len(uris))) * times, LoaderSettings(batch=8)):
            pass

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    turn(20)
    gc.collect()
    before, open_before = resident(), len(list(Path("/proc/self/fd").iterdir()))
    turn(150)
    gc.collect()
    assert resident() - before < 8e6  # 3,450 frames, 19 MB decoded, 150 of them broken
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_random_state_of_the_process_is_not_touched(folder: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    list(load(FileSource(folder, names(folder)), range(5), LoaderSettings(batch=2)))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12 and later
def test_loading_again_after_a_fork(folder: Path) -> None:
    source = FileSource(folder, names(folder))
    list(load(source, range(5), LoaderSettings()))
    going = load(source, range(20), LoaderSettings(batch=2))
    next(going)
    child = os.fork()
    if child == 0:  # no assertion may leave the child
        code = 1
        try:
            rows = [row for found in load(source, range(20), LoaderSettings(batch=3, threads=2)) for row in found.rows]
            code = 0 if rows == list(range(20)) else 2
            try:
                for _ in range(3):
                    next(going)  # its threads stayed with the parent
                code = code or 3
            except StalledError:
                pass
        finally:
            os._exit(code)
    deadline = time.monotonic() + 30
    while (status := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    if status[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status[1]) == 0
    assert sum(len(found.rows) for found in going) == 18


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_pinned_buffers() -> None:
    source = DatasetSource(Images([np.full((8, 9), row, np.uint8) for row in range(20)]))
    for found in load(source, range(20), LoaderSettings(batch=3, pin=True)):
        assert found.pixels is not None
        assert found.pixels.data.is_pinned()
        assert found.pixels.data.cuda(non_blocking=True).cpu().equal(found.pixels.data)


def test_hostile_corpus_as_one_shard(test_data: Path) -> None:
    root = test_data / "hostile"
    uris = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.suffix != ".json")
    rows: list[int] = []
    for found in load(FileSource(root, uris), range(len(uris)), LoaderSettings(batch=16, threads=2)):
        rows += found.rows + [failure.row for failure in found.failures]
        assert all(failure.error.reason in REASONS for failure in found.failures)
        assert all(failure.error.reason != "internal" for failure in found.failures)
    assert sorted(rows) == list(range(len(uris)))
