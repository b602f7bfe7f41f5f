"""Detections from JSON text on CPU cores: parts of the file over threads, numbers rounded exactly without a parser's objects.

Decimal to double goes by the method of Eisel and Lemire (D. Lemire, Number parsing at a gigabyte per second, 2021): the digits
as an integer times a power of five of 128 bits. Whoever is not sure gives up: the caller then asks a parser.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

import math
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_quality.kernels.results import Results
from gpu_quality.kernels.threads import spread, threads

PART: Final = 1 << 20
"""Bytes of a part, at least: 3 ms or so."""
FARTHEST: Final = 27
"""Powers of ten beyond this are left to a parser; within, the 128 bits of the table always decide."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """5^q for q = -FARTHEST .. FARTHEST with the highest of 128 bits set: upper and lower half; negative powers rounded up."""
    values = []
    for q in range(-FARTHEST, FARTHEST + 1):
        five = 5 ** abs(q)
        if q < 0:
            values.append((1 << ((five - 1).bit_length() + 127)) // five + 1)
        else:
            values.append(five << (128 - five.bit_length()))
    low = (1 << 64) - 1
    return np.array([v >> 64 for v in values], np.uint64), np.array([v & low for v in values], np.uint64)


UPPER, LOWER = _powers()
"""Tables are constants of the compiled code, not arguments: every array that is passed on costs a count of its users."""
WORDS: Final = np.frombuffer(b"image_idcategory_idscorebboxtruenullfalse", np.uint8)
"""Names of fields, then words of JSON, one after another."""
TENS: Final = np.array([float(10**q) for q in range(23)])
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


@compiled
def product(a, b):
    """Upper and lower half of the product of two 64-bit numbers."""
    a1, a0, b1, b0 = a >> _HALF, a & _LOW, b >> _HALF, b & _LOW
    cross, other = a1 * b0, a0 * b1
    middle = ((a0 * b0) >> _HALF) + (cross & _LOW) + (other & _LOW)
    return a1 * b1 + (cross >> _HALF) + (other >> _HALF) + (middle >> _HALF), a * b


@compiled
def rounded(digits, q):
    """`digits` * 10^q as the nearest double, the even one of two; digits are not 0, q is within FARTHEST."""
    shift = np.uint64(0)
    while digits >> np.uint64(63) == np.uint64(0):
        digits <<= np.uint64(1)
        shift += np.uint64(1)
    high, low = product(digits, UPPER[q + FARTHEST])
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):  # the lower half of the power may carry into what is kept
        more, _ = product(digits, LOWER[q + FARTHEST])
        low += more
        if low < more:
            high += np.uint64(1)
    top = high >> np.uint64(63)
    cut = top + np.uint64(9)
    mantissa = high >> cut
    exponent = ((217706 * q) >> 16) + 1086 + np.int64(top) - np.int64(shift)  # 217706 / 2^16 = log2(10)
    if low <= np.uint64(1) and -4 <= q <= 23 and mantissa & np.uint64(3) == np.uint64(1) and mantissa << cut == high:
        mantissa &= ~np.uint64(1)  # exactly between two doubles
    mantissa = (mantissa + (mantissa & np.uint64(1))) >> np.uint64(1)
    return math.ldexp(np.float64(mantissa), exponent - 1075)


@compiled
def blank(text, at):
    """The next place that is no white space."""
    while at < len(text) and (text[at] == 32 or text[at] == 10 or text[at] == 13 or text[at] == 9):
        at += 1
    return at


@compiled
def read_digits(text, at, digits):
    """The place behind a run of digits, and the number they continue."""
    while at < len(text) and 48 <= text[at] <= 57:
        digits = digits * np.uint64(10) + np.uint64(text[at] - 48)
        at += 1
    return at, digits


@compiled
def leading_zeros(text, at):
    """How many digits of a number say nothing yet."""
    count = 0
    while at < len(text) and (text[at] == 48 or text[at] == 46):
        count += 1 if text[at] == 48 else 0
        at += 1
    return count


@compiled
def read_exponent(text, at):
    """The place behind an exponent that may be at `at` (-1: not sure), and the exponent."""
    if at >= len(text) or (text[at] != 101 and text[at] != 69):
        return at, 0
    at += 1
    sign = -1 if at < len(text) and text[at] == 45 else 1
    at += 1 if at < len(text) and (text[at] == 45 or text[at] == 43) else 0
    end, power = read_digits(text, at, np.uint64(0))
    return (end, sign * np.int64(power)) if 0 < end - at < 4 else (-1, 0)


@compiled
def read_number(text, at):
    """A number from place `at` on: where it ends (-1: not sure), the double, and the integer where it is written as one."""
    sign = -1 if at < len(text) and text[at] == 45 else 1
    first = at + 1 if sign < 0 else at
    at, digits = read_digits(text, first, np.uint64(0))
    count, q = at - first, 0
    if count == 0 or (count > 1 and text[first] == 48):
        return -1, 0.0, 0, False
    whole = at == len(text) or (text[at] != 46 and text[at] != 101 and text[at] != 69)
    if at < len(text) and text[at] == 46:
        start = at + 1
        at, digits = read_digits(text, start, digits)
        q = start - at
    if q == 0 and not whole and text[first + count] == 46:
        return -1, 0.0, 0, False
    at, power = read_exponent(text, at)
    many = count - q
    if at >= 0 and many > 18:
        many -= leading_zeros(text, first)
    q += power
    if at < 0 or many > 18 or abs(q) > FARTHEST:
        return -1, 0.0, 0, False
    if digits < np.uint64(1 << 53) and abs(q) <= 22:  # both are doubles: one operation rounds once
        found = np.float64(digits) / TENS[-q] if q < 0 else np.float64(digits) * TENS[q]
    else:
        found = rounded(digits, q)
    return at, sign * found, sign * np.int64(digits), whole


@compiled
def pass_text(text, at):
    """The place behind the closing quote of a text whose first letter is at `at`; -1 if it is not plain ASCII."""
    while at < len(text) and 32 <= text[at] <= 126 and text[at] != 92:
        if text[at] == 34:
            return at + 1
        at += 1
    return -1


@compiled
def same(text, at, begin, end):
    """Whether the letters from `at` on are those of a part of `word`."""
    if at + end - begin > len(text):
        return False
    for i in range(end - begin):  # noqa: SIM110 - compiled code knows no generators
        if text[at + i] != WORDS[begin + i]:
            return False
    return True


@compiled
def field(text, start, end):
    """Which of image_id 0, category_id 1, score 2, bbox 3 a name is; 4 any other. Told apart by length, then compared."""
    length = end - start
    if length == 8:
        return 0 if same(text, start, 0, 8) else 4
    if length == 11:
        return 1 if same(text, start, 8, 19) else 4
    if length == 5:
        return 2 if same(text, start, 19, 24) else 4
    return 3 if length == 4 and same(text, start, 24, 28) else 4


@compiled
def pass_value(text, at):
    """The place behind a text, number, true, false, null or list of numbers; -1 for anything else."""
    if at >= len(text):
        return -1
    if text[at] == 34:
        return pass_text(text, at + 1)
    if same(text, at, 28, 32) or same(text, at, 32, 36):
        return at + 4
    if same(text, at, 36, 41):
        return at + 5
    if text[at] == 91:
        at = blank(text, at + 1)
        if at < len(text) and text[at] == 93:
            return at + 1
        while True:
            at = read_number(text, blank(text, at))[0]
            at = blank(text, at) if at >= 0 else len(text)
            if at >= len(text) or (text[at] != 44 and text[at] != 93):
                return -1
            at += 1
            if text[at - 1] == 93:
                return at
    return read_number(text, at)[0]


@compiled
def read_box(text, at, row, box):
    """The place behind a list of four numbers, which go to a row of `box`; -1: not sure."""
    if at >= len(text) or text[at] != 91:
        return -1
    for i in range(4):
        at, found, _, _ = read_number(text, blank(text, at + 1))
        at = blank(text, at) if at >= 0 else len(text)
        if at >= len(text) or text[at] != (93 if i == 3 else 44):
            return -1
        box[row, i] = found
    return at + 1


@compiled
def read_object(text, at, row, ids, box, score):
    """The place behind an object with the four fields, which go to a row of the columns; -1: not sure."""
    seen = 0
    while True:
        at = blank(text, at)
        if at >= len(text) or text[at] != 34:
            return -1
        start = at + 1
        end = pass_text(text, start)
        at = blank(text, end) if end >= 0 else len(text)
        if at >= len(text) or text[at] != 58:
            return -1
        at = blank(text, at + 1)
        which = field(text, start, end - 1)
        if which < 3:
            at, found, number, whole = read_number(text, at)
            if at < 0 or (which < 2 and not whole):
                return -1
            if which < 2:
                ids[row, which] = number
            else:
                score[row] = found
        elif which == 3:
            at = read_box(text, at, row, box)
        else:
            at = pass_value(text, at)
        seen |= 1 << which
        at = blank(text, at) if at >= 0 else len(text)
        if at >= len(text) or (text[at] != 44 and text[at] != 125):
            return -1
        at += 1
        if text[at - 1] == 125:
            return at if seen & 15 == 15 else -1


@compiled
def read_part(text, ids, box, score):
    """Objects with commas between them, from the first place to the last: how many, -1: not sure."""
    at, count = blank(text, 0), 0
    while True:
        if at >= len(text) or text[at] != 123 or count == len(score):
            return -1
        at = read_object(text, at + 1, count, ids, box, score)
        if at < 0:
            return -1
        count += 1
        at = blank(text, at)
        if at == len(text):
            return count
        if text[at] != 44:
            return -1
        at = blank(text, at + 1)


SHORTEST: Final = len(b'{"image_id":1,"category_id":1,"score":1,"bbox":[1,1,1,1]},')


def _parts(text: bytes) -> list[tuple[int, int]]:
    """Parts of a list between its brackets, cut between objects: a wrong cut, inside a text, is no object in either part."""
    begin, end = text.find(b"[") + 1, text.rfind(b"]")
    size = max(PART, (end - begin) // (4 * threads()) + 1)
    cuts, at = [begin], begin + size
    while at < end:
        brace = text.find(b"}", at, end)
        comma = text.find(b",", brace, end) if brace >= 0 else -1
        if comma < 0 or text[brace + 1 : comma].strip(b" \t\r\n"):
            break
        cuts.append(comma + 1)
        at = comma + 1 + size
    return [(a, b - 1) for a, b in pairwise([*cuts, end + 1])]


def results(text: bytes) -> Results | None:
    """Columns of a list of detections; see ``kernels.results``."""
    bare = text[:64].lstrip(b" \t\r\n")[:1], text[-64:].rstrip(b" \t\r\n")[-1:]
    if bare != (b"[", b"]") or text.find(b"[") == text.rfind(b"]") - 1:
        return None
    letters = np.frombuffer(text, np.uint8)
    found: dict[int, tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None] = {}

    def work(part: tuple[int, int]) -> None:
        own = letters[part[0] : part[1]]
        room = len(own) // SHORTEST + 1
        ids, box, score = np.empty((room, 2), np.int64), np.empty((room, 4)), np.empty(room)
        count = read_part(own, ids, box, score)
        found[part[0]] = None if count < 0 else (ids[:count], box[:count], score[:count])

    spread(work, _parts(text))
    parts = [found[begin] for begin in sorted(found)]
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts):
        return None
    ids, box, score = (np.concatenate(column) for column in zip(*whole, strict=True))
    return Results(ids[:, 0].copy(), ids[:, 1].copy(), box, score)
