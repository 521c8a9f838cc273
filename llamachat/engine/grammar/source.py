"""A grammar as a person gives it, checked: a record that can be kept in options, compared, hashed and pickled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from llamachat.engine.grammar.checks import check_grammar
from llamachat.engine.grammar.constraint import Constraint
from llamachat.engine.grammar.gbnf import parse_gbnf
from llamachat.engine.grammar.json_schema import schema_grammar
from llamachat.engine.grammar.lark import lark
from llamachat.engine.grammar.lexemes import read_lexemes
from llamachat.engine.grammar.vocabulary import VocabularyBytes, byte_tree, compiled, token_tree
from llamachat.errors import GrammarError, UsageError
from llamachat.files import read_at_most

Kind = Literal["gbnf", "json-schema"]

ANY_JSON = "{}"
"""The schema of every JSON value."""

LARGEST_FILE = 4_000_000
_BARE_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class GrammarSource:
    """A grammar in GBNF, or a JSON schema; name: what errors call it, an option or a file.

    Raises UsageError when made from a text that is no grammar or no schema, or one that cannot be obeyed exactly.
    """

    kind: Kind
    text: str
    name: str = "grammar"

    def __post_init__(self) -> None:
        _translated(self)

    @classmethod
    def gbnf(cls, text: str, name: str = "grammar") -> GrammarSource:
        """A grammar from its text, or one of those that come along from its name (`builtin_names`)."""
        if not _BARE_NAME.fullmatch(text.strip()):
            return cls("gbnf", text, name)
        known = builtin_names()
        if text.strip() not in known:
            close = get_close_matches(text.strip(), known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise UsageError(f"{name}: there is no grammar named {text.strip()!r:.60}; {hint}")
        return cls("gbnf", _builtin_folder().joinpath(f"{text.strip()}.gbnf").read_text("utf-8"), text.strip())

    @classmethod
    def json_schema(cls, text: str = ANY_JSON, name: str = "schema") -> GrammarSource:
        """The JSON texts that a schema admits; without one, every JSON value."""
        return cls("json-schema", text, name)

    @classmethod
    def of_file(cls, kind: Kind, path: Path) -> GrammarSource:
        """A grammar or schema from a file of UTF-8 text. Raises UsageError if it cannot be read."""
        return cls(kind, _read(path), path.name)

    def constraint(self, vocabulary: VocabularyBytes) -> Constraint:
        """A sampler stage that keeps a text inside the grammar, asleep until its `begin`.

        The first call with a vocabulary prepares it (see `vocabulary.py`), the others share that; each call compiles
        the grammar (1 to 3 ms). Raises GrammarError where it is too complex for llguidance with this vocabulary.
        """
        tokens = token_tree(vocabulary)
        return Constraint(tokens, compiled(tokens, _translated(self), f"{self.name} cannot be used", GrammarError))


@lru_cache(maxsize=16)
def _translated(source: GrammarSource) -> str:
    """The source in llguidance's notation, which has been compiled once to see that it can be. Raises UsageError."""
    if source.kind == "json-schema":
        return schema_grammar(source.text, source.name).text
    if source.kind != "gbnf":
        raise UsageError(f"there is no kind of grammar named {source.kind!r:.60}; there are gbnf and json-schema")
    grammar = parse_gbnf(source.text, source.name)
    check_grammar(grammar)
    text = lark(read_lexemes(grammar.rules))
    compiled(byte_tree(), text, f"{source.name} cannot be used", UsageError)
    return text


def builtin_names() -> list[str]:
    """The grammars that come along, usable by name."""
    return sorted(
        path.name.removesuffix(".gbnf") for path in _builtin_folder().iterdir() if path.name.endswith(".gbnf")
    )


def _builtin_folder() -> resources.abc.Traversable:
    return resources.files("llamachat.engine.grammar").joinpath("builtin")


def _read(path: Path) -> str:
    content = read_at_most(path, LARGEST_FILE)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = content[error.start]
        raise UsageError(f"{path} is not UTF-8 text (byte {wrong:#04x} at offset {error.start})") from error
