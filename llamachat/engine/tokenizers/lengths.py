"""How long the tokens are that a text may begin with."""

from __future__ import annotations

from collections.abc import Iterable


def lengths_by_beginning(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """First two characters -> lengths of the texts that begin so, the shortest first; 1 among them where it is one.

    A text of one character stands under it alone, and its length in all that begin with it.
    """
    found: dict[str, set[int]] = {}
    single = set()
    for text in texts:
        found.setdefault(text[:2], set()).add(len(text))
        if len(text) == 1:
            single.add(text)
    for beginning, lengths in found.items():
        if beginning[:1] in single:
            lengths.add(1)
    return {beginning: tuple(sorted(lengths)) for beginning, lengths in found.items()}
