"""A grammar among the samplers: it takes away every token that cannot follow the text so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.grammar.vocabulary import guarded, reason
from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.stage import Stage
from llamachat.errors import GrammarError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

Mask = NDArray[np.bool_]

FEW = 4
"""Candidates are narrowed to what is admitted where that is at most one in this many; else the rest becomes -inf."""


class Constraint(Stage):
    """Keeps generated text inside a grammar. Until `begin` is called it is inactive: it admits and accepts everything.

    A prompt is no part of the grammar's text, though samplers accept its tokens too; so `begin` is called between the
    prompt and the first choice. After it, `apply` leaves the tokens that continue a prefix of a text of the grammar,
    and end tokens exactly where such a text is complete; `accept` advances by one token.

    Raises GrammarError from `apply`, `accept` and `finished` when llguidance fails (a grammar too complex for its
    limits), when a token is accepted that the grammar does not admit, and when the model or another sampler has made
    everything impossible that it admits. It may be begun again then.
    """

    def __init__(self, tokens: LLTokenizer, start: LLMatcher) -> None:
        self._tokens, self._start = tokens, start
        self._ends = np.array(sorted(tokens.eos_tokens))
        self._matcher: LLMatcher | None = None
        self._mask: Mask | None = None
        self._n_admitted = 0

    def begin(self) -> None:
        """The next token is the first of the grammar's text. Forgets what was accepted before."""
        self._matcher = self._start.deep_copy()
        self._mask = None

    def begin_after(self, text: bytes) -> bool:
        """`begin`, with its first bytes said already; False, and inactive, where no text of the grammar has them."""
        self._matcher, self._mask = self._after(text), None
        return self._matcher is not None

    def apply(self, candidates: Candidates) -> None:
        """Narrow to the tokens that the grammar admits, or give the others -inf."""
        if self._matcher is None:
            return
        mask, size = self._admitted(self._matcher), candidates.ids.size
        whole = size >= mask.size and not candidates.best_first
        if whole and self._n_admitted * FEW <= size:
            candidates.keep(np.flatnonzero(mask), best_first=False)
            self._check_possible(candidates)
            return
        outside = np.flatnonzero(~mask) if whole else np.flatnonzero(~mask[np.minimum(candidates.ids, mask.size - 1)])
        beyond = np.arange(mask.size, size) if whole else np.flatnonzero(candidates.ids >= mask.size)
        refused = np.concatenate([outside, beyond]) if beyond.size else outside
        candidates.change(refused, np.full(refused.size, -np.inf, np.float32))
        self._check_possible(candidates)

    def accept(self, token: int) -> None:
        """Accepts a chosen token. Raises GrammarError for one that is not admitted; end tokens need not be passed."""
        if self._matcher is None:
            return
        self._mask = None
        with guarded("the grammar failed"):
            taken = self._matcher.consume_token(token)
        if not taken:
            raise GrammarError(f"the grammar failed at token {token}: {reason(self._matcher.get_error())}")

    @property
    def finished(self) -> bool:
        """Whether nothing but the end is admitted any more."""
        if self._matcher is None:
            return False
        mask = self._admitted(self._matcher)
        return self._n_admitted == self._ends.size and bool(mask[self._ends].all())

    @property
    def complete(self) -> bool:
        """Whether the text so far is one of the grammar's, so that the generation may end here."""
        return self._matcher is not None and self._matcher.is_accepting()

    def accepts(self, text: str | bytes) -> bool:
        """Whether a whole text is one of the grammar's; what was accepted before plays no part."""
        matcher = self._after(text)
        return matcher is not None and matcher.is_accepting()

    def is_prefix(self, text: str | bytes) -> bool:
        """Whether a text, which may end inside a character, begins one of the grammar's."""
        return self._after(text) is not None

    def _after(self, text: str | bytes) -> LLMatcher | None:
        """A matcher that has read the text, None where it cannot."""
        raw = text.encode() if isinstance(text, str) else text
        matcher = self._start.deep_copy()
        with guarded("the grammar failed"):
            ids = self._tokens.tokenize_bytes(raw)
            taken = matcher.try_consume_tokens(ids)
        if matcher.is_error():
            raise GrammarError(f"the grammar failed: {reason(matcher.get_error())}")
        return matcher if taken == len(ids) else None

    def _admitted(self, matcher: LLMatcher) -> Mask:
        """bool [n_vocab]: the tokens that are admitted now; computed once for each state."""
        if self._mask is None:
            with guarded("the grammar failed"):
                packed = np.frombuffer(matcher.compute_bitmask(), np.uint8)
            if matcher.is_error():
                raise GrammarError(f"the grammar failed: {reason(matcher.get_error())}")
            mask: Mask = np.unpackbits(packed, count=self._tokens.vocab_size, bitorder="little").view(np.bool_)
            self._n_admitted = int(np.count_nonzero(mask))
            self._mask = mask
        return self._mask

    def _check_possible(self, candidates: Candidates) -> None:
        if candidates.largest == -np.inf:
            raise GrammarError(
                "every token that the grammar admits here is impossible (-inf) for the model or was banned by a logit "
                "bias; change the grammar or the bias"
            )
