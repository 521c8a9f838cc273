"""The chain: from logits to a token, through the samplers in their order and one random draw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine.sampling.candidates import Candidates, Logits
from llamachat.engine.sampling.min_p import MinP
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.penalties import Penalties
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.temperature import Greedy, Temperature
from llamachat.engine.sampling.top_k import TopK
from llamachat.engine.sampling.top_p import TopP
from llamachat.errors import UsageError

STAGES: dict[str, Callable[[SamplingOptions, int], Stage | None]] = {
    "penalties": Penalties.of,
    "top_k": TopK.of,
    "top_p": TopP.of,
    "min_p": MinP.of,
    "temperature": Temperature.of,
}


@dataclass(frozen=True)
class Choice:
    """A chosen token; `logprob`, if asked for, is ln of its probability in the unmodified distribution of the model."""

    token: int
    logprob: float | None


class Sampler:
    """Chooses tokens: `sample` draws one, `accept` tells it what the text consists of (prompt, input and choices).

    `sample` does not accept by itself. `seed` is the one in use, also where the options left it to chance.
    Two samplers with the same seed and options, asked the same, choose the same.
    """

    def __init__(self, options: SamplingOptions, n_vocab: int) -> None:
        if n_vocab < 1:
            raise UsageError(f"n_vocab must be 1 or more, not {n_vocab}")
        self.options = options.seeded()
        self.seed = self.options.seed
        self._ids = np.arange(n_vocab)
        self._stages = build_chain(self.options, n_vocab)
        self._random = np.random.Generator(np.random.PCG64(self.seed))

    def accept(self, token: int) -> None:
        """Take note that `token` is now part of the text."""
        for stage in self._stages:
            stage.accept(token)

    def sample(self, logits: Logits) -> Choice:
        """One token for float32 [n_vocab] logits, which stay as they are.

        NaN counts as impossible; +inf excludes everything else. Raises UsageError for another shape,
        LlamaChatError if no logit is usable.
        """
        if logits.shape != self._ids.shape:
            raise UsageError(
                f"the sampler was made for {self._ids.size} logits, not for an array of shape {logits.shape}"
            )
        candidates = Candidates(self._ids, logits)
        largest = candidates.largest
        for stage in self._stages:
            stage.apply(candidates)
        token = int(candidates.ids[self._draw(candidates)])
        return Choice(token, log_probability(logits, token, largest) if self.options.logprobs else None)

    def _draw(self, candidates: Candidates) -> int:
        """A position by probability: the first whose cumulative weight exceeds a uniform number."""
        if candidates.ids.size == 1:
            return 0
        sums = np.cumsum(candidates.weights())
        point = min(self._random.random() * sums[-1], np.nextafter(sums[-1], 0))
        return int(np.searchsorted(sums, point, side="right"))


def build_chain(options: SamplingOptions, n_vocab: int) -> Sequence[Stage]:
    """The samplers that the options turn on, in their order; what cannot change a greedy choice is left out."""
    built = (STAGES[name](options, n_vocab) for name in options.samplers)
    chain: list[Stage] = []
    for stage in built:
        if stage is None:
            continue
        if isinstance(stage, Greedy):
            while chain and chain[-1].keeps_best:
                chain.pop()
        chain.append(stage)
    return tuple(chain)


def log_probability(logits: Logits, token: int, largest: float) -> float:
    """ln of the token's softmax probability among all logits, of which `largest` is the largest that is a number."""
    if largest == np.inf:
        ties = np.count_nonzero(logits == np.inf)
        return float(-np.log(ties)) if logits[token] == np.inf else -np.inf
    total = float(np.nansum(np.exp(logits - np.float32(largest)), dtype=np.float64))
    return float(logits[token]) - largest - float(np.log(total))
