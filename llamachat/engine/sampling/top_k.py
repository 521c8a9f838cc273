"""Top-k: the k most likely tokens."""

from llamachat.engine.sampling.candidates import Candidates, best
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary


class TopK(Stage):
    """Keeps the k largest logits, largest first. Source: Fan et al. 2018 (arXiv 1805.04833)."""

    keeps_best = True

    def __init__(self, k: int) -> None:
        self._k = k

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "TopK | None":
        """The sampler, or None where it would keep everything."""
        return cls(options.top_k) if 0 < options.top_k < vocabulary.n_vocab else None

    def apply(self, candidates: Candidates) -> None:
        """Narrow to the k best."""
        candidates.keep(best(candidates.logits, self._k), best_first=True)
