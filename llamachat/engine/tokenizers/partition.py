"""A text cut at the texts of special tokens, before a family's algorithm sees the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# A piece of text, or the id of a special token.
Fragment = str | int


@dataclass(frozen=True)
class Special:
    """A special token: `strips_right` takes the white space after it too, `strips_left` that before it."""

    text: str
    id: int
    strips_left: bool = False
    strips_right: bool = False


def partition(text: str, specials: Sequence[Special]) -> list[Fragment]:
    """Fragments in order. `specials`: longest text first; a longer one is found before a shorter one anywhere."""
    fragments: list[Fragment] = [text] if text else []
    for special in specials:
        if special.text in text:
            fragments = [part for fragment in fragments for part in _cut(fragment, special)]
    return fragments


def _cut(fragment: Fragment, special: Special) -> Iterator[Fragment]:
    if isinstance(fragment, int):
        yield fragment
        return
    pieces = fragment.split(special.text)
    for i, piece in enumerate(pieces):
        if i:
            yield special.id
        if special.strips_right and i:
            piece = piece.lstrip()
        if special.strips_left and i < len(pieces) - 1:
            piece = piece.rstrip()
        if piece:
            yield piece
