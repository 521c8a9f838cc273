"""Texts cut by regular expressions with Unicode properties, at the speed of the standard library's `re`.

`re` knows no `\\p{...}`. So a text is first written in a small alphabet: ASCII stands for itself, every other character
for all characters that no part of the expression can tell from it (one letter for `\\p{Lu}`, one for `\\p{Nd}`, ...).
Both have the same length, so the cuts are at the same places. ASCII texts are cut as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

Ranges = tuple[tuple[int, int], ...]
"""Code points from the first of a pair to the second, both included."""

NAMED: dict[str, Ranges] = {
    "Han": (
        *((0x2E80, 0x2E99), (0x2E9B, 0x2EF3), (0x2F00, 0x2FD5), (0x3005, 0x3005), (0x3007, 0x3007), (0x3021, 0x3029)),
        *((0x3038, 0x303B), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFA6D), (0xFA70, 0xFAD9), (0x16FE2, 0x16FE3)),
        *((0x16FF0, 0x16FF1), (0x20000, 0x2A6DF), (0x2A700, 0x2EBE0), (0x2EBF0, 0x2EE5D), (0x2F800, 0x2FA1D)),
        *((0x30000, 0x323AF),),
    ),
    # Cased letters of alphabets that the long list of ranges of deepseek-llm leaves out.
    "Uncommon": (
        *((0x2D00, 0x2D2F), (0xA790, 0xA7FF), (0xAB30, 0xAB6F), (0x10570, 0x105BF), (0x16E40, 0x16E7F)),
        *((0x1D400, 0x1DFFF),),
    ),
}
"""Sets with a name: `\\p{Han}` is the set, `\\p{Lo-Han}` a category without it."""

_GROUPS = {"L": ("Lu", "Ll", "Lt", "Lm", "Lo"), "M": ("Mn", "Mc", "Me"), "N": ("Nd", "Nl", "No")}
_GROUPS |= {"P": ("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"), "S": ("Sm", "Sc", "Sk", "So")}
_SPACE = "space"
_NOTHING = "\uffff"
"""No letter of any alphabet: `re` knows no empty class."""

_SHORT = {r"\s": [_SPACE], r"\d": ["Nd"], r"\w": ["L", "M", "N", "Pc"]}
_ASCII_SPACES = " \t\n\v\f\r"
_SPACE_CATEGORIES = ("Zs", "Zl", "Zp")
_PART = re.compile(r"\\p\{[^}]+\}|\\.|.", re.DOTALL)

Kind = tuple[str, tuple[bool, ...]]
"""What an expression can tell of a character beyond ASCII: its category, and which sets it is in."""
Kinds = Mapping[str, Kind]


class Splitter:
    """One expression. `split` gives the matches and what lies between them, in order, nothing lost. For any threads."""

    def __init__(self, expression: str) -> None:
        self._parts = _parsed(expression)
        classes = [part for part in self._parts if isinstance(part, _Class)]
        self._sets = list(dict.fromkeys(one for each in classes for one in each.sets))
        self._alphabet = _Alphabet(self._sets)
        self._compiled = self._of(self._alphabet.kinds)

    def split(self, text: str) -> list[str]:
        """The pieces of a text, none of them empty."""
        if text.isascii():
            return [piece for piece in self._pattern().split(text) if piece]
        written = text.translate(self._alphabet)
        at, pieces = 0, []
        for piece in self._pattern().split(written):
            if piece:
                pieces.append(text[at : at + len(piece)])
                at += len(piece)
        return pieces

    def _pattern(self) -> re.Pattern[str]:
        """The expression in the alphabet as far as it is known; few texts bring a new letter."""
        compiled, kinds = self._compiled, self._alphabet.kinds
        if compiled[0] is not kinds:
            compiled = self._compiled = self._of(kinds)
        return compiled[1]

    def _of(self, kinds: Kinds) -> tuple[Kinds, re.Pattern[str]]:
        parts = [part if isinstance(part, str) else self._written(part, kinds) for part in self._parts]
        return kinds, re.compile(f"({''.join(parts)})")

    def _written(self, part: _Class, kinds: Kinds) -> str:
        """A class in the alphabet."""
        members = [*part.ascii, *(self._members(name, kinds) for name in part.properties)]
        members += [self._in_set(one, kinds) for one in part.ranges]
        return f"[{'^' if part.negated else ''}{''.join(members) or _NOTHING}]"

    def _members(self, name: str, kinds: Kinds) -> str:
        """The characters of a property, as they stand in a class."""
        if name in NAMED:
            return self._in_set(NAMED[name], kinds)
        category, _, without = name.partition("-")
        wanted = _GROUPS.get(category, (category,))
        found = [re.escape(chr(code)) for code in range(128) if _category(code) in wanted]
        index = self._sets.index(NAMED[without]) if without else None
        for letter, kind in kinds.items():
            if kind[0] in wanted and (index is None or not kind[1][index]):
                found.append(letter)
        return "".join(found)

    def _in_set(self, one: Ranges, kinds: Kinds) -> str:
        index = self._sets.index(one)
        return "".join(letter for letter, kind in kinds.items() if kind[1][index])


class _Alphabet(dict[int, int]):
    """Code point -> letter, found when a text brings it. kinds: letter -> what it stands for, never changed in place.

    Who finds a letter here finds it in `kinds`, whichever thread has brought it.
    """

    def __init__(self, sets: Sequence[Ranges]) -> None:
        super().__init__()
        self._sets = sets
        self._lock = Lock()
        self._letters: dict[Kind, str] = {}
        self.kinds: Kinds = {}

    def __missing__(self, code: int) -> int:
        if code < 128:
            self[code] = code
            return code
        kind = (_category(code), tuple(any(first <= code <= last for first, last in one) for one in self._sets))
        with self._lock:
            if kind not in self._letters:
                letter = chr(128 + len(self._letters))
                self.kinds = {**self.kinds, letter: kind}
                self._letters[kind] = letter
        self[code] = ord(self._letters[kind])
        return self[code]


def _category(code: int) -> str:
    """The general category; white space is a category of its own (the property White_Space)."""
    character = chr(code)
    if code < 128:
        return _SPACE if character in _ASCII_SPACES else unicodedata.category(character)
    category = unicodedata.category(character)
    return _SPACE if category in _SPACE_CATEGORIES or code == 0x85 else category


@dataclass
class _Class:
    """A class of characters: as it stands in an expression in brackets, or a property alone."""

    negated: bool = False
    ascii: list[str] = field(default_factory=list)
    properties: list[str] = field(default_factory=list)
    ranges: list[Ranges] = field(default_factory=list)

    @property
    def sets(self) -> list[Ranges]:
        """What must be told apart besides categories."""
        names = [name for each in self.properties for name in each.split("-")]
        return [*(NAMED[name] for name in names if name in NAMED), *self.ranges]


def _parsed(expression: str) -> list[str | _Class]:
    found: list[str | _Class] = []
    parts = _PART.findall(expression)
    while parts:
        part = parts.pop(0)
        if part == "[":
            end = parts.index("]")
            found.append(_class(parts[:end]))
            del parts[: end + 1]
        else:
            names = _properties(part.lower() if part == r"\S" else part)
            found.append(_Class(part == r"\S", properties=names) if names else part)
    return found


def _class(parts: list[str]) -> _Class:
    """The class between two brackets."""
    made = _Class(parts[:1] == ["^"])
    members = parts[1:] if made.negated else parts
    ranges = []
    while members:
        count = 3 if members[1:2] == ["-"] and len(members) > 2 else 1
        one, members = members[:count], members[count:]
        if names := _properties(one[0]):
            made.properties += names
        elif one[-1].isascii():
            made.ascii += one
        else:
            ranges.append((ord(one[0]), ord(one[-1])))
    made.ranges = [tuple(ranges)] if ranges else []
    return made


def _properties(part: str) -> list[str]:
    """The properties that a part of an expression stands for; none for other parts."""
    return _SHORT.get(part) or ([part[3:-1]] if part.startswith(r"\p") else [])


def threes(text: str) -> list[str]:
    """A number cut into groups of three from its end; other texts are one piece."""
    if not all(unicodedata.category(character)[0] == "N" for character in text):
        return [text]
    first = len(text) % 3
    return [*([text[:first]] if first else []), *(text[i : i + 3] for i in range(first, len(text), 3))]
