"""COCO files with one record a track instead of one a frame, as video instance segmentation has them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpu_quality.annotations.columns import Ints, Problem


def by_frame(
    records: Sequence[dict[str, Any]], place: Ints, problems: dict[int, Problem]
) -> tuple[list[dict[str, Any]], Ints, dict[int, Problem]]:
    """One record a frame instead of one a track, as far as the track is to be seen; its image id is (video, frame)."""
    found: list[dict[str, Any]] = []
    places: list[int] = []
    kept: dict[int, Problem] = {}
    for i, record in enumerate(records):
        parts = {key: record.get(plural) for key, plural in (("bbox", "bboxes"), ("segmentation", "segmentations"))}
        lists = {key: value for key, value in parts.items() if type(value) is list}
        if i in problems or not lists:
            kept[len(found)] = problems.get(i, Problem("missing_geometry", "it has neither bboxes nor segmentations"))
            found.append({**record, "image_id": None})
            places.append(int(place[i]))
            continue
        areas = record.get("areas")
        for number_in_video in range(max(map(len, lists.values()))):
            shape = {key: value[number_in_video] for key, value in lists.items() if number_in_video < len(value)}
            if not any(shape.values()):
                continue
            area = areas[number_in_video] if type(areas) is list and number_in_video < len(areas) else None
            track = record.get("id") if record.get("track_id") is None else record["track_id"]
            image = (record["video_id"], number_in_video) if isinstance(record.get("video_id"), int | str) else None
            own = {"image_id": image, "area": area, "track_id": track, **shape}
            own["id"] = None if record.get("id") is None else f"{record['id']}/{number_in_video}"
            found.append({**record, **own})
            places.append(int(place[i]))
    return found, np.array(places, np.int64), kept
