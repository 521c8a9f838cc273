"""One answer while it grows: chooses its tokens, frees its text, and knows when it ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llamachat.engine.events import Stop, StopReason, Timings, Token
from llamachat.engine.sampling.candidates import check_scores
from llamachat.engine.sampling.chain import Sampler
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.text import TextStream
from llamachat.errors import GrammarError, UsageError

if TYPE_CHECKING:
    from llamachat.engine.grammar import GrammarSource, LazyGrammar
    from llamachat.engine.sampling.candidates import Logits
    from llamachat.engine.sampling.vocabulary import Vocabulary

UNLIMITED, FILL = -1, -2
"""`max_tokens` for: until the model ends, and: until that or until the context is full."""


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How to generate: max_tokens -1 is no limit, -2 stops where the context is full, 0 evaluates the prompt only.

    `stop` strings end the text. grammar: what the text must be, or what must follow a mark in it. n_keep: with a
    context that is full, this many first tokens stay, half of the others are dropped and generation continues; -1 keeps
    the whole prompt; None: it ends. Raises UsageError with the option's name.
    """

    max_tokens: int = UNLIMITED
    stop: tuple[str, ...] = ()
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    grammar: GrammarSource | LazyGrammar | None = None
    n_keep: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("max_tokens", FILL), ("n_keep", -1)):
            value = getattr(self, name)
            wrong = isinstance(value, bool) or not isinstance(value, int) or value < least
            if wrong and not (value is None and name == "n_keep"):
                said = f"{name} must be a whole number, {least} or more, not {value!r}"
                raise UsageError(said, settings=(name,))
        TextStream(self.stop)

    def kept(self, n_prompt: int, has_bos: bool) -> int | None:
        """How many tokens stay in a full context; the beginning-of-text token does not count.

        The first token always stays: models put the attention there that they need nowhere else (Xiao et al. 2023,
        arXiv 2309.17453), and lose the thread without it.
        """
        if self.n_keep is None or self.max_tokens == FILL:
            return None
        if not 0 <= self.n_keep <= n_prompt:
            return n_prompt
        return min(n_prompt, max(1, self.n_keep + has_bos))


class Answering:
    """The samplers, the grammar and the text of one answer. `reason` is why it ended, None while it is not ended.

    n_begun: the number of the prompt's last tokens that are the answer's first ones; `begun` are they, as if chosen,
    until the scheduler yields them.
    """

    def __init__(
        self, vocabulary: Vocabulary, options: GenerationOptions, prompt: Sequence[int], n_begun: int = 0
    ) -> None:
        constraint = options.grammar.constraint(vocabulary) if options.grammar is not None else None
        self._grammar, self._texts = options.grammar, list[str]()
        self.reason: StopReason | None = "length" if options.max_tokens == 0 else None
        self.token = -1
        self._vocabulary, self._constraint = vocabulary, constraint
        self._stream, self._has_stops = TextStream(options.stop), bool(options.stop)
        self._sampler = Sampler(options.sampling, vocabulary, constraint)
        self._n_left = options.max_tokens if options.max_tokens >= 0 else None
        self._error: GrammarError | None = None
        self.timings = Timings()
        first = len(prompt) - n_begun
        for token in prompt[:first]:
            self._sampler.accept(token)
        if constraint is not None:
            constraint.begin()
            if constraint.finished:
                self.reason = "eos"
        self.begun = deque(self._begin(prompt[first:]))

    @property
    def n_left(self) -> int | None:
        """How many tokens may still be chosen; None for no limit."""
        return self._n_left

    def choose(self, logits: Logits) -> Token | None:
        """The next token, from the logits after the text; None where the answer ends instead.

        Raises ModelFileError for logits that are no numbers.
        """
        start = time.perf_counter()
        check_scores(logits)
        try:
            choice = self._sampler.sample(logits)
            if choice.token in self._vocabulary.eog:
                self.reason = "eos"
                return None
            text = self._take(choice.token)
        except GrammarError as error:
            self.reason, self._error = "grammar", error
            return None
        finally:
            self.timings.sampling_s += time.perf_counter() - start
        self.token = choice.token
        self.timings.n_generated += 1
        if self._n_left is not None:
            self._n_left -= 1
            if self._n_left == 0:
                self.reason = self.reason or "length"
        return Token(text, choice.token, choice.logprob, choice.top)

    def _begin(self, tokens: Sequence[int]) -> Iterator[Token]:
        """Takes given tokens up to where the answer ends, if it ends within them."""
        for token in tokens:
            if self.reason is not None:
                return
            if token in self._vocabulary.eog:
                self.reason = "eos"
                return
            try:
                text = self._take(token)
            except GrammarError as error:
                self.reason, self._error = "grammar", error
                return
            yield Token(text, token)

    def _take(self, token: int) -> str:
        """Accepts a token; returns the text that it completes."""
        self._sampler.accept(token)
        piece = self._vocabulary.piece_bytes(token)
        control = "" if piece or not self._has_stops else self._vocabulary.piece_bytes(token, special=True).decode()
        text = self._stream.feed(piece, control)
        if self._grammar is not None:
            self._texts.append(text)
        if self._stream.stopped:
            self.reason = "stop"
        elif self._constraint is not None and self._constraint.finished:
            self.reason = "eos"
        return text

    def stop(self, reason: StopReason | None = None) -> Stop:
        """The end; its text is what was still held back.

        Under a grammar it is without the bytes of an unfinished character: U+FFFD would begin no text of the grammar.
        """
        text = self._stream.finish(whole=self._constraint is not None)
        ended = reason or self.reason or "cancelled"
        if ended == "eos" and self._grammar is not None:
            try:
                self._grammar.check("".join([*self._texts, text]))
            except GrammarError as error:
                return Stop(text, "grammar", self.timings, error)
        return Stop(text, ended, self.timings, self._error)
