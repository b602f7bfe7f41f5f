"""Axes of a drawing: from where to where, evenly or by powers of ten, and where the ticks are."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.api.scatter import powers

Floats = NDArray[np.float64]
SPARE: Final = 0.03
"""Share of the range that is left free at both ends."""
_STEPS: Final = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a value lies between the ends of an axis."""

    low: float
    high: float
    """Ends of the axis; of a logarithmic one their places (`api.scatter.powers`)."""
    log: bool
    near: float = 0.0
    """Size up to which a logarithmic axis is even; 0 for positive values only."""

    def unit(self, values: Floats) -> Floats:
        """Place of values along the axis, 0..1."""
        inner = powers(values, self.near) if self.log else values
        return (inner - self.low) / (self.high - self.low)

    def value(self, unit: Floats) -> Floats:
        """The values at places 0..1 along the axis."""
        inner = self.low + unit * (self.high - self.low)
        if self.near:
            return np.asarray(np.sign(inner) * self.near * (np.power(10.0, np.abs(inner)) - 1))
        return np.power(10.0, inner) if self.log else inner

    def ticks(self, most: int) -> list[float]:
        """Round values on the axis, about `most` of them."""
        if not self.log:
            return _round(self.low, self.high, most)
        if self.near:
            return self._around(most)
        first, last = math.ceil(self.low), math.floor(self.high)
        every = max(1, math.ceil((last - first + 1) / most))
        powers = [10.0**exponent for exponent in range(first, last + 1, every)]
        if len(powers) >= 3:
            return powers
        return [v for v in (10.0**e * s for e in range(first - 1, last + 1) for s in (1, 2, 5)) if self.holds(v)]

    def holds(self, value: float) -> bool:
        """Whether a value is on the axis."""
        return 0 <= float(self.unit(np.array([value]))[0]) <= 1

    def _around(self, most: int) -> list[float]:
        """0, and powers of ten on both sides of it."""
        ends = self.value(np.array([0.0, 1.0]))
        first, last = round(math.log10(self.near)) + 1, math.floor(math.log10(np.abs(ends).max()))
        on_both = min(-self.low, self.high) > max(-self.low, self.high) / 5
        every = max(1, math.ceil((2 if on_both else 1) * (last - first + 1) / max(most - 1, 1)))
        steps = [10.0**exponent for exponent in range(last, first - 1, -every)]
        return [value for value in (*(-step for step in steps), 0.0, *reversed(steps)) if self.holds(value)]


def scale_of(values: Floats, *, log: bool, near: float = 0.0) -> Scale:
    """An axis that holds all values, which are finite, and positive where it is logarithmic without `near`."""
    if not len(values):
        return Scale(0.0, 1.0, log=False)
    low, high = float(values.min()), float(values.max())
    if log:
        low, high = powers(np.array([low, high]), near).tolist()
    free = (high - low) * SPARE or abs(low) * 0.1 or 0.5
    return Scale(low - free, high + free, log=log, near=near)


def _round(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * s for s in _STEPS if power * s >= rough * 0.999)
    first, last = math.ceil(low / step), math.floor(high / step)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(place * step, digits) + 0.0 for place in range(first, last + 1)]


def told(ticks: list[float]) -> list[str]:
    """Ticks as short texts, of as many digits as tell them apart."""
    texts: list[str] = []
    for digits in range(4, 16):
        texts = [shown(value, digits) for value in ticks]
        if len(set(texts)) == len(set(ticks)):
            break
    return texts


def shown(value: float, digits: int = 4) -> str:
    """A tick as short text: 12k, 0.05, 3M."""
    size = abs(value)
    for step, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= step * (10 if letter == "k" else 1):
            return f"{value / step:.{digits}g}{letter}"
    return f"{value:.{digits}g}"
