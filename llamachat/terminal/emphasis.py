"""Bold and italic beside Chinese, Japanese and Korean text, where no space stands around marks.

CommonMark asks for a space or a mark beside stars that follow or precede a mark: `**「強調」**です` would keep its
stars. Here a character of these scripts does as well as a space, and its marks are letters (commonmark-spec issue
650, and the amendment that is proposed there).
"""

from collections.abc import MutableMapping
from typing import Any
from unicodedata import east_asian_width

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline.state_inline import Scanned, StateInline
from markdown_it.token import Token


class EastAsianInline(ParserInline):
    """The inline parser with these rules."""

    def parse(
        self, src: str, md: MarkdownIt, env: MutableMapping[str, Any], tokens: list[Token]
    ) -> list[Token]:  # fmt: skip
        """The tokens of a text."""
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803
        found = super().scanDelims(start, canSplitWord)
        end = start + found.length
        last = self.src[start - 1] if start else " "
        following = self.src[end] if end < self.posMax else " "
        if not canSplitWord or not (_is_east_asian(last) or _is_east_asian(following)):
            return found
        opens = not isWhiteSpace(ord(following)) and (not _is_mark(following) or _parts(last))
        closes = not isWhiteSpace(ord(last)) and (not _is_mark(last) or _parts(following))
        return Scanned(opens, closes, found.length)


def _is_east_asian(character: str) -> bool:
    """Of these scripts; emoji are wide, too, and are marks."""
    return east_asian_width(character) in "WFH" and not 0x1F000 <= ord(character) < 0x20000


def _is_mark(character: str) -> bool:
    """A mark of other scripts."""
    return not _is_east_asian(character) and (isMdAsciiPunct(ord(character)) or isPunctChar(character))


def _parts(character: str) -> bool:
    """Whether stars beside a mark may stand beside this character."""
    return isWhiteSpace(ord(character)) or _is_mark(character) or _is_east_asian(character)
