"""MOT challenge: published tracks, sequences with and without images, flags, classes, results, and wrong lines."""

from pathlib import Path

import pytest
from label_reading import errors, frames, load, objects, put

from gpu_quality.data.formats import mot as mot_module
from gpu_quality.data.formats import sequences
from gpu_quality.data.formats.mot import looks_like_mot, read
from gpu_quality.errors import UsageError

INI = "[Sequence]\nname=S\nimDir=img1\nframeRate=25\nseqLength=4\nimWidth=640\nimHeight=480\nimExt=.jpg\n"


@pytest.mark.parametrize(
    ("name", "labels", "results", "count"), [("TUD-Campus", 359, 222, 71), ("TUD-Stadtmitte", 1156, 749, 179)]
)
def test_published_tracks(test_data: Path, name: str, labels: int, results: int, count: int) -> None:
    folder = test_data / "tracks" / name
    made = load(read, folder / "gt.txt", p=folder / "test.txt")
    assert len(made.frames) == count
    assert frames(made, "frame", "sequence", "position")[:2] == [(f"{name}/000001", name, 0), (f"{name}/000002", name, 1)]
    assert [objects(made, "origin").count(origin) for origin in (0, 1)] == [labels, results]
    assert made.classes == ("person",)
    assert errors(made) == []
    first = (folder / "gt.txt").read_text().split()[0].split(",")
    x, y, w, h = map(float, first[2:6])
    assert objects(made, "track", "box", "crowd")[0] == (int(first[1]), [x - 1, y - 1, x - 1 + w, y - 1 + h], False)
    assert set(objects(made, "score")) == {None}


def test_all_published_sequences_at_once(test_data: Path) -> None:
    made = load(read, test_data / "tracks", p=test_data / "tracks")
    assert sorted(set(frames(made, "sequence"))) == ["TUD-Campus", "TUD-Stadtmitte"]
    assert len(made.frames) == 71 + 179
    assert len(made.objects) == 359 + 222 + 1156 + 749
    assert looks_like_mot(test_data / "tracks")


def test_a_sequence_with_its_facts_flags_and_classes(tmp_path: Path) -> None:
    lines = "1,7,11,21,5,6,1,1,0.5\n2,7,12,21,5,6,1,3,1\n3,8,1,1,5,6,0,8,0\n3,-1,1,1,2,2,1,42,0\n"
    root = put(tmp_path, {"train/S/gt/gt.txt": lines, "train/S/seqinfo.ini": INI})
    made = load(read, root)
    assert frames(made, "frame", "position", "seconds", "width", "height", "split", "labelled") == [
        (f"S/{i:06d}", i - 1, (i - 1) / 25, 640, 480, None, True) for i in range(1, 5)
    ]
    names = [made.classes[row] for row in objects(made, "class_id")]
    assert list(zip(names, objects(made, "track"), objects(made, "crowd"), strict=True)) == [
        ("pedestrian", 7, False),
        ("car", 7, False),
        ("distractor", 8, True),
        ("42", None, False),
    ]
    assert objects(made, "box")[0] == [10, 20, 15, 26]
    assert objects(made, "file", "record")[1] == ("S/gt/gt.txt", 2)
    assert load(read, root / "train" / "S").objects.equals(made.objects)
    assert load(read, root / "train" / "S" / "gt" / "gt.txt").objects.equals(made.objects)


def test_results_find_the_frames_of_the_labels(tmp_path: Path) -> None:
    put(tmp_path, {"S/gt/gt.txt": "1,7,11,21,5,6,1,1,1\n3,7,11,21,5,6,1,1,1\n", "out/S.txt": "2,4,1,1,5,5,0.25,-1,-1,-1\n"})
    put(tmp_path, {"tracker.txt": "3 5 1 1 5 5 -1\n9,5,1,1,5,5\n", "S/det/det.txt": "1,-1,1,1,5,5,31.5\n"})
    sets = {"a": tmp_path / "out", "b": tmp_path / "tracker.txt", "c": tmp_path / "S" / "det" / "det.txt"}
    made = load(read, tmp_path / "S", **sets)
    rows = [row for row in made.objects.to_pylist() if row["origin"]]
    assert {(row["origin"], row["frame"], row["score"], row["track"]) for row in rows} == {
        (1, "S/000002", 0.25, 4),
        (2, "S/000003", None, 5),
        (2, "S/000009", None, 5),
        (3, "S/000001", 31.5, None),
    }
    assert {made.classes[row["class_id"]] for row in rows} == {"pedestrian"}  # the labels' word for a person
    labelled = dict(frames(made, "frame", "labelled"))
    assert labelled["S/000002"]
    assert not labelled["S/000009"]


def test_images_beside_the_labels_or_listed_before(tmp_path: Path) -> None:
    root = put(tmp_path / "data", {f"{s}/img1/{i:06d}.png": (8, 8) for s in ("A", "B") for i in (1, 2, 3)})
    put(root, {"A/gt/gt.txt": "2,1,1,1,4,4,1,1,1\n", "B/gt/gt.txt": "3,1,1,1,4,4,1,1,1\n"})
    for made in (load(read, root), load(read, root, root)):
        assert frames(made, "frame", "sequence", "position")[4] == ("B/img1/000002.png", "B", 1)
        assert objects(made, "frame") == ["A/img1/000002.png", "B/img1/000003.png"]
        assert frames(made, "labelled") == [True] * 6
        assert min(frames(made, "size_bytes")) > 0
    for images in (root / "A", root / "A" / "img1"):
        made = load(read, root / "A" / "gt" / "gt.txt", images)
        assert objects(made, "frame") == [str((root / "A/img1/000002.png").relative_to(images))]
        assert frames(made, "sequence") == ["A"] * 3
    made = load(read, root / "A")
    assert frames(made, "frame")[0] == "A/img1/000001.png"


def test_names_of_classes_beside_the_tracks(tmp_path: Path) -> None:
    put(tmp_path, {"S/gt/gt.txt": "1,1,1,1,4,4,1,2,1\n", "S/gt/labels.txt": "cat\ndog\n"})
    assert load(read, tmp_path / "S").classes == ("dog",)


def test_wrong_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "1,2,3": "3 values",
        "1,1,1,1,x,4,1,1,1": "'x' is no number",
        "1,1,1,1,,4,1,1,1": "'' is no number",
        "0,1,1,1,4,4,1,1,1": "frame 0",
        "1.5,1,1,1,4,4,1,1,1": "frame 1.5",
        "99999999999,1,1,1,4,4,1,1,1": "no number of a frame",
        "1,1.5,1,1,4,4,1,1,1": "track id",
        "1,nan,1,1,4,4,1,1,1": "track id",
        "1,1,1,1,4,4,1,1.5,1": "class '1.5'",
        "1,1,nan,1,4,4,1,1,1": "not finite",
        "1,1,1,1,4,0,1,1,1": "no area",
    }
    root = put(tmp_path, {"S/gt.txt": "1,1,1,1,4,4,1,1,1\n" + "\n".join(wrong) + "\n\n2,1,1,1,4,4,1,1,1\n"})
    made = load(read, root / "S" / "gt.txt")
    rows = made.errors.to_pylist()
    assert [row["line"] for row in rows] == list(range(2, 2 + len(wrong)))
    for row, text in zip(rows, wrong.values(), strict=True):
        assert text in row["detail"]
    assert objects(made, "record") == [1, 12, 14]
    assert len(made.frames) == 2
    monkeypatch.setattr(mot_module, "_ENOUGH", 3)
    again = load(read, root / "S" / "gt.txt")
    assert again.objects.equals(made.objects)
    assert again.errors.equals(made.errors)


def test_a_length_that_would_fill_the_memory_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "MOST_FRAMES", 100)
    put(tmp_path, {"S/gt/gt.txt": "1,1,1,1,4,4,1,1,1\n", "S/seqinfo.ini": INI.replace("=4\n", "=99999999999\n")})
    made = load(read, tmp_path / "S")
    assert len(made.frames) == 1
    assert any("seqLength" in note for note in made.notes)
    put(tmp_path, {"S/seqinfo.ini": "seqLength=4\n[", "S/gt/gt.txt": "1,1,1,1,4,4,1,1,1\n101,1,1,1,4,4,1,1,1\n"})
    made = load(read, tmp_path / "S")
    assert any("seqinfo.ini cannot be read" in note for note in made.notes)
    assert errors(made) == [("S/gt/gt.txt", 2, "bad_annotation")]


def test_unusable_paths(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load(read, tmp_path / "gone")
    with pytest.raises(UsageError, match="no file of tracks"):
        load(read, tmp_path)
    put(tmp_path, {"S/gt.txt": "1,1,1,1,4,4\n", "S/a.txt": "1,1,1,1,4,4\n", "S/b.txt": "1,1,1,1,4,4\n"})
    with pytest.raises(UsageError, match=r"several files of tracks: a\.txt, b\.txt"):
        load(read, tmp_path / "S", p=tmp_path / "S")
