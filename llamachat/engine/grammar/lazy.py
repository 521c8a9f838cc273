"""A grammar that sleeps until the text calls for it: a model talks freely, and what follows a mark obeys.

The mark is a pattern of the text with its control tokens spelled out (`<tool_call>`, `[TOOL_CALLS]`); what comes after
it is the first of the grammar's text. When that is complete the grammar sleeps again, until the next mark; for
good, where the mark must be at the beginning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from llamachat.engine.grammar.constraint import Constraint
from llamachat.engine.grammar.source import GrammarSource
from llamachat.engine.grammar.vocabulary import VocabularyBytes
from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.stage import Stage

LONGEST_MARK = 256
"""Characters of text in which a mark is looked for."""


class SpelledVocabulary(VocabularyBytes, Protocol):
    """A tokenizer that can spell its control tokens out."""

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        """What `token` prints; with `special` a control token's name."""
        ...


@dataclass(frozen=True)
class LazyGrammar:
    """A grammar and the pattern after which it holds. at_start: only at the beginning of the answer, so once."""

    source: GrammarSource
    mark: str
    at_start: bool = False

    def constraint(self, vocabulary: SpelledVocabulary) -> LazyConstraint:
        """A sampler stage, asleep until its `begin` and then until a mark. Raises as `GrammarSource.constraint`."""
        return LazyConstraint(self.source.constraint(vocabulary), vocabulary, re.compile(self.mark), self.at_start)


class LazyConstraint(Stage):
    """Listens for the mark, then is the constraint until its text is complete."""

    finished = False
    """The free text never has to end here."""

    def __init__(
        self, constraint: Constraint, vocabulary: SpelledVocabulary, mark: re.Pattern[str], at_start: bool
    ) -> None:
        self._constraint, self._vocabulary, self._mark, self._at_start = constraint, vocabulary, mark, at_start
        self._heard: bytes | None = None
        self._awake = False

    def begin(self) -> None:
        """The next token is the first of the answer."""
        self._heard, self._awake = b"", False

    def apply(self, candidates: Candidates) -> None:
        """Narrow to what the grammar admits, while it is awake."""
        if self._awake:
            self._constraint.apply(candidates)

    def accept(self, token: int) -> None:
        """Go on with a token of the text."""
        if self._awake:
            self._constraint.accept(token)
            self._awake = not self._constraint.finished
            return
        if self._heard is None:
            return
        self._heard += self._vocabulary.piece_bytes(token, special=True)
        self._listen(self._heard)

    def _listen(self, heard: bytes) -> None:
        """Wakes the grammar after a mark, with what the same token has already said of its text."""
        text = heard.decode("utf-8", "surrogateescape")
        found = self._mark.match(text) if self._at_start else self._mark.search(text)
        if found is not None:
            rest = text[found.end() :].encode("utf-8", "surrogateescape")
            self._awake = self._constraint.begin_after(rest)
            self._heard = None if self._at_start else b""
        elif not self._at_start:
            self._heard = heard[-LONGEST_MARK:]
        elif len(text) > LONGEST_MARK:
            self._heard = None
