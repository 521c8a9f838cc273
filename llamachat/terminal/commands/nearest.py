"""The known word nearest to a mistyped one."""

from collections.abc import Iterable

SHORT = 6
"""Words up to this length may differ by one slip, longer ones by two."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that differs least from `word`, or None where all differ by more than slips."""
    most = 1 if len(word) <= SHORT else 2
    found = min(((slips(word, one), one) for one in known), default=(most + 1, ""), key=lambda pair: pair[0])
    return found[1] if found[0] <= most else None


def slips(one: str, other: str) -> int:
    """How many letters were left out, put in, mistaken, or swapped with their neighbour."""
    before, row = [0] * (len(other) + 1), list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row, oldest = row, [i], before
        before = last
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], oldest[j - 2] + 1)
    return row[-1]
