"""Whole runs over every kind of source: numbers as from plain files, resume, careful mode, and pictures in the report."""

import hashlib
import io
import os
import signal
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from photos import data_files, write_photos

import gpu_quality as gq
from gpu_quality import errors
from gpu_quality.engine.worker import Worker
from gpu_quality.errors import IncompatibleError, UsageError

METRICS = ["brightness", "contrast", "sharpness"]
COUNT = 9


def run(source, out, *, kind="inline", metrics=METRICS, shard=4, **more):
    settings = {"engine": {"kind": kind, "shard": shard}, "max_errors": "50%", **more.pop("settings", {})}
    return gq.run(source, out=out, metrics=metrics, settings=settings, **more)


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, bytes]:
    return {name: (tmp_path / "in" / name).read_bytes() for name in write_photos(tmp_path / "in", COUNT)}


@pytest.fixture
def plain(tmp_path: Path, photos) -> pd.DataFrame:
    return run(tmp_path / "in", tmp_path / "plain").table("frame")[METRICS]


def write_tar(path: Path, photos: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in photos.items():
            for text, content in ((name, data), (name.replace(".png", ".cls"), b"cat")):
                info = tarfile.TarInfo(text)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def write_video(path: Path, count: int) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = 5
        for i in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * i, np.uint8), format="rgb24")))
        container.mux(stream.encode())
    return path


def memory_folder(photos: dict[str, bytes]) -> str:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    for name, data in photos.items():
        system.pipe_file(f"/photos/{name}", data)
    return "memory://photos"


class Images(torch.utils.data.Dataset):
    """As torchvision's folders are: images with classes, which are known without opening anything."""

    def __init__(self, photos: dict[str, bytes]) -> None:
        self.classes = ["cat", "dog"]
        self.photos = list(photos.values())
        self.targets = [i % 2 for i in range(len(self.photos))]

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, item: int):
        return self.photos[item], self.targets[item]


def sources(tmp_path: Path, photos: dict[str, bytes]) -> dict[str, object]:
    table = pa.table({"image": list(photos.values()), "label": ["a", "b", "c"] * 3})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=2)
    return {
        "tar": write_tar(tmp_path / "a.tar", photos),
        "parquet": tmp_path / "p.parquet",
        "remote": memory_folder(photos),
        "pandas": pd.DataFrame({"img": photos.values(), "label": ["a", "b", "c"] * 3}),
        "paths": pd.DataFrame({"path": [str(tmp_path / "in" / name) for name in photos]}),
        "polars": pl.DataFrame({"image": list(photos.values())}),
        "arrow": table,
        "torch": Images(photos),
    }


KINDS = ["tar", "parquet", "remote", "pandas", "paths", "polars", "arrow", "torch"]


@pytest.mark.parametrize("name", KINDS)
def test_the_same_numbers_from_every_source(tmp_path, photos, plain, name):
    source = sources(tmp_path, photos)[name]
    store = run(source, tmp_path / "a")
    table = store.table("frame")
    assert table[METRICS].equals(plain)
    assert store.status()["complete"]
    other = run(source, tmp_path / "b", kind="local")
    assert data_files(store.path) == data_files(other.path)


@pytest.mark.parametrize("name", KINDS)
def test_an_interrupted_run_goes_on(tmp_path, photos, monkeypatch, name):
    source = sources(tmp_path, photos)[name]
    real, calls = Worker.__call__, []

    def stop_at_second(self, shard, *args, **keywords):
        calls.append(shard.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, shard, *args, **keywords)

    monkeypatch.setattr(Worker, "__call__", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "a")
    monkeypatch.setattr(Worker, "__call__", real)
    run(source, tmp_path / "a")
    run(source, tmp_path / "b")
    assert data_files(tmp_path / "a") == data_files(tmp_path / "b")


def test_another_table_is_refused(tmp_path, photos):
    frame = pd.DataFrame({"image": list(photos.values())})
    run(frame, tmp_path / "a")
    run(pl.DataFrame({"image": list(photos.values())}), tmp_path / "a")
    with pytest.raises(IncompatibleError, match="another table"):
        run(frame.iloc[::-1], tmp_path / "a")
    with pytest.raises(IncompatibleError, match="another table"):
        run(frame.iloc[:-1], tmp_path / "a")


def test_a_video_with_every_frame_and_every_third(tmp_path):
    path = write_video(tmp_path / "drive.mp4", 17)
    store = run(path, tmp_path / "a", kind="local")
    table = store.table("frame")
    assert store.status()["scored"] == 17
    assert table["brightness"].is_monotonic_increasing
    assert table["sequence"].eq("drive.mp4").all()
    third = run(path, tmp_path / "b", settings={"source": {"every": 3}}).table("frame")
    assert third["position"].tolist() == [0, 3, 6, 9, 12, 15]
    assert third["brightness"].tolist() == table["brightness"].tolist()[::3]
    with pytest.raises(IncompatibleError, match="every"):
        run(path, tmp_path / "b")


def test_classes_come_with_archives_tables_and_data_sets(tmp_path, photos):
    found = {}
    for name, source in sources(tmp_path, photos).items():
        answers = run(source, tmp_path / name).input.table("classifications").to_pandas()
        found[name] = sorted(answers["class_id"].value_counts().tolist())
        assert set(answers["question"]) <= {"class"}
    assert {name: counts for name, counts in found.items() if counts} == {
        "tar": [COUNT],
        "parquet": [3, 3, 3],
        "pandas": [3, 3, 3],
        "arrow": [3, 3, 3],
        "torch": [4, 5],
    }


def test_rows_that_cannot_be_read_are_error_rows(tmp_path, photos):
    images = [None, b"", b"nonsense", *photos.values()]
    for source in (pd.DataFrame({"image": images}), tmp_path / "p.parquet"):
        pq.write_table(pa.table({"image": images}), tmp_path / "p.parquet")
        store = run(source, tmp_path / type(source).__name__)
        assert store.errors()["reason"].tolist() == ["missing", "empty", "unknown_format"]
        assert store.status()["scored"] == COUNT


def test_facts_are_those_of_the_member(tmp_path, photos):
    write_tar(tmp_path / "a.tar", photos)
    table = run(tmp_path / "a.tar", tmp_path / "a", metrics=["file_size"]).table("frame")
    assert table["file_size"].tolist() == [len(data) for data in photos.values()]
    assert table["file_hash"].tolist() == [hashlib.sha256(data).hexdigest() for data in photos.values()]


@pytest.mark.parametrize("kind", ["tar", "parquet", "video"])
def test_careful_mode_finds_the_culprit(tmp_path, photos, monkeypatch, kind):
    from gpu_quality.data import decode, reading

    if kind == "video":
        source, culprit = write_video(tmp_path / "a.mp4", COUNT), "a.mp4#000005"
    else:
        source = sources(tmp_path, photos)[kind]
        culprit = {"tar": "a.tar#photo005.png", "parquet": "p.parquet#000005"}[kind]
    wanted = photos["photo005.png"]
    real_header, real_image = reading.header_of, reading.image_of

    def header(data, settings):
        return os.kill(os.getpid(), signal.SIGKILL) if data == wanted else real_header(data, settings)

    def image(found, settings):
        dark = abs(float(np.asarray(found).mean()) - 50) < 3
        return os.kill(os.getpid(), signal.SIGKILL) if dark else real_image(found, settings)

    monkeypatch.setattr(reading, "header_of", header)
    monkeypatch.setattr(reading, "image_of", image)
    assert decode.header_of is real_header
    store = run(source, tmp_path / "out", kind="local")
    assert store.errors()[["frame", "reason"]].to_numpy().tolist() == [[culprit, "worker_died"]]
    assert store.status()["scored"] == COUNT - 1


@pytest.mark.parametrize("kind", ["tar", "parquet", "remote", "paths", "video"])
def test_the_report_shows_pictures(tmp_path, photos, kind):
    source = write_video(tmp_path / "a.mp4", 12) if kind == "video" else sources(tmp_path, photos)[kind]
    run(source, tmp_path / "out")
    page = Path(gq.report(tmp_path / "out")).read_text()
    assert page.count("data:image/jpeg;base64") > 3
    assert "image not found" not in page


def test_labels_and_predictions_as_tables(tmp_path, photos):
    columns = {
        "frame": list(photos)[:3],
        "x1": [1, 2, 3],
        "y1": [1, 2, 3],
        "x2": [9, 9, 9],
        "y2": [9, 9, 9],
        "class": list("aab"),
    }
    labels, found = pd.DataFrame(columns), pl.DataFrame({**columns, "score": [0.5, 0.6, 0.7]})
    for _ in range(2):
        store = run(tmp_path / "in", tmp_path / "a", labels=labels, predictions={"net": found}, metrics=["brightness"])
    objects = store.objects().to_pandas()
    assert objects["origin"].value_counts().to_dict() == {0: 3, 1: 3}
    assert objects["file"].unique().tolist() == ["table.parquet"]
    with pytest.raises(IncompatibleError, match="labels"):
        run(tmp_path / "in", tmp_path / "a", labels=labels.iloc[:2], predictions={"net": found}, metrics=["brightness"])


def test_mistakes_are_told(tmp_path, photos):
    with pytest.raises(UsageError, match="several columns"):
        run(pd.DataFrame({"left": [b"x"], "right": [b"y"]}), tmp_path / "a")
    with pytest.raises(UsageError, match="no column of images"):
        run(pd.DataFrame({"n": [1]}), tmp_path / "b")
    store = run(
        pd.DataFrame({"left": [b"x"], "right": list(photos.values())[:1]}),
        tmp_path / "c",
        settings={"source": {"image_column": "right"}},
    )
    assert store.status()["scored"] == 1
    with pytest.raises(errors.ConfigError, match="every"):
        run(tmp_path / "in", tmp_path / "d", settings={"source": {"every": 0}})
