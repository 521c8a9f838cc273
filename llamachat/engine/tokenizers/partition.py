"""A text cut at the texts of special tokens, before a family's algorithm sees the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llamachat.engine.tokenizers.vocabulary import Keys

# A piece of text, or the id of a special token.
Fragment = str | int

# What special tokens may take with them: C's isspace, not Unicode's.
SPACES = " \t\n\v\f\r"

_BEGINNING = 4


@dataclass(frozen=True)
class Special:
    """A special token: `strips_right` takes the white space after it too, `strips_left` that before it."""

    text: str
    id: int
    strips_left: bool = False
    strips_right: bool = False


class Specials:
    """The special tokens of a vocabulary, by the beginnings of their texts: there may be thousands of `<unused99>`."""

    def __init__(self, specials: Sequence[Special]) -> None:
        self._groups: dict[str, list[int]] = {}
        self._specials = specials
        for i, special in enumerate(specials):
            self._groups.setdefault(special.text[:_BEGINNING], []).append(i)

    def beginning_in(self, text: str) -> list[Special]:
        """Those whose beginning the text has, in their order."""
        present = [i for beginning, group in self._groups.items() if beginning in text for i in group]
        return [self._specials[i] for i in sorted(present)]


@dataclass(frozen=True)
class Stripping:
    """Which special texts take white space with them. right: `all_right` but these, else none."""

    left: frozenset[str] = frozenset()
    all_right: bool = False
    keeps_right: frozenset[str] = frozenset()

    def special(self, text: str, token: int) -> Special:
        """The special token of that text."""
        return Special(text, token, text in self.left, self.all_right and text not in self.keeps_right)


def read_stripping(keys: Keys) -> Stripping:
    """A file does not say it: it hangs on the names of models and pre-tokenizers, as in llama.cpp."""
    name = keys.general_name()
    if keys.text("pre") in ("jina-v2-de", "jina-v2-es", "jina-v2-code"):
        return Stripping(left=frozenset(("<mask>",)))
    if "phi-3" in name or "phi3" in name:
        return Stripping(all_right=True, keeps_right=frozenset(("<unk>", "<s>", "<|endoftext|>")))
    return Stripping(left=frozenset(("[MASK]",))) if "modern-bert" in name else Stripping()


def partition(text: str, specials: Sequence[Special]) -> list[Fragment]:
    """Fragments in order. `specials`: longest text first; a longer one is found before a shorter one anywhere.

    Each search runs over the whole text and passes over what is taken, so that many different specials in one text cost
    the sum of their searches and not its square.
    """
    taken = bytearray(len(text))
    found: list[tuple[int, int, int]] = []
    for special in [one for one in specials if one.text in text]:
        start = text.find(special.text)
        while start >= 0:
            end = start + len(special.text)
            blocked = taken.rfind(1, start, end)
            if blocked >= 0:
                free = taken.find(0, blocked)
                start = text.find(special.text, free) if free >= 0 else -1
                continue
            first, last = _with_spaces(text, taken, start, end, special)
            taken[first:last] = b"\1" * (last - first)
            found.append((first, last, special.id))
            start = text.find(special.text, last)
    return list(_fragments(text, sorted(found)))


def _with_spaces(text: str, taken: bytearray, start: int, end: int, special: Special) -> tuple[int, int]:
    """The span that a special token takes: its text, and the free white space beside it if it strips."""
    while special.strips_left and start > 0 and text[start - 1] in SPACES and not taken[start - 1]:
        start -= 1
    while special.strips_right and end < len(text) and text[end] in SPACES and not taken[end]:
        end += 1
    return start, end


def _fragments(text: str, found: Iterable[tuple[int, int, int]]) -> Iterable[Fragment]:
    at = 0
    for first, last, token in found:
        if first > at:
            yield text[at:first]
        yield token
        at = last
    if at < len(text):
        yield text[at:]
