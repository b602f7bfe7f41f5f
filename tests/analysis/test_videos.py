"""Aggregates of videos against plain loops, and on real tracks."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gpu_quality.analysis.videos import video_table, video_vectors

VALUES = ("mean", "min", "max", "std", "p05", "p95")


def frames_of(**columns: Any) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    start = {"frame": [f"f{i}" for i in range(count)], "sequence": [""] * count, "position": range(count)}
    return pd.DataFrame({**start, "seconds": [None] * count, **columns}).astype({"seconds": "Float64"})


def test_spread_of_every_metric_against_numpy() -> None:
    rng = np.random.default_rng(0)
    sequence = rng.choice(["", "b", "a", "c"], 200, p=[0.2, 0.4, 0.3, 0.1])
    frames = frames_of(sequence=sequence, bright=rng.random(200), count=pd.array(rng.integers(0, 9, 200), "Int64"))
    frames.loc[rng.random(200) < 0.2, ["bright", "count"]] = None
    frames.loc[frames["sequence"] == "c", "bright"] = None
    frames["flag"] = frames["count"] > 4
    got = video_table(frames, None, None, {"brightness": "bright", "count": "count", "flag": "flag"})
    assert got["sequence"].tolist() == ["a", "b", "c"]
    assert "video_label_count" not in got
    assert "video_unlabeled_frames" not in got
    for name, column in (("brightness", "bright"), ("count", "count"), ("flag", "flag")):
        for row, video in enumerate(got["sequence"]):
            own = frames.loc[frames["sequence"] == video, column].dropna().to_numpy(float)
            assert got["video_frames"][row] == (frames["sequence"] == video).sum()
            if not len(own):
                assert all(math.isnan(got[f"video_{part}_{name}"][row]) for part in VALUES)
                continue
            want = [own.mean(), own.min(), own.max(), own.std(), *np.quantile(own, [0.05, 0.95])]
            assert [got[f"video_{part}_{name}"][row] for part in VALUES] == pytest.approx(want, abs=1e-12)


def test_time_and_rate_of_every_tenth_frame() -> None:
    """Positions are those of the video, so the rate is the video's however few frames are stored."""
    sequence = ["v"] * 4 + ["one"] + ["still"] * 2 + ["none"] * 2
    position = [30, 0, 20, 10, 0, 5, 6, 0, 1]
    seconds = [1.2, 0.0, 0.8, 0.4, 0.0, 3.0, 3.0, None, None]
    got = video_table(frames_of(sequence=sequence, position=position, seconds=seconds), None, None, {}).set_index("sequence")
    assert got.loc["v", ["video_fps", "video_seconds"]].tolist() == pytest.approx([25, 1.2 + 0.04])
    assert got.drop(index="v")[["video_fps", "video_seconds"]].isna().all(axis=None)


def labeled() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    frames = frames_of(sequence=["a", "a", "a", "b", "b", ""], frozen=[0, 1, 1, None, 0, 0])
    objects = pd.DataFrame(
        {
            "frame": ["f0", "f0", "f2", "f3", "f5", "f0", "f4"],
            "origin": [0, 0, 0, 0, 0, 1, 1],
            "track": pd.array([1, 2, 1, 1, 9, 1, None], "Int64"),
            "track_continuity": pd.array([1, 0.5, 0, None, None, 0, 1], "Float64"),
            "inconsistency": pd.array([0, 1, 2, None, 1, 1, None], "Int64"),
        }
    )
    return frames, objects, pd.DataFrame({"frame": ["f1", "f4"], "origin": [0, 1]})


def test_what_labels_and_predictions_say() -> None:
    frames, objects, answers = labeled()
    got = video_table(frames, objects, answers, {}, origins=("labels", "yolo")).set_index("sequence").to_dict("index")
    assert set(got) == {"a", "b"}
    a, b = got["a"], got["b"]
    assert (a["video_label_count"], b["video_label_count"]) == (3, 1)
    assert (a["video_track_count"], b["video_track_count"]) == (2, 1)
    assert (a["video_broken_tracks"], a["video_missing_objects"], a["video_class_flips"]) == (1, 1, 1)
    assert (b["video_broken_tracks"], b["video_missing_objects"], b["video_class_flips"]) == (0, 0, 0)
    assert (a["video_label_count_yolo"], b["video_label_count_yolo"]) == (1, 1)
    assert (a["video_track_count_yolo"], b["video_track_count_yolo"]) == (1, 0)
    assert (a["video_missing_objects_yolo"], a["video_class_flips_yolo"]) == (1, 1)
    assert (a["video_unlabeled_frames"], a["video_unlabeled_fraction"]) == (0, 0)
    assert (b["video_unlabeled_frames"], b["video_unlabeled_fraction"]) == (1, 0.5)  # f4 has predictions alone
    assert (a["video_frozen_fraction"], b["video_frozen_fraction"]) == (pytest.approx(2 / 3), 0)


def test_tables_may_be_absent_or_empty() -> None:
    frames, objects, answers = labeled()
    alone = video_table(frames, None, answers, {})
    assert alone["video_unlabeled_frames"].tolist() == [2, 2]
    assert "video_label_count" not in alone
    none = video_table(frames, objects.iloc[:0], None, {})
    assert none["video_label_count"].tolist() == [0, 0]
    assert none["video_unlabeled_fraction"].tolist() == [1, 1]
    plain = video_table(frames, objects.drop(columns=["track_continuity", "inconsistency"]), None, {})
    assert "video_broken_tracks" not in plain
    still = video_table(frames.assign(sequence=""), objects, answers, {"frozen": "frozen"})
    assert len(still) == 0
    assert "video_mean_frozen" in still


def test_the_vector_of_a_video_is_the_mean_direction_of_its_frames() -> None:
    vectors = np.array([[1, 0], [0, 1], [np.nan, np.nan], [0, 1], [1, 0], [-1, 0]], np.float16)
    sequence = pd.Series(["b", "b", "b", "", "c", "c"])
    got = video_vectors(sequence, pd.Series(["a", "b", "c"]), vectors)
    assert np.isnan(got[0]).all()  # no frames
    assert np.allclose(got[1], np.sqrt(0.5), atol=1e-3)
    assert np.isnan(got[2]).all()  # opposite frames have no mean direction


def test_real_tracks(test_data: Path) -> None:
    rows = np.loadtxt(test_data / "tracks" / "TUD-Campus" / "gt.txt", delimiter=",")
    last = int(rows[:, 0].max())
    frames = frames_of(sequence=["campus"] * last, seconds=np.arange(last) / 25)
    objects = pd.DataFrame({"frame": [f"f{int(f) - 1}" for f in rows[:, 0]], "origin": 0, "track": rows[:, 1].astype(int)})
    got = video_table(frames, objects, None, {}).iloc[0]
    assert (got["video_frames"], got["video_label_count"]) == (last, len(rows))
    assert got["video_track_count"] == len(set(rows[:, 1]))
    assert got["video_fps"] == pytest.approx(25)
    assert got["video_seconds"] == pytest.approx(last / 25)
