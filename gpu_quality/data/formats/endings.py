"""Paths found by how they end: label files name images from another folder than the one that was listed."""

import unicodedata
from collections.abc import Iterable


class Endings:
    """Frames by the last parts of their paths; a part of a file (``part.tar#a.jpg``) ends in its own name."""

    def __init__(self, paths: Iterable[tuple[str, str]]) -> None:
        """`paths` are pairs of the path to find a frame by and the frame."""
        left = [(_plain(path), frame) for path, frame in paths]
        self._whole: dict[str, str | None] = {}
        for path, frame in left:
            self._whole[path] = None if path in self._whole else frame
        self._levels: list[dict[str, str | None]] = []
        while left:
            depth = len(self._levels) + 1
            level: dict[str, str | None] = {}
            for path, frame in left:
                key = _end(path, depth)
                level[key] = None if key in level else frame
            self._levels.append(level)
            left = [(path, frame) for path, frame in left if level[_end(path, depth)] is None and path.count("/") >= depth]

    def find(self, name: str) -> str | None:
        """The only frame that has the longest end in common with `name`; of several, the one whose whole path `name` ends with.

        None where there is no such frame.
        """
        name = _plain(name)
        return self._longest(name) or self._within(name)

    def _longest(self, name: str) -> str | None:
        for depth, level in enumerate(self._levels, 1):
            key = _end(name, depth)
            if key not in level:
                return None
            if (frame := level[key]) is not None:
                return frame
            if name.count("/") < depth:
                return None
        return None

    def _within(self, name: str) -> str | None:
        while name and name not in self._whole:
            name = name.partition("/")[2]
        return self._whole.get(name)


def _end(path: str, depth: int) -> str:
    return "/".join(path.rsplit("/", depth)[-depth:])


def _plain(path: str) -> str:
    """The path in the one form that stands for all: some systems write an umlaut as two characters."""
    return (path if path.isascii() else unicodedata.normalize("NFC", path)).replace("#", "/")
