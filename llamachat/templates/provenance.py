"""Which characters of a rendered conversation are a person's, and which are the template's own.

A template is a program: it may trim, split or drop what it is given, so a person's text cannot be found afterwards by
searching (`user` occurs in any chat). Instead the conversation is rendered a second time with every character of it
replaced by one of Unicode's private planes, at its own code point plus a constant. White space and what JSON escapes
stay, so that trimming and `tojson` do the same. If the result, moved back, is the first rendering, then every moved
character in it is a person's, exactly.

A template that looks into the text (`'</think>' in message.content`) would render something else; then those of its
string literals that occur in the text are left as they are, and count as a person's wherever they appear.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from llamachat.errors import LlamaChatError

SHIFT = 0xF0000
"""Planes 0 and 1 (all that special tokens are written in, and emoji) are moved to planes 15 and 16."""

STRUCTURAL = frozenset({"role", "type", "id", "tool_call_id"})
"""Keys whose values steer a template instead of being printed as text."""

NEUTRAL = r"[\s\"\\\x00-\x1f\x7f\U00020000-\U000EFFFF]"
"""Characters that are not moved."""

MAX_LITERALS = 64

Parts = list[tuple[str, bool]]
"""Texts that joined are the rendering; True marks the template's own."""


class _Moved(dict[int, int]):
    """A table for `str.translate`, filled as it is used."""

    def __missing__(self, code: int) -> int:
        fixed = code >= 2 * 0x10000 or re.fullmatch(NEUTRAL, chr(code)) is not None
        self[code] = code if fixed else code + SHIFT
        return self[code]


_MOVED = _Moved()
_MOVED_BACK = re.compile("[\U000f0000-\U0010ffff]")


def split_by_origin(
    render: Callable[[Any], str], conversation: Any, literals: Iterable[str], special_texts: Iterable[str]
) -> Parts:
    """The rendering of `conversation` in parts, each a person's text (False) or the template's (True).

    render: from a conversation (nested dicts and lists; every string in it but roles and types is a person's) to text.
    literals: the template's own strings. special_texts: needed only for templates that change what they print (upper
    case, say); of those every special text that occurs in the conversation counts as a person's wherever it appears,
    and without special_texts everything does. Raises what `render` raises.
    """
    plain = render(conversation)
    texts = list(_texts(conversation))
    looked_for = [one for one in dict.fromkeys(literals) if re.sub(NEUTRAL, "", one) and any(one in t for t in texts)]
    marking = _least_kept(render, conversation, plain, looked_for[:MAX_LITERALS])
    if marking is None:
        return _by_special_text(plain, texts, list(special_texts))
    marked, kept = marking
    unit = "|".join(["[\U000f0000-\U0010ffff]", *map(re.escape, sorted(kept, key=len, reverse=True))])
    return _parts(plain, re.finditer(f"(?:{unit})(?:{NEUTRAL}*(?:{unit}))*", marked))


def _least_kept(
    render: Callable[[Any], str], conversation: Any, plain: str, looked_for: Sequence[str]
) -> tuple[str, list[str]] | None:
    """A rendering of the moved conversation that agrees with `plain`, and the few literals it took; or None."""
    for kept in ([], list(looked_for)):
        marked = _marked(render, conversation, kept, plain)
        if marked is not None:
            break
    else:
        return None
    for literal in tuple(kept):
        fewer = [one for one in kept if one != literal]
        attempt = _marked(render, conversation, fewer, plain)
        if attempt is not None:
            marked, kept = attempt, fewer
    return marked, kept


def _marked(render: Callable[[Any], str], conversation: Any, kept: Sequence[str], plain: str) -> str | None:
    try:
        marked = render(_moved(conversation, kept))
    except LlamaChatError:
        return None
    return marked if _MOVED_BACK.sub(lambda match: chr(ord(match[0]) - SHIFT), marked) == plain else None


def _moved(value: Any, kept: Sequence[str]) -> Any:
    """`value` with the characters of its texts moved, except within `kept` literals."""
    if isinstance(value, str):
        if not kept:
            return value.translate(_MOVED)
        pieces = re.split(f"({'|'.join(map(re.escape, sorted(kept, key=len, reverse=True)))})", value)
        return "".join(piece if index % 2 else piece.translate(_MOVED) for index, piece in enumerate(pieces))
    if isinstance(value, Mapping):
        return {key: item if key in STRUCTURAL else _moved(item, kept) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(item, kept) for item in value]
    return value


def _texts(value: Any) -> Iterable[str]:
    """Every text of `value` that `_moved` would move."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in STRUCTURAL:
                yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _by_special_text(plain: str, texts: Sequence[str], special_texts: Sequence[str]) -> Parts:
    """The way for templates that change what they print, where no character can be followed."""
    if not special_texts:
        return [(plain, False)] if plain else []
    given = "".join(texts).casefold() + "".join(text.strip() for text in texts).casefold()
    typed = sorted((one for one in special_texts if one and one.casefold() in given), key=len, reverse=True)
    return _parts(plain, re.finditer("|".join(map(re.escape, typed)), plain) if typed else ())


def _parts(plain: str, persons: Iterable[re.Match[str]]) -> Parts:
    parts: Parts = []
    end = 0
    for match in persons:
        parts += [(plain[end : match.start()], True), (plain[match.start() : match.end()], False)]
        end = match.end()
    parts.append((plain[end:], True))
    return [part for part in parts if part[0]]
