"""The frames of a store in the order class-form metrics walk them, and what each of them holds for one origin."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gpu_quality.authoring.images import Images
from gpu_quality.authoring.labels import answer_label, object_label
from gpu_quality.authoring.names import short_hash
from gpu_quality.authoring.place import Place


class Walk:
    """Frames by row of the frames table. A sequence is a video of as many frames, a lone image a label row of its own."""

    def __init__(self, place: Place, images: Images, origin: int) -> None:
        self.place, self.images, self.origin = place, images, origin
        self.classes: list[str] = list(place.store.identity.get("classes") or ())
        frames = place.store.frames(["sequence", "position"]).to_pandas()
        self.sequences: list[str] = frames["sequence"].tolist()
        codes, _ = pd.factorize(frames["sequence"])
        lone = (frames["sequence"] == "").to_numpy()
        rows = np.arange(len(frames))
        first = pd.Series(rows).groupby(codes).transform("min").to_numpy()
        self.group = np.where(lone, rows, first)
        """Row of the first frame of each frame's sequence; its own row for a lone image."""
        position = frames["position"].to_numpy(np.int64)
        self.order = np.lexsort((rows, position, self.group)).tolist()
        members = pd.Series(position).groupby(self.group)
        counted = pd.Series(self.group[self.order]).groupby(self.group[self.order]).cumcount().to_numpy()
        index = np.empty(len(frames), np.int64)
        index[self.order] = counted
        told = (members.transform("nunique") == members.transform("size")).to_numpy()
        self.frame = np.where(lone, 0, np.where(told, position, index))
        """Number of each frame inside its label row: its position where positions are told, else its place."""
        self.count = members.transform("size").to_numpy()

    def label_hash(self, row: int) -> str:
        """Hash of the sequence, or of the lone image, that a frame belongs to."""
        return short_hash(self.sequences[row] or self.images.ids[row])

    def unit(self, row: int) -> dict[str, Any]:
        """A frame as a data unit: what it is called, its size in pixels, and the labels of this origin."""
        size = self.images.size(row)
        return {
            "data_hash": self.label_hash(row),
            "data_title": self.images.ids[row],
            "data_link": self.images.uris[row],
            "data_type": "video" if self.sequences[row] else "image",
            "data_sequence": int(self.frame[row]),
            "width": None if size is None else size[0],
            "height": None if size is None else size[1],
            "labels": self.labels(row, size),
        }

    def labels(self, row: int, size: tuple[int, int] | None) -> dict[str, list[dict[str, Any]]]:
        """Objects and answers of a frame; without a size objects have no relative coordinates and are left out."""
        return {"objects": self._objects(row, size) if size else [], "classifications": self._answers(row)}

    def _objects(self, row: int, size: tuple[int, int]) -> list[dict[str, Any]]:
        store = self.place.store
        if not store.input.count("objects"):
            return []
        numbers = store.input.object_range(row, row + 1)
        rows = zip(numbers, store.objects(row, row + 1).to_pylist(), strict=True)
        found = [
            object_label(o, n, self.sequences[row], size, self.class_name(o["class_id"]))
            for n, o in rows
            if o["origin"] == self.origin
        ]
        taken: set[str] = set()
        for label in found:
            if label["objectHash"] in taken:  # two objects of one frame on one track
                label["objectHash"] = short_hash(f"{label['objectHash']}/{label['place'][2]}")
            taken.add(label["objectHash"])
        return found

    def _answers(self, row: int) -> list[dict[str, Any]]:
        return [
            answer_label(answer, row, number, self.class_name(answer["class_id"]))
            for number, answer in self._answer_rows.get(self.images.ids[row], ())
        ]

    def class_name(self, number: int) -> str:
        """Name of a class; its number where the store has none."""
        return self.classes[number] if 0 <= number < len(self.classes) else str(number)

    @cached_property
    def _answer_rows(self) -> dict[str, list[tuple[int, dict[str, Any]]]]:
        found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        if self.place.store.input.count("classifications"):
            for number, answer in enumerate(self.place.store.classifications().to_pylist()):
                if answer["origin"] == self.origin:
                    found.setdefault(answer["frame"], []).append((number, answer))
        return found

    @cached_property
    def places(self) -> dict[tuple[str, int], int]:
        """Row of every frame by the hash of its label row and its number in it."""
        return {(self.label_hash(row), int(self.frame[row])): row for row in self.order}


class LabelRows(Mapping[str, dict[str, Any]]):
    """Whole sequences and lone images by hash, each made when it is asked for: for metrics that need a video at once."""

    def __init__(self, walk: Walk, rows: list[int]) -> None:
        self._walk = walk
        self._rows = rows
        self._held: tuple[str, dict[str, Any]] | None = None

    @cached_property
    def _members(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row in self._rows:
            found.setdefault(self._walk.label_hash(row), []).append(row)
        return found

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __getitem__(self, label_hash: str) -> dict[str, Any]:
        """One label row: `data_type`, `data_units`, `classification_answers`."""
        if self._held is None or self._held[0] != label_hash:
            self._held = label_hash, self._made(label_hash, self._members[label_hash])
        return self._held[1]

    def _made(self, label_hash: str, rows: list[int]) -> dict[str, Any]:
        units = [self._walk.unit(row) for row in rows]
        whole = dict(units[0])
        if whole["data_type"] == "video":
            whole["labels"] = {str(unit["data_sequence"]): unit["labels"] for unit in units}
        answers = [answer for unit in units for answer in unit["labels"]["classifications"]]
        return {
            "label_hash": label_hash,
            "data_title": self._walk.sequences[rows[0]] or whole["data_title"],
            "dataset_title": "",
            "data_type": whole["data_type"],
            "data_units": {whole["data_hash"]: whole},
            "object_answers": {},
            "classification_answers": {
                answer["classificationHash"]: {
                    "classificationHash": answer["classificationHash"],
                    "classifications": [{key: answer[key] for key in ("name", "value", "featureHash", "answers")}],
                }
                for answer in answers
            },
        }
