"""From a rendered conversation to tokens, so that nobody can end a turn by typing <|im_end|>."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol


class Encode(Protocol):
    """A tokenizer's `encode`."""

    def __call__(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """The ids of `text`."""
        ...


def encode_parts(parts: Sequence[tuple[str, bool]], encode: Encode, special_texts: Iterable[str]) -> list[int]:
    """The ids of the joined parts, where only what lies wholly in the template's parts (True) may be a special token.

    If no special text touches a person's part, these are the ids of the whole text with parse_special. Otherwise the
    text is cut at the template's special tokens, where a tokenizer cuts anyway, so that what a person typed is
    tokenised as it would be with those special tokens unknown; other boundaries between parts never change a token.
    special_texts: the texts of the tokenizer's control tokens. Nothing is added (no BOS).
    """
    text = "".join(part for part, _ in parts)
    present = sorted((one for one in special_texts if one and one in text), key=len, reverse=True)
    occurrences = list(_occurrences(text, present, _persons_spans(parts)))
    if all(own for _, _, own in occurrences):
        return encode(text, add_special=False, parse_special=True) if text else []
    ids: list[int] = []
    end = 0
    for start, stop, own in occurrences:
        if not own:
            continue
        if start > end:
            ids += encode(text[end:start], add_special=False, parse_special=False)
        ids += encode(text[start:stop], add_special=False, parse_special=True)
        end = stop
    return ids + (encode(text[end:], add_special=False, parse_special=False) if end < len(text) else [])


def _persons_spans(parts: Sequence[tuple[str, bool]]) -> Callable[[int, int], bool]:
    """A question: does a span of the joined text touch a person's part?"""
    owned = bytearray()
    for text, is_piece in parts:
        owned += (b"\0" if is_piece else b"\1") * len(text)
    return lambda start, stop: b"\1" in owned[start:stop]


def _occurrences(
    text: str, special_texts: Sequence[str], touches_person: Callable[[int, int], bool]
) -> Iterator[tuple[int, int, bool]]:
    """Special texts in order (start, stop, whether the template's own); longer ones first at each place.

    After one of a person's, the search continues at its second character: a true one may begin inside.
    """
    if not special_texts:
        return
    pattern = re.compile("|".join(map(re.escape, special_texts)))
    match = pattern.search(text)
    while match:
        own = not touches_person(*match.span())
        yield (*match.span(), own)
        match = pattern.search(text, match.end() if own else match.start() + 1)
