"""Generating under a constraint without a model: logits come from a random generator, and some tokens are pushed."""

from collections.abc import Iterable

import numpy as np
from byte_vocabulary import ByteVocabulary

from llamachat.engine.grammar import Constraint
from llamachat.engine.sampling.candidates import Candidates

CLOSING = {b'"': 10.0, b"}": 9.0, b"]": 9.0, b"0": 4.0, b"1": 3.0, b",": -5.0, b" ": -9.0, b"\n": -9.0, b"\\": -9.0}


class Generation:
    """The text so far; `ended` once an end token was chosen or nothing else was admitted."""

    def __init__(self, constraint: Constraint, vocabulary: ByteVocabulary, seed: int) -> None:
        self._constraint, self._vocabulary = constraint, vocabulary
        self._random = np.random.default_rng(seed)
        self._ids = np.arange(vocabulary.n_vocab)
        self.text, self.ended = b"", False
        constraint.begin()

    def run(self, n_tokens: int, pushed: Iterable[int] = (), closing: bool = False) -> None:
        """Choose up to so many tokens. pushed: those taken wherever they are admitted; closing: make an end."""
        push = np.zeros(self._ids.size, np.float32)
        push[list(pushed)] = 30
        if closing:
            for piece, weight in CLOSING.items():
                push[piece[0]] = weight
            push[list(self._vocabulary.eog)] = 40
        for _ in range(n_tokens):
            if self.ended or self._constraint.finished:
                self.ended = True
                return
            logits = self._random.normal(size=self._ids.size).astype(np.float32) + push
            candidates = Candidates(self._ids, logits)
            self._constraint.apply(candidates)
            token = int(candidates.ids[np.argmax(candidates.logits)])
            self.ended = token in self._vocabulary.eog
            if not self.ended:
                self._constraint.accept(token)
                self.text += self._vocabulary.piece_bytes(token)
