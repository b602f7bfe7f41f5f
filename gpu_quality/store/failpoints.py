"""Named points at which a test makes the process die, fail or wait: proof that no moment is a bad one to crash.

``GPU_QUALITY_FAILPOINT=name[:n]=kill|raise:ENOSPC|raise:EIO|sleep:s``, several separated by commas. With `n` the point fires at
its n-th pass in this process only, without it at every pass. The name ``any`` counts the passes of all points together.
"""

import errno
import os
import signal
import time
from dataclasses import dataclass
from typing import Final

from gpu_quality.errors import UsageError

VARIABLE: Final = "GPU_QUALITY_FAILPOINT"


@dataclass(slots=True)
class _Point:
    """One armed failpoint and how often it was passed."""

    name: str
    at: int
    action: str
    argument: str
    passes: int = 0


def _parse(text: str) -> _Point:
    where, _, action = text.strip().partition("=")
    name, _, at = where.partition(":")
    kind, _, argument = action.partition(":")
    if not name or kind not in ("kill", "raise", "sleep") or (at and not at.isdecimal()):
        raise UsageError(f"{VARIABLE}={text!r} is malformed", hint="write name[:n]=kill|raise:ENOSPC|raise:EIO|sleep:seconds")
    if kind == "raise" and not hasattr(errno, argument):
        raise UsageError(f"{VARIABLE}: there is no system error named {argument!r}")
    return _Point(name, int(at or 0), kind, argument)


_points: list[_Point] = []


def arm(text: str | None) -> None:
    """Replace all failpoints of this process by those of `text`; None or "" disarms them.

    Raises `UsageError` for a malformed text.
    """
    _points[:] = [_parse(part) for part in (text or "").split(",") if part.strip()]


def failpoint(name: str) -> None:
    """A place where a test may kill the process, raise an `OSError` or sleep; does nothing otherwise."""
    if not _points:
        return
    for point in _points:
        if point.name not in (name, "any"):
            continue
        point.passes += 1
        if point.at in (0, point.passes):
            _fire(point, name)


def _fire(point: _Point, name: str) -> None:
    if point.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif point.action == "sleep":
        time.sleep(float(point.argument))
    else:
        code = getattr(errno, point.argument)
        raise OSError(code, f"{os.strerror(code)} (failpoint {name})")


arm(os.environ.get(VARIABLE))
