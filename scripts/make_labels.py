"""Labels of the demo's photos in COCO form, with planted mistakes; always the same bytes.

Things are outlined once, by hand, in the whole photographs; where a view shows enough of one, its label is computed. Labels of
the views that became planted defects go with them. Every mistake stands in `plant` or, for the frames that sweep over one
photo, in `label_pan`; the names of the health checks and track metrics that must find them are in ``tests/test_demo.py``.

    python scripts/make_labels.py demo/photos demo/labels.json
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

from make_images import PAN, VGA, Window, places

Ring = list[float]
"""x y x y … in pixels."""
CLASSES = (
    "person", "helmet", "patch", "eye", "nose", "cup", "spoon", "motorcycle", "wheel", "engine", "crate", "rocket", "tower",
    "bicycle",
)  # fmt: skip
LEAST_SEEN = 0.4
"""Share of a thing that a view must show for a label."""
FORGOTTEN = "chelsea_2.jpg"
SAME_VIEW = {
    "defect_dark.jpg": "astronaut_0.jpg",
    "defect_bright.jpg": "chelsea_0.jpg",
    "defect_gray.jpg": "coffee_0.jpg",
    "defect_copy_of_chelsea_0.jpg": "chelsea_0.jpg",
    "defect_resaved_rocket_0.jpg": "rocket_0.jpg",
}
UNLISTED_CLASS = 99


def box(x1: float, y1: float, x2: float, y2: float) -> Ring:
    """Corners of a box."""
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def oval(x1: float, y1: float, x2: float, y2: float) -> Ring:
    """Twenty points on the ellipse inside a box."""
    turns = [math.tau * i / 20 for i in range(20)]
    return [
        round(value, 2)
        for t in turns
        for value in ((x1 + x2 + (x2 - x1) * math.cos(t)) / 2, (y1 + y2 + (y2 - y1) * math.sin(t)) / 2)
    ]


THINGS: dict[str, list[tuple[str, Ring]]] = {
    "astronaut": [
        ("person", box(20, 15, 362, 512)),
        ("helmet", box(277, 343, 512, 512)),
        ("patch", oval(133, 348, 209, 424)),
        ("patch", [279, 340, 330, 347, 328, 379, 283, 374]),
        ("rocket", box(353, 0, 460, 290)),
    ],
    "chelsea": [
        ("eye", oval(134, 84, 207, 149)),
        ("eye", oval(294, 109, 344, 165)),
        ("nose", [229, 226, 250, 229, 270, 229, 292, 232, 282, 243, 270, 252, 258, 268, 251, 262, 246, 248]),
    ],
    "coffee": [("cup", box(173, 17, 410, 307)), ("spoon", box(317, 66, 426, 327))],
    "motorcycle_left": [
        ("motorcycle", box(92, 80, 684, 455)),
        ("wheel", box(121, 237, 272, 402)),
        ("wheel", box(511, 299, 684, 455)),
        ("engine", box(335, 242, 479, 368)),
        ("crate", box(527, 27, 608, 100)),
        ("crate", box(525, 181, 617, 252)),
        ("crate", box(614, 186, 688, 275)),
    ],
    "rocket": [
        ("rocket", [322, 127, 333, 145, 334, 180, 332, 181, 332, 408, 310, 408, 310, 181, 311, 145]),
        ("tower", box(166, 122, 204, 427)),
        ("tower", box(440, 122, 480, 427)),
        ("tower", box(0, 0, 88, 427)),
    ],
}  # fmt: skip
MOVING = {0: 1, 1: 2, 2: 3, 3: 4}
"""Things of the photo that the camera sweeps over which are followed, and their track ids."""


def seen(ring: Ring, window: Window) -> Ring:
    """Where a view shows an outline, in its pixels."""
    x, y, w, h = window
    scale = (VGA[0] / w, VGA[1] / h)
    return [round((value - (x, y)[i % 2]) * scale[i % 2], 2) for i, value in enumerate(ring)]


def bounds(ring: Ring) -> tuple[float, float, float, float]:
    """The box around an outline."""
    return min(ring[::2]), min(ring[1::2]), max(ring[::2]), max(ring[1::2])


def inside(ring: Ring) -> Ring | None:
    """The outline where all of it is in the frame, the part of its box that is where enough is, else nothing."""
    x1, y1, x2, y2 = bounds(ring)
    a1, b1, a2, b2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(VGA[0])), min(y2, float(VGA[1]))
    if (a1, b1, a2, b2) == (x1, y1, x2, y2):
        return ring
    return box(a1, b1, a2, b2) if a1 < a2 and b1 < b2 and (a2 - a1) * (b2 - b1) >= LEAST_SEEN * (x2 - x1) * (y2 - y1) else None


def shape(ring: Ring) -> dict[str, Any]:
    """An outline as COCO has it; a box has no segmentation."""
    x1, y1, x2, y2 = bounds(ring)
    found: dict[str, Any] = {"bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)], "area": round((x2 - x1) * (y2 - y1), 2)}
    if ring != box(x1, y1, x2, y2):
        corners = list(zip(ring[::2], ring[1::2], strict=True))
        turned = zip(corners, corners[1:] + corners[:1], strict=True)
        found |= {"segmentation": [ring], "area": round(abs(sum(a * d - b * c for (a, b), (c, d) in turned)) / 2, 2)}
    return found


class Labels:
    """A COCO file in the making."""

    def __init__(self, names: list[str]) -> None:
        self.images = [{"id": i, "file_name": name, "width": VGA[0], "height": VGA[1]} for i, name in enumerate(names, 1)]
        self.ids = {name: i for i, name in enumerate(names, 1)}
        self.annotations: list[dict[str, Any]] = []

    def add(self, name: str, kind: str, ring: Ring, **more: object) -> dict[str, Any]:
        """One label; `more` replaces or adds what it says."""
        number = len(self.annotations) + 1
        what = {"id": number, "image_id": self.ids[name], "category_id": CLASSES.index(kind) + 1, "iscrowd": 0}
        self.annotations.append({**what, **shape(ring), **more})
        return self.annotations[-1]

    def of(self, name: str, kind: str, which: int = 0) -> dict[str, Any]:
        """A label that is there: of this image and class, the `which`-th."""
        wanted = self.ids[name], CLASSES.index(kind) + 1
        return [a for a in self.annotations if (a["image_id"], a["category_id"]) == wanted][which]


def plant(labels: Labels) -> None:
    """The mistakes that single labels of the photos hold."""
    patch = labels.of("astronaut_2.jpg", "patch")["segmentation"][0]
    labels.add("astronaut_2.jpg", "patch", [round(value + 0.6, 2) for value in patch])  # the same thing twice
    x, y, w, h = labels.of("coffee_2.jpg", "cup")["bbox"]
    labels.add("coffee_2.jpg", "helmet", box(x + 1, y + 1, x + w - 1, y + h))  # one thing, two classes
    front = labels.of("motorcycle_left_1.jpg", "wheel", 1)
    x, y, w, h = front["bbox"]
    front.update(shape(box(x, y, x + w + 70, y + h + 20)))  # it reaches out of the frame
    labels.add("rocket_0.jpg", "tower", box(262, 160, 262, 480))  # a line is no box
    labels.add("motorcycle_left_1.jpg", "crate", box(607, 240, 608.5, 241.2))  # a stray click
    rim = seen(oval(173, 17, 409, 207), places()["coffee_1"][1])
    labels.of("coffee_1.jpg", "cup").update(shape(rim[:10] + rim[30:] + rim[10:30]))  # the outline crosses itself
    del labels.of("coffee_1.jpg", "cup")["area"]
    labels.add("rocket_1.jpg", "rocket", box(262, 120, 270, 478))  # a sliver
    labels.of("astronaut_0.jpg", "rocket")["category_id"] = UNLISTED_CLASS
    labels.of("motorcycle_left_0.jpg", "wheel")["id"] = labels.of("motorcycle_left_0.jpg", "motorcycle")["id"]


def label_pan(labels: Labels) -> None:
    """The things that a camera sweeps over, followed from frame to frame, with three mistakes."""
    for i in range(1, 13):
        name = f"pan/{i:04d}.jpg"
        for thing, track in MOVING.items():
            kind, ring = THINGS[PAN][thing]
            found = inside(seen(ring, places()[name.removesuffix(".jpg")][1]))
            if found is None or (kind, i) == ("engine", 7):  # the engine vanishes for one frame
                continue
            if (track, i) == (2, 4):
                kind = "bicycle"  # for one frame the rear wheel is something else
            labels.add(name, kind, found, track_id=21 if track == 1 and i >= 10 else track)  # one thing, two tracks


def coco(photos: Path) -> dict[str, Any]:
    """The whole file for the photos in a folder."""
    from PIL import Image

    names = sorted(str(path.relative_to(photos)) for path in photos.rglob("*.jpg"))
    labels = Labels([name for name in names if name != FORGOTTEN])
    for image in labels.images:
        with Image.open(photos / str(image["file_name"])) as opened:
            image["width"], image["height"] = opened.size
        if str(image["file_name"]).startswith("pan/"):
            image |= {"video_id": 1, "frame_id": int(str(image["file_name"])[4:8]) - 1}
    found = places()
    for name in labels.ids:
        source, window = found.get(SAME_VIEW.get(name, name).removesuffix(".jpg"), ("", (0, 0, 1, 1)))
        for kind, ring in THINGS.get(source, []) if not name.startswith("pan/") else []:
            if (shown := inside(seen(ring, window))) is not None:
                labels.add(name, kind, shown)
    label_pan(labels)
    plant(labels)
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES, 1)]
    videos = [{"id": 1, "name": "pan"}]
    return {"videos": videos, "images": labels.images, "annotations": labels.annotations, "categories": categories}


def main() -> None:
    """Write the labels of the photos in the folder named first into the file named second."""
    photos, path = Path(sys.argv[1]), Path(sys.argv[2])
    made = coco(photos)
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(made['annotations'])} labels in {path}, a dozen of them with a planted mistake\n")


if __name__ == "__main__":
    main()
