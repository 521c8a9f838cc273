"""A grammar that sleeps until the text calls for it: a model writes freely, and what follows a mark obeys.

A mark is a pattern of the text with its control tokens spelled out (`<tool_call>`, `[TOOL_CALLS]`); what comes after
it is the first of its grammar's text. When that is complete the grammar sleeps again, until the next mark; for good,
where marks must be at the beginning. Within a thought no mark counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Protocol

from llamachat.engine.grammar.constraint import Constraint
from llamachat.engine.grammar.source import GrammarSource
from llamachat.engine.grammar.vocabulary import VocabularyBytes
from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.stage import Stage

LONGEST_MARK = 512
"""Characters of text in which a mark is looked for."""

_BEFORE = b"\n"
"""Stands for what was generated before, so that a pattern of a text's beginning does not match after it."""


class SpelledVocabulary(VocabularyBytes, Protocol):
    """A tokenizer that can spell its control tokens out."""

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        """What `token` prints; with `special` a control token's name."""
        ...


@dataclass(frozen=True)
class LazyGrammar:
    """Patterns without groups, each with the grammar that holds after it; where several match, the first one counts.

    at_start: only at the beginning of the answer, so once. thought: the texts between which a model thinks; inside:
    the answer begins within a thought.
    """

    triggers: tuple[tuple[str, GrammarSource], ...]
    at_start: bool = False
    thought: tuple[str, str] | None = None
    inside: bool = False

    def begun(self, inside: bool) -> LazyGrammar:
        """The same for an answer that begins within a thought, or not."""
        return replace(self, inside=inside)

    def constraint(self, vocabulary: SpelledVocabulary) -> LazyConstraint:
        """A sampler stage, inactive until its `begin` and then until a mark. Raises as `GrammarSource.constraint`."""
        return LazyConstraint([source.constraint(vocabulary) for _, source in self.triggers], vocabulary, self)

    def check(self, text: str) -> None:
        """Nothing: free text is around what the grammar admits."""


class LazyConstraint(Stage):
    """Listens for a mark, then is its constraint until the text of that is complete."""

    finished = False
    """The free text never has to end here."""

    def __init__(self, constraints: list[Constraint], vocabulary: SpelledVocabulary, grammar: LazyGrammar) -> None:
        self._constraints, self._vocabulary, self._grammar = constraints, vocabulary, grammar
        marks = "|".join(f"({mark})" for mark, _ in grammar.triggers)
        self._marks = re.compile(marks or "(?!)", re.DOTALL)
        self._read: bytes | None = None
        self._whole = self._listening = True
        self._thinking = False
        self._active: Constraint | None = None

    def begin(self) -> None:
        """The next token is the first of the answer."""
        self._active, self._thinking = None, self._grammar.inside
        self._begin_text(b"")

    def apply(self, candidates: Candidates) -> None:
        """Narrow to what the grammar admits, while it is active."""
        if self._active is not None:
            self._active.apply(candidates)

    def accept(self, token: int) -> None:
        """Continue with a token of the text."""
        if self._active is not None:
            self._active.accept(token)
            if self._active.finished:
                self._sleep()
        elif self._read is not None:
            self._read += self._vocabulary.piece_bytes(token, special=True)
            while self._active is None and self._step():
                pass

    def _begin_text(self, said: bytes) -> None:
        """A text begins, after a thought or as the answer's first."""
        self._read, self._whole, self._listening = said, True, True

    def _sleep(self) -> None:
        self._active, self._read, self._whole = None, _BEFORE, False
        self._listening = not self._grammar.at_start

    def _step(self) -> bool:
        """Takes the next mark or marker from what was generated; whether there was one and something is left."""
        assert self._read is not None
        text = self._read.decode("utf-8", "surrogateescape")
        opening, closing = self._grammar.thought or ("", "")
        end = text.find(closing) if closing else -1
        if self._thinking:
            return self._to_text(text, end, closing)
        begun = text.find(opening) if opening else -1
        mark = self._mark(text)
        first = min((one for one in (begun, end, mark.start() if mark else -1) if one >= 0), default=-1)
        if first < 0:
            self._forget(text)
            return False
        if mark is not None and first == mark.start() and first != begun:
            return self._activate(mark, text)
        if first == end:
            return self._to_text(text, end, closing)
        self._thinking = True
        self._read = _bytes(text[begun + len(opening) :])
        return True

    def _to_text(self, text: str, end: int, closing: str) -> bool:
        """The text after a thought's end, if it is there."""
        if end < 0:
            self._forget(text)
            return False
        self._thinking = False
        self._begin_text(_bytes(text[end + len(closing) :]))
        return True

    def _mark(self, text: str) -> re.Match[str] | None:
        if not self._listening:
            return None
        if self._grammar.at_start:
            return self._marks.match(text) if self._whole else None
        return self._marks.search(text, 0 if self._whole else len(_BEFORE))

    def _activate(self, mark: re.Match[str], text: str) -> bool:
        """Activates the grammar of the mark, with the text behind it in the same token; whether something is left."""
        assert mark.lastindex is not None
        constraint = self._constraints[mark.lastindex - 1]
        rest = _bytes(text[mark.end() :])
        if constraint.begin_after(rest):
            self._active = constraint
            if constraint.finished:
                self._sleep()
            return False
        self._sleep()
        self._read = _BEFORE + rest
        return bool(rest) and mark.end() > 0

    def _forget(self, text: str) -> None:
        """Keeps the end of what was generated, in which a mark may have begun."""
        if len(text) > LONGEST_MARK:
            self._read, self._whole = _bytes(text[-LONGEST_MARK:]), False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
