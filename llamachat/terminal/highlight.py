"""Code in colours, line by line as it comes, by pygments.

A line is coloured on its own, behind the line that opened the string or comment it stands in: so a line costs the same
wherever it stands, and a long docstring is a string to its end.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from llamachat.terminal.theme import RESET, look, painted

if TYPE_CHECKING:
    from pygments.lexer import Lexer

LONGEST = 2000
"""Characters of a line that is coloured; longer ones are data."""


class Highlighter:
    """Colours the lines of one piece of code. The lines have lost their control bytes before."""

    def __init__(self, language: str) -> None:
        self._lexer = _lexer(language)
        self._opening = ""
        self._looks: dict[Any, str] = {}

    def line(self, text: str) -> str:
        """The next line in colours."""
        shown, self._opening = self._coloured(text)
        return shown

    def preview(self, text: str) -> str:
        """The next line as far as it has come."""
        return self._coloured(text)[0]

    def _coloured(self, text: str) -> tuple[str, str]:
        """The line in colours, and the line that opened what is still open at its end."""
        text = text.rstrip()
        if self._lexer is None or len(text) > LONGEST:
            return painted(text, "code"), ""
        source = f"{self._opening}{text}\n"
        tokens = [(kind, value) for _, kind, value in self._lexer.get_tokens_unprocessed(source) if value]
        if "".join(value for _, value in tokens) != source:
            return text, ""
        is_open = _continues(*tokens[-1])
        tokens[-1] = (tokens[-1][0], tokens[-1][1][:-1])
        shown = "".join(self._painted(kind, value) for kind, value in _behind(tokens, len(self._opening)))
        return shown, (self._opening or f"{text}\n") if is_open else ""

    def _painted(self, kind: Any, value: str) -> str:
        """A token in the look of the nearest kind above it that has one."""
        if kind not in self._looks:
            roles, nearest = _roles(), kind
            while nearest is not None and nearest not in roles:
                nearest = nearest.parent
            self._looks[kind] = look(roles[nearest]) if nearest is not None else ""
        begun = self._looks[kind]
        return f"{begun}{value}{RESET}" if begun else value


def _behind(tokens: list[tuple[Any, str]], length: int) -> list[tuple[Any, str]]:
    """The tokens without the first `length` characters."""
    found = []
    for kind, value in tokens:
        n_before = min(length, len(value))
        length -= n_before
        if value[n_before:]:
            found.append((kind, value[n_before:]))
    return found


def _continues(kind: Any, value: str) -> bool:
    """Whether a token that ends with a line continues in the next: a string, or a comment that is not of one line."""
    from pygments.token import Comment, String

    return value.endswith("\n") and (kind in String or kind in (Comment, Comment.Multiline))


@cache
def _lexer(language: str) -> "Lexer | None":
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=True) if language else None
    except ClassNotFound:
        return None


@cache
def _roles() -> dict[Any, str]:
    from pygments.token import Comment, Generic, Keyword, Name, Number, Operator, String

    return {
        Comment: "comment",
        Comment.Preproc: "name",
        Keyword: "keyword",
        Operator.Word: "keyword",
        Name.Tag: "keyword",
        Name.Builtin: "name",
        Name.Class: "name",
        Name.Decorator: "name",
        Name.Function: "name",
        Number: "number",
        String: "text",
        Generic.Deleted: "wrong",
        Generic.Heading: "strong",
        Generic.Inserted: "text",
        Generic.Subheading: "strong",
    }
