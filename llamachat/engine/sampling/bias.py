"""Logit bias: a person's own opinion of single tokens."""

from collections.abc import Sequence

import numpy as np

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary
from llamachat.errors import UsageError


class LogitBias(Stage):
    """Adds to the logits of some tokens; several biases of a token add up, and -inf makes it impossible."""

    def __init__(self, biases: dict[int, float], n_vocab: int) -> None:
        check_bias(list(biases.items()), n_vocab)
        self._n_vocab = n_vocab
        self._tokens = np.array(sorted(biases), dtype=np.intp)
        self._biases = np.array([biases[token] for token in sorted(biases)], dtype=np.float32)

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "LogitBias | None":
        """The sampler with the biases and the end tokens that are to be ignored, or None."""
        biases: dict[int, float] = {}
        for token, bias in options.logit_bias:
            biases[token] = biases.get(token, 0.0) + bias
        if options.ignore_eos:
            biases |= dict.fromkeys(vocabulary.eog, -np.inf)
        return cls(biases, vocabulary.n_vocab) if biases else None

    def apply(self, candidates: Candidates) -> None:
        """Change their logits."""
        positions, found = candidates.positions(self._tokens, self._n_vocab)
        candidates.change(positions, candidates.logits[positions] + self._biases[found])


def check_bias(biases: Sequence[tuple[int, float]], n_vocab: int) -> None:
    """Raises UsageError for a token that is not in a vocabulary of this size."""
    for token, _ in biases:
        if token >= n_vocab:
            said = f"logit_bias: there is no token {token}; the vocabulary ends with {n_vocab - 1}"
            raise UsageError(said, settings=("logit_bias",))
