"""The inside of a paragraph, heading or cell as spans: tokens of Markdown in the looks of the theme."""

import re
from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from llamachat.terminal.formulas import FORMULA
from llamachat.terminal.links import addresses_in, link_to
from llamachat.terminal.sanitize import clean
from llamachat.terminal.spans import Span
from llamachat.terminal.theme import has_colours, look

ROLES = {"strong": "strong", "em": "emphasis", "s": "struck"}
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def spans_of(tokens: Sequence[Token], base: str = "") -> list[Span]:
    """The spans of inline tokens, without control bytes. base: the look that all of them have."""
    return [span for span in _Inside(base).of(tokens) if span.text]


class _Inside:
    """Where in the text: between which marks, in which link."""

    def __init__(self, base: str) -> None:
        self._looks = [base]
        self._links: list[str] = []
        self._said: list[str] = []

    def of(self, tokens: Sequence[Token]) -> Iterator[Span]:
        """The spans of the tokens."""
        for token in tokens:
            kind, _, edge = token.type.rpartition("_")
            if kind in ROLES:
                self._enter(look(ROLES[kind])) if edge == "open" else self._looks.pop()
            elif token.type == "link_open":
                self._links.append("" if token.markup == "autolink" else clean(str(token.attrs.get("href", ""))))
                self._said.append("")
                self._enter("" if token.markup == "autolink" else look("link"))
            elif token.type == "link_close":
                self._looks.pop()
                yield from self._behind(self._links.pop(), self._said.pop())
            else:
                yield from self._text(token)

    def _enter(self, more: str) -> None:
        self._looks.append(self._looks[-1] + more)

    def _text(self, token: Token) -> Iterator[Span]:
        content = clean(token.content)
        here = self._looks[-1]
        self._said = [said + content for said in self._said]
        if token.type in ("softbreak", "hardbreak"):
            yield Span("\n", here)
        elif token.type == "code_inline":
            yield Span(content if has_colours() else f"`{content}`", here + look("code"))
        elif token.type == "image":
            yield from self._addressed(f"{content} ({clean(str(token.attrs.get('src', '')))})".lstrip(), here)
        elif token.type == FORMULA:
            yield Span(content, here)
        elif self._links and self._links[-1]:
            yield Span(BREAK.sub("\n", content), here, link_to(self._links[-1]))
        else:
            yield from self._addressed(BREAK.sub("\n", content), here)

    def _addressed(self, text: str, here: str) -> Iterator[Span]:
        """Running text; the addresses in it are links, and stay in one piece."""
        at = 0
        for begun, end in addresses_in(text):
            yield Span(text[at:begun], here)
            yield Span(text[begun:end], here, link_to(text[begun:end]), whole=True)
            at = end
        yield Span(text[at:], here)

    def _behind(self, address: str, said: str) -> Iterator[Span]:
        """The address of a link, so that nobody is led where it does not say; not where the text is the address."""
        if address and address != said:
            here = self._looks[-1]
            yield Span(" (", here)
            yield Span(address, here + look("quiet"), link_to(address), whole=True)
            yield Span(")", here)
