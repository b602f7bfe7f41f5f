"""Duplicates by plain loops: similarities of every pair, groups around leaders, and partners on other sides."""

import math


def bits_of(code: int) -> list[list[bool]]:
    """The 64 bits of a hash as 8 rows, the first bit most significant."""
    return [[bool(code >> (63 - 8 * row - column) & 1) for column in range(8)] for row in range(8)]


def flipped(bits: list[list[bool]], kind: str, *, across: bool, down: bool) -> list[list[bool]]:
    """The bits that a flipped picture has."""
    out = [[False] * 8 for _ in range(8)]
    for row in range(8):
        for column in range(8):
            if kind == "phash":  # odd frequencies change their sign
                turned = (across and column % 2 == 1) != (down and row % 2 == 1)
                out[row][column] = bits[row][column] != turned
            else:  # what grew from left to right falls from right to left
                value = bits[7 - row if down else row][7 - column if across else column]
                out[row][column] = value != across
    return out


def differing(a: list[list[bool]], b: list[list[bool]]) -> int:
    """Number of places in which two hashes differ."""
    return sum(x != y for row, other in zip(a, b, strict=True) for x, y in zip(row, other, strict=True))


def similarity(a: dict[str, int], b: dict[str, int]) -> float:
    """Share of equal bits under the best flip or turn; `a` and `b` hold some of phash, dhash, phash_d4, dhash_d4."""
    ways = []
    flips = [name for name in ("phash", "dhash") if name in a]
    turns = [name for name in ("phash_d4", "dhash_d4") if name in a]
    for across in (False, True) if flips else ():
        for down in (False, True):
            parts = [differing(bits_of(a[n]), flipped(bits_of(b[n]), n, across=across, down=down)) for n in flips]
            ways.append(sum(parts) / (64 * len(parts)))
    if turns:
        ways.append(sum(differing(bits_of(a[n]), bits_of(b[n])) for n in turns) / (64 * len(turns)))
    return 1 - min(ways)


def cosine(a: list[float], b: list[float]) -> float:
    """The cosine of two vectors; NaN where one has no direction."""
    length = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    if not math.isfinite(length) or length == 0:
        return math.nan
    return sum(x * y for x, y in zip(a, b, strict=True)) / length


def stars(n: int, strength: dict[tuple[int, int], float]) -> list[int]:
    """Leaders: most partners first; then every other row joins its most similar leader, the lowest of equals."""
    partners = {row: {b if a == row else a for a, b in strength if row in (a, b)} for row in range(n)}
    free, leaders = set(range(n)), []
    for row in sorted(range(n), key=lambda row: (-len(partners[row]), row)):
        if row in free:
            leaders.append(row)
            free -= partners[row] | {row}
    found = list(range(n))
    for row in set(range(n)) - set(leaders):
        theirs = [lead for lead in leaders if lead in partners[row]]
        found[row] = min(theirs, key=lambda lead: (-strength[min(row, lead), max(row, lead)], lead))
    return found


def leaks(n: int, side: list[int], strength: dict[tuple[int, int], float]) -> set[tuple[int, int]]:
    """Every frame with its most similar partner on each other side, the lowest of equals; pairs in order of sides."""
    found = set()
    for row in range(n):
        for other in set(side) - {side[row], -1} if side[row] >= 0 else ():
            pairs = {(min(row, b), max(row, b)): b for b in range(n) if side[b] == other}
            there = [(-strength[pair], b) for pair, b in pairs.items() if pair in strength]
            if there:
                best = min(there)[1]
                found.add((row, best) if side[row] < side[best] else (best, row))
    return found
