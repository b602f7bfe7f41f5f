"""Foreign text and numbers as people may see them: nothing that steers a terminal, a reader's eye or a browser."""

import difflib
import math
import unicodedata
from collections.abc import Iterable
from typing import Final

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories that show nothing but can steer: controls, direction overrides, lone surrogates, line separators."""
_STEPS: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def clean(value: object, limit: int = 200) -> str:
    r"""Text without anything invisible: such characters appear as ``\xNN`` or ``\uNNNN``; the middle goes beyond `limit`."""
    text = str(value)
    if not text.isascii() or not text.isprintable():
        text = "".join(c if unicodedata.category(c) not in _UNSEEN else _escaped(c) for c in text)
    if len(text) <= limit:
        return text
    head = (limit - 1) // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def number(value: float | None) -> str:
    """A number in at most about eight characters: four significant digits, whole numbers whole; – for no value."""
    if value is None or math.isnan(value):
        return "–"
    size = abs(value)
    for step, letter in _STEPS:
        if size >= step and math.isfinite(value):
            return f"{value / step:.4g}{letter}"
    if value == int(value) if math.isfinite(value) else False:
        return f"{int(value):,}"
    if 0 < size < 1e-4:
        return f"{value:.2g}"
    return f"{value:,.0f}" if size >= 10_000 else f"{value:.4g}"


def share(count: int, total: int) -> str:
    """A count as a percentage of a total: "0 %" and "100 %" only where they are exact."""
    if not total or count in (0, total):
        return "100 %" if count and count == total else "0 %"
    percent = 100 * count / total
    if percent < 0.1:
        return "<0.1 %"
    return f"{min(percent, 99.9):.1f} %" if percent < 10 or percent > 99 else f"{percent:.0f} %"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun in the right form: ``1 frame``, ``1,200 frames``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def fingerprint(value: int) -> str:
    """A 64-bit hash as 16 hex digits."""
    return f"{int(value) & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def spaced(name: str) -> str:
    """A column's name as words: ``low_information`` becomes ``low information``."""
    return name.replace("_", " ")


def close(name: str, known: Iterable[str]) -> str:
    """A did-you-mean sentence, empty when nothing is close."""
    matches = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(repr(m) for m in matches)}?" if matches else ""
