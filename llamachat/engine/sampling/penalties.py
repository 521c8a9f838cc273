"""Repetition, frequency and presence penalties over the last tokens of the text, the prompt included."""

from collections import Counter, deque

import numpy as np

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary


class Penalties(Stage):
    """A token seen c > 0 times in the last n: l = l / repeat if l > 0 else l * repeat; l -= c * frequency + presence.

    Source: Keskar et al. 2019 (arXiv 1909.05858) with the sign rule of llama.cpp's `llama_sampler_penalties_apply`.
    """

    def __init__(self, options: SamplingOptions, vocabulary: Vocabulary) -> None:
        self._repeat = np.float32(options.repeat_penalty)
        self._frequency = np.float32(options.frequency_penalty)
        self._presence = np.float32(options.presence_penalty)
        self._last_n = options.repeat_last_n
        self._n_vocab = vocabulary.n_vocab
        self._spared = set() if options.penalize_nl else newlines(vocabulary)
        self._recent: deque[int] = deque()
        self._counts: Counter[int] = Counter()

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "Penalties | None":
        """The sampler, or None where the options turn it off."""
        off = options.repeat_penalty == 1 and options.frequency_penalty == 0 and options.presence_penalty == 0
        return None if off or options.repeat_last_n == 0 else cls(options, vocabulary)

    def accept(self, token: int) -> None:
        """Count `token`; forget the one that is now too far back."""
        self._counts[token] += 1
        if self._last_n < 0:
            return
        self._recent.append(token)
        if len(self._recent) > self._last_n:
            oldest = self._recent.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]

    def apply(self, candidates: Candidates) -> None:
        """Penalise the candidates that were seen."""
        seen = sorted(t for t in self._counts if 0 <= t < self._n_vocab and t not in self._spared)
        if not seen:
            return
        counts = np.array([self._counts[token] for token in seen], dtype=np.float32)
        positions, found = candidates.positions(np.array(seen, dtype=np.intp), self._n_vocab)
        logits = candidates.logits[positions]
        logits = np.where(logits > 0, logits / self._repeat, logits * self._repeat)
        candidates.change(positions, logits - counts[found] * self._frequency - self._presence)


def newlines(vocabulary: Vocabulary) -> set[int]:
    """The token of a line break, which has to come again and again; none where it takes several."""
    ids = list(vocabulary.encode("\n", add_special=False))
    return {ids[-1]} if ids and vocabulary.piece_bytes(ids[-1]) == b"\n" else set()
