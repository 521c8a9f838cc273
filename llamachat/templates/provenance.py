"""Which characters of a rendered conversation are a person's, and which are the template's own.

A template is a program: it may trim, split or drop what it is given, so a person's text cannot be found afterwards by
searching (`user` occurs in any chat). Instead the conversation is rendered a second time with every character of it
replaced by another one: Chinese ones that occur nowhere in it, in the order of the characters that they stand for.
White space, quotes and what is not printed stay, so that trimming, JSON and Python's notation do the same. The same
text is replaced alike wherever it stands, as a key or as a value, so that what is looked up in the data is found. If
the result, put back, is the first rendering, then every replaced character in it is a person's, exactly.

A template that looks into the text (`'</think>' in message.content`) would render something else; then those of its
string literals that occur in the text are left as they are, and count as a person's wherever they appear.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from llamachat.errors import LlamaChatError
from llamachat.templates.places import Rewriting, texts_of

STAND_INS = range(0x20000, 0x2A6E0)
"""Characters that are printed, are neither white space nor cased, and occur in few texts: CJK extension B."""

NEUTRAL = frozenset("\"'\\")
"""Printed characters that are not replaced: what JSON and Python escape."""

MAX_LITERALS = 64
MAX_SINGLE = 4
"""This many literals are tried alone first: what is kept is sorted elsewhere than what is replaced."""

Order = Callable[[str], tuple[str, str]]
ORDERS: tuple[Order, ...] = (lambda char: (char.lower(), char), lambda char: (char, char))
"""How templates sort: with capital letters beside the small ones, or by code point."""

Parts = list[tuple[str, bool]]
"""Texts that joined are the rendering; True marks the template's own."""


@dataclass(frozen=True)
class Source:
    """What is known of a template. render: from a conversation (nested dicts and lists) to text. literals: its own
    strings; names: what it looks up; special_texts: the texts of the tokenizer's control tokens.
    """

    render: Callable[[Any], str]
    literals: Iterable[str] = ()
    names: frozenset[str] = frozenset()
    special_texts: Iterable[str] = ()


@dataclass(frozen=True)
class _StandIns:
    """Characters and what stands for them."""

    table: dict[int, int]

    @classmethod
    def for_texts(cls, texts: Sequence[str], plain: str, order: Order) -> "_StandIns | None":
        """For all characters of the texts that can be replaced; None where there are not enough that occur nowhere.

        They follow one another as the characters do in an order, so that what a template sorts is sorted alike.
        """
        used = set().union(*texts)
        taken = {ord(char) for char in used | set(plain) if ord(char) >= STAND_INS.start}
        wanted = [ord(char) for char in sorted(used, key=order) if _is_replaced(char)]
        free = [code for code in STAND_INS if code not in taken] if taken else STAND_INS
        return cls(dict(zip(wanted, free, strict=False))) if len(wanted) <= len(free) else None

    @property
    def unit(self) -> str:
        """A pattern of one of them."""
        codes = sorted(self.table.values())
        if not codes:
            return "(?!)"
        if codes[-1] - codes[0] == len(codes) - 1:
            return f"[{chr(codes[0])}-{chr(codes[-1])}]"
        return f"[{''.join(map(chr, codes))}]"

    def put_back(self, text: str) -> str:
        """The text with the characters that they stand for."""
        return text.translate({stand_in: code for code, stand_in in self.table.items()})


def split_by_origin(source: Source, conversation: Mapping[str, Any]) -> Parts:
    """The rendering of `conversation` in parts, each a person's text (False) or the template's (True).

    Every string in the conversation but roles, types and the keys that a template looks up is a person's. Where no
    character can be followed (templates that change what they print: upper case, say) every special text that occurs
    in the conversation counts as a person's wherever it appears, and without special texts everything does.
    Raises what `render` raises.
    """
    plain = source.render(conversation)
    special_texts = list(source.special_texts)
    marking = _Marking(source, conversation, plain)
    for followed in (tuple(conversation), ("messages",)):
        rest = {key: value for key, value in conversation.items() if key not in followed and value}
        if rest and not special_texts:
            break
        found = marking.spans(followed)
        if found is None:
            continue
        typed = _typed(texts_of(rest, source.names), special_texts)
        return _parts(plain, sorted([*found, *_spans(typed, plain)]))
    if not special_texts:
        return [(plain, False)] if plain else []
    return _parts(plain, _spans(_typed(texts_of(conversation, source.names), special_texts), plain))


class _Marking:
    """Renderings of one conversation with stand-ins."""

    def __init__(self, source: Source, conversation: Mapping[str, Any], plain: str) -> None:
        self._source, self._conversation, self._plain = source, conversation, plain

    def spans(self, followed: Sequence[str]) -> list[tuple[int, int]] | None:
        """Where the rendering has characters of these parts of the conversation; None where that cannot be said."""
        given = {key: self._conversation[key] for key in followed}
        texts = texts_of(given, self._source.names)
        whole = set(texts)
        looked_for = [one for one in dict.fromkeys(self._source.literals)
                      if any(map(_is_replaced, one)) and any(one in text for text in whole)]  # fmt: skip
        looked_for += sorted((self._source.names & whole).difference(looked_for))
        looked_for.sort(key=lambda one: one not in whole)
        orders = [_StandIns.for_texts(texts, self._plain, order) for order in ORDERS]
        found = self._least_kept(given, [one for one in orders if one is not None], looked_for[:MAX_LITERALS])
        if found is None:
            return None
        marked, kept, stand_ins = found
        unit = "|".join([stand_ins.unit, *map(re.escape, sorted(kept, key=len, reverse=True))])
        between = re.escape("".join(sorted(char for char in set().union(*texts) if not _is_replaced(char))))
        return [match.span() for match in re.finditer(f"(?:{unit})(?:[\\s\"'\\\\{between}]*(?:{unit}))*", marked)]

    def _least_kept(
        self, given: Mapping[str, Any], orders: Sequence[_StandIns], looked_for: Sequence[str]
    ) -> tuple[str, list[str], _StandIns] | None:
        """A marked rendering that agrees with the plain one, the few literals it took, and the stand-ins; or None."""
        single = [[one] for one in looked_for[:MAX_SINGLE]]
        tried = [[], *single, *([list(looked_for)] if len(looked_for) > 1 else [])]
        for kept, stand_ins in product(tried, orders):
            marked = self._marked(given, stand_ins, kept)
            if marked is not None:
                break
        else:
            return None
        size = len(kept)
        while size := size // 2 if size > 1 else 0:  # halves, quarters ... are left out
            for start in reversed(range(0, len(kept), size)):
                fewer = kept[:start] + kept[start + size :]
                attempt = self._marked(given, stand_ins, fewer)
                if attempt is not None:
                    marked, kept = attempt, fewer
        return marked, kept, stand_ins

    def _marked(self, given: Mapping[str, Any], stand_ins: _StandIns, kept: Sequence[str]) -> str | None:
        rewriting = Rewriting(_replacing(stand_ins.table, kept), self._source.names)
        try:
            marked = self._source.render({**self._conversation, **rewriting.parts(given)})
        except LlamaChatError:
            return None
        return marked if stand_ins.put_back(marked) == self._plain else None


def _replacing(table: dict[int, int], kept: Sequence[str]) -> Callable[[str], str]:
    """What becomes of a text, where the `kept` literals stay."""
    if not kept:
        return lambda text: text.translate(table)
    pattern = re.compile(f"({'|'.join(map(re.escape, sorted(kept, key=len, reverse=True)))})")
    return lambda text: "".join(
        piece if index % 2 else piece.translate(table) for index, piece in enumerate(pattern.split(text))
    )


def _is_replaced(char: str) -> bool:
    return char.isprintable() and not char.isspace() and char not in NEUTRAL


def _typed(texts: Iterable[str], special_texts: Sequence[str]) -> list[str]:
    """The special texts that occur in texts, in capital letters or not, and where texts are joined."""
    texts = list(texts)
    given = "".join(texts).casefold() + "".join(text.strip() for text in texts).casefold()
    return [one for one in special_texts if one and one.casefold() in given]


def _spans(typed: Sequence[str], plain: str) -> list[tuple[int, int]]:
    """Where these texts stand in a rendering."""
    pattern = "|".join(map(re.escape, sorted(typed, key=len, reverse=True)))
    return [match.span() for match in re.finditer(pattern, plain)] if typed else []


def _parts(plain: str, persons: Iterable[tuple[int, int]]) -> Parts:
    parts: Parts = []
    end = 0
    for start, stop in persons:
        parts += [(plain[end : max(start, end)], True), (plain[max(start, end) : max(stop, end)], False)]
        end = max(stop, end)
    parts.append((plain[end:], True))
    return [part for part in parts if part[0]]
