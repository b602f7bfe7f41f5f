"""The map of frames holds a dot for each of them."""

import numpy as np

from gpu_quality.reports.look_alikes import DOTS, meaning_section
from gpu_quality.reports.meaning import Meaning


class NoPictures:
    """An album in which nothing is shown."""

    pictures: dict = {}  # noqa: RUF012 - never changed


def test_the_map_of_many_frames_is_not_cut():
    count = min(DOTS, 700)
    place = np.random.default_rng(0).random((count, 2))
    found = Meaning("card", False, True, place, (0,), (), 0, 0)
    drawn = str(meaning_section(found, [str(i) for i in range(count)], NoPictures()))
    assert drawn.count("h0") == count
