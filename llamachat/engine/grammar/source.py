"""A grammar as a person gives it, checked: a record that can be kept in options, compared, hashed and pickled."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from llamachat.engine.grammar.checks import ROOT, check_grammar
from llamachat.engine.grammar.constraint import Constraint
from llamachat.engine.grammar.gbnf import parse_gbnf
from llamachat.engine.grammar.json_schema import schema_grammar
from llamachat.engine.grammar.lark import lark, with_tokens
from llamachat.engine.grammar.lexemes import readings
from llamachat.engine.grammar.samples import samples
from llamachat.engine.grammar.syntax import Rules, tokens
from llamachat.engine.grammar.validation import check_text
from llamachat.engine.grammar.vocabulary import VocabularyBytes, byte_tree, compiled, reason, token_id, token_tree
from llamachat.errors import GrammarError, UsageError
from llamachat.files import read_at_most

Kind = Literal["gbnf", "json-schema"]
Unenforced = Literal["refuse", "check"]

LONGEST_TRIAL_S, AT_ONCE = 0.3, 8
FEWEST_READ = 100
"""A grammar that cannot be read over this many bytes is refused. Longer texts may yet outgrow the limits."""

ANY_JSON = "{}"
"""The schema of every JSON value."""

LARGEST_FILE = 4_000_000
_BARE_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class GrammarSource:
    """A grammar in GBNF, or a JSON schema; name: what errors call it, an option or a file.

    unenforced: what becomes of the parts of a schema that no grammar can enforce: the schema is refused, or the
    finished text is checked.

    Raises UsageError when made from a text that is no grammar or no schema, or one that cannot be obeyed exactly.
    """

    kind: Kind
    text: str
    name: str = "grammar"
    unenforced: Unenforced = "refuse"

    def __post_init__(self) -> None:
        _translated(self)

    @classmethod
    def gbnf(cls, text: str, name: str = "grammar") -> GrammarSource:
        """A grammar from its text, or a built-in one by name (`builtin_names`). Raises UsageError for another name."""
        if not _BARE_NAME.fullmatch(text.strip()):
            return cls("gbnf", text, name)
        known = builtin_names()
        if text.strip() not in known:
            close = get_close_matches(text.strip(), known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise UsageError(f"{name}: there is no grammar named {text.strip()!r:.60}; {hint}")
        return cls("gbnf", _builtin_folder().joinpath(f"{text.strip()}.gbnf").read_text("utf-8"), text.strip())

    @classmethod
    def json_schema(
        cls, text: str = ANY_JSON, name: str = "schema", unenforced: Unenforced = "refuse"
    ) -> GrammarSource:
        """The JSON texts that a schema admits; without one, every JSON value."""
        return cls("json-schema", text, name, unenforced)

    @classmethod
    def of_file(cls, kind: Kind, path: Path, unenforced: Unenforced = "refuse") -> GrammarSource:
        """A grammar or schema from a file of UTF-8 text. Raises UsageError if it cannot be read."""
        return cls(kind, _read(path), path.name, unenforced)

    def check(self, text: str) -> None:
        """Raises GrammarError for a finished text that does not satisfy what the grammar could not enforce."""
        if self.unenforced == "check" and _translated(self).is_partial:
            check_text(text, json.loads(self.text), self.name)

    def constraint(self, vocabulary: VocabularyBytes) -> Constraint:
        """A sampler stage that keeps a text inside the grammar, inactive until its `begin`.

        The first call with a vocabulary prepares it (see `vocabulary.py`), the others share that; each call compiles
        the grammar (1 to 3 ms). Raises GrammarError where it is too complex for llguidance with this vocabulary.
        """
        tree = token_tree(vocabulary)
        found = _translated(self)
        text, names = found.text, found.tokens
        if names:
            text = with_tokens(text, [token_id(vocabulary, name, self.name) for name in names], vocabulary.eog)
        return Constraint(tree, compiled(tree, text, f"{self.name} cannot be used", GrammarError))


@dataclass(frozen=True)
class Translated:
    """A grammar in llguidance's notation, the names of tokens that a vocabulary must give numbers to, and whether it
    admits more than the source.
    """

    text: str
    tokens: tuple[str, ...] = ()
    is_partial: bool = False


@lru_cache(maxsize=16)
def _translated(source: GrammarSource) -> Translated:
    """The source as it is for every vocabulary, tried once to see that it can be used. Raises UsageError."""
    if source.kind == "json-schema":
        made = schema_grammar(source.text, source.name, source.unenforced == "check")
        return Translated(made.text, is_partial=bool(made.unenforced))
    if source.kind != "gbnf":
        raise UsageError(f"there is no kind of grammar named {source.kind!r:.60}; there are gbnf and json-schema")
    grammar = parse_gbnf(source.text, source.name)
    check_grammar(grammar)
    names = tuple(dict.fromkeys(token.name for node in grammar.rules.values() for token in tokens(node)))
    found: list[tuple[int, str, str]] = []
    for reading in readings(grammar.rules):
        text = lark(reading, names)
        n_read, said = _trouble(text, grammar.rules, names)
        if not said:
            return Translated(text, names)
        found.append((n_read, text, said))
    n_read, text, said = max(found, key=lambda one: one[0])
    if n_read < FEWEST_READ:
        raise UsageError(f"{source.name} cannot be used: {said}")
    return Translated(text, names)


def _trouble(text: str, rules: Rules, names: Sequence[str]) -> tuple[int, str]:
    """What keeps llguidance from reading texts of a grammar, after this many bytes; "" for nothing."""
    numbers = {name: number % 255 for number, name in enumerate(names)}  # bytes stand for tokens
    tried = with_tokens(text, list(numbers.values()), (256,))
    try:
        start = compiled(byte_tree(), tried, "", UsageError)
    except UsageError as error:
        return -1, str(error).removeprefix(": ")
    found = []
    until = time.monotonic() + LONGEST_TRIAL_S
    for sample in samples(rules, ROOT):
        ids: list[int] = []
        for piece in sample:
            ids += piece.encode() if isinstance(piece, str) else [(numbers[piece.name] + piece.others) % 256]
        matcher, n_read = start.deep_copy(), 0
        while n_read < len(ids) and not matcher.is_error() and time.monotonic() < until:
            n_read += matcher.try_consume_tokens(ids[n_read : n_read + AT_ONCE]) or AT_ONCE
            matcher.compute_bitmask()
        if matcher.is_error():
            found.append((n_read, reason(matcher.get_error())))
    return min(found, default=(0, ""))


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
