"""Frames of videos that label files know by the name of the video and a number."""

from pathlib import PurePosixPath

from gpu_quality.annotations import Builder
from gpu_quality.data.formats.folder import uri_of


class NumberedFrames:
    """Finds the frame of a video: among the frames of listed videos by the video's path, file name or file name without its
    extension, else the frame ``drive.mp4#000123``. Numbers count from 0.
    """

    def __init__(self, builder: Builder) -> None:
        self._known: dict[tuple[str, int], str | None] = {}
        for frame in builder.frame_rows if builder.images_listed else ():
            video, _, digits = frame.rpartition("#")
            if video and digits.isascii() and digits.isdecimal() and len(digits) < 16:
                path = PurePosixPath(video)
                for name in {video, path.name, path.stem}:
                    key = name, int(digits)
                    self._known[key] = None if key in self._known else frame

    def listed(self, video: str, number: int) -> str | None:
        """Id of the frame if its video was listed, and no other one of that name."""
        return self._known.get((uri_of(video), number))

    def frame(self, video: str, number: int) -> str:
        """Id of the frame."""
        return self.listed(video, number) or f"{uri_of(video)}#{number:06d}"
