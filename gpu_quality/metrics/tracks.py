"""Objects of one video over time: changed classes and ids, vanished objects, broken tracks, occlusion, jitter."""

import torch
from jaxtyping import Float64, Int8, Int64
from torch import Tensor

from gpu_quality.features.tracks import masked, undefined
from gpu_quality.functional import shapes, tracks
from gpu_quality.functional.tracks import Partners, Windows
from gpu_quality.registry import metric
from gpu_quality.types import Masked, Objects

ANY = float("inf")
SAME = 0.8
"""Overlap above which two objects of neighboring frames are one thing (Encord Active)."""
ALIVE, PRESENT = 0.25, 0.5
"""Overlap from which an object of two frames ago is there again; overlap above which it is there in the frame between."""


@metric(per="object", over="sequence", unit="ratio", bounds=(0.0, 1.0), bad="low")
def track_consistency(
    partners_before: Partners,
    no_area: Int8[Tensor, " o"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    position: Int64[Tensor, " n"],
    *,
    max_gap: int = 0,
) -> Float64[Tensor, " o"] | Masked:
    r"""Whether an object keeps class and track id of what lay in its place a frame before: low where one of them changed.

    .. math:: 1 - \mathrm{IoU}(o, q) \text{ if } \mathrm{IoU} > 0.8 \text{ and class or track differ, else } 1
    q is the object of the previous stored frame with the largest IoU; of one track nothing is questioned. A missing track id is
    an id like another, so objects without ids are compared by class alone. `max_gap` above 0: frames whose positions are
    further apart are no neighbors.
    Range: 0 to 0.2, or 1; null in the first frame of a sequence, on lone images, for crowd regions, lines and points.
    Depends on: the real shapes, and on the frame rate.
    Source: Encord Active, "Inconsistent Object Classification and Track IDs".
    """
    value, _, null = _consistency(partners_before, no_area, objects, tracks.windows(sequence, position, max_gap))
    return masked(value, null)


@metric(per="object", over="sequence", unit="category", bounds=(0.0, 2.0), bad="high")
def inconsistency(
    partners_before: Partners,
    no_area: Int8[Tensor, " o"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    position: Int64[Tensor, " n"],
    *,
    max_gap: int = 0,
) -> Int64[Tensor, " o"] | Masked:
    r"""What track_consistency found: 0 none, 1 class, 2 track.

    .. math:: [\mathrm{IoU}(o, q) > 0.8,\ t_o \ne t_q] \cdot (1 \text{ if } c_o \ne c_q, \text{ else } 2)
    Range: 0 nothing changed, 1 the class did, 2 the class stayed and the track id did not. Null as for track_consistency.
    Depends on: the real shapes, and on the frame rate.
    Source: Encord Active, "Inconsistent Object Classification and Track IDs".
    """
    _, code, null = _consistency(partners_before, no_area, objects, tracks.windows(sequence, position, max_gap))
    return masked(code, null)


@metric(per="object", over="sequence", unit="ratio", bounds=(0.0, 1.0), bad="low")
def track_continuity(
    partners_before: Partners,
    partners_two_before: Partners,
    no_area: Int8[Tensor, " o"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    position: Int64[Tensor, " n"],
    *,
    max_gap: int = 0,
) -> Float64[Tensor, " o"] | Masked:
    r"""Whether an object goes on: 0 where the next frame lacks it and the one after has it again, 0.5 where its track breaks.

    .. math:: a = \max_{q \in t-2} \mathrm{IoU}(o, q) \ge 0.25:\quad b = \max_{q \in t-1} \mathrm{IoU}(o, q) \le 0.5
              \Rightarrow v(q_a) = 0, \qquad b > 0.5,\ t_o, t_{q_a}, t_{q_b} \text{ differ} \Rightarrow v(o) = 0.5
    Objects of one class are compared; frames without objects count, windows end with their sequence; the lowest value wins.
    `max_gap` as for track_consistency.
    Range: 0, 0.5 or 1; null in sequences of fewer than 3 frames, for crowd regions, lines and points.
    Depends on: the real shapes, and on the frame rate.
    Source: Encord Active, "Missing Objects and Broken Tracks" (frames without objects skipped, windows across videos there).
    """
    value, _, null = _continuity(
        partners_before, partners_two_before, no_area, objects, tracks.windows(sequence, position, max_gap)
    )
    return masked(value, null)


@metric(per="object", over="sequence", unit="row")
def missing_in(
    partners_before: Partners,
    partners_two_before: Partners,
    no_area: Int8[Tensor, " o"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    position: Int64[Tensor, " n"],
    *,
    max_gap: int = 0,
) -> Int64[Tensor, " o"] | Masked:
    r"""The frame that lacks an object which the frames before and after it have: draw it there.

    .. math:: t + 1 \text{ where } \mathrm{track\_continuity} = 0
    Range: the row of a frame, in the order of ids. Null where nothing is missing.
    Depends on: the real shapes, and on the frame rate.
    Source: Encord Active, "Missing Objects and Broken Tracks".
    """
    windows = tracks.windows(sequence, position, max_gap)
    _, lost, null = _continuity(partners_before, partners_two_before, no_area, objects, windows)
    after = windows.following[objects.frame].clamp(min=0)
    return masked(after, undefined(null, (~lost, "no_match")))


@metric(per="object", over="sequence", unit="ratio", bounds=(0.0, 2**0.5), bad="high")
def occlusion_risk(
    no_area: Int8[Tensor, " o"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    track: Int64[Tensor, " o"],
    *,
    min_frames: int = 5,
) -> Float64[Tensor, " o"] | Masked:
    r"""How likely something hides part of an object: smaller than on average over its track, and of another form.

    .. math:: \lVert s - \overline{s} \rVert_2 \text{ if } s_1 < \overline{s}_1, \text{ else } 0, \qquad
              s = \mathrm{minmax}(w h,\ w / h)
    minmax scales both to 0..1 over the track; a spread below 1e-9 of the value is rounding and scales to 0.
    Range: 0 to 1.4142; above 0.3 low, 0.4 moderate, 0.7 high risk. Null without track and for tracks in fewer than 5 frames.
    Depends on: the sides of the object (of a rotated box its own), so also on turning and on distance to the camera.
    Source: Encord Active, "Detect Occlusion in Video" (1 / distance there).
    """
    group = tracks.track_groups(sequence[objects.frame], track, no_area == 0)
    rows = (group >= 0).nonzero().flatten()
    w, h = shapes.sides(objects)
    value, frames = torch.zeros(len(objects), dtype=torch.float64), torch.zeros(len(objects), dtype=torch.int64)
    value[rows], frames[rows] = tracks.occlusion(w[rows], h[rows], group[rows], objects.frame[rows])
    return masked(value, undefined(no_area, (group < 0, "no_track"), (frames < min_frames, "short_track")))


@metric(per="object", over="sequence", unit="ratio", bounds=(0.0, ANY), bad="high")
def track_jitter(
    no_area: Int8[Tensor, " o"],
    objects: Objects,
    sequence: Int64[Tensor, " n"],
    position: Int64[Tensor, " n"],
    track: Int64[Tensor, " o"],
    *,
    max_gap: int = 0,
) -> Float64[Tensor, " o"] | Masked:
    r"""How far a box is from where its neighbors in time put it, compared with its size: high where the outline trembles.

    .. math:: \frac{1}{\sqrt{w h}} \sqrt{\tfrac14 \sum_{s \in x_1 y_1 x_2 y_2} \big(s_t - \tfrac12 (s_{t-1} + s_{t+1})\big)^2}
    Half the second difference over time: 0 for steady motion and steady growth, so what is left is acceleration, which real
    things have little of between frames, and the hand of the annotator. Dividing by the size lets near and far things compare.
    `max_gap` as for track_consistency.
    Range: 0 and up; a box off by d pixels alone has d / sqrt(w h). Null without track (no_track), and where the stored frame
    before or after has no object of the track (short_track).
    Depends on: the frame rate; stored frames count as evenly spaced.
    """
    windows = tracks.windows(sequence, position, max_gap)
    group = tracks.track_groups(sequence[objects.frame], track, no_area == 0)
    before, after = (
        tracks.same_track_in(group, objects.frame, side[objects.frame], len(sequence))
        for side in (windows.previous, windows.following)
    )
    null = undefined(no_area, (group < 0, "no_track"), ((before < 0) | (after < 0), "short_track"))
    return masked(tracks.jitter(objects.box, before, after), null)


def _consistency(
    before: Partners, no_area: Int8[Tensor, " o"], objects: Objects, windows: Windows
) -> tuple[Float64[Tensor, " o"], Int64[Tensor, " o"], Int8[Tensor, " o"]]:
    """Value, code, and why neither is."""
    value, code = tracks.consistency(before, objects.class_id, objects.track, SAME)
    return value, code, undefined(no_area, (windows.previous[objects.frame] < 0, "first_frame"))


def _continuity(
    before: Partners, second: Partners, no_area: Int8[Tensor, " o"], objects: Objects, windows: Windows
) -> tuple[Float64[Tensor, " o"], Tensor, Int8[Tensor, " o"]]:
    """Value, whether the next frame lacks the object, and why neither is."""
    linked = tracks.step_back(windows.previous, windows.previous[objects.frame]) >= 0
    value, lost = tracks.continuity(before, second, linked, objects.track, ALIVE, PRESENT)
    return value, lost, undefined(no_area, (windows.length[objects.frame] < 3, "too_few_samples"))
