"""The chain: from logits to a token, through the samplers in their order and one random draw."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine.sampling.bias import LogitBias
from llamachat.engine.sampling.candidates import Candidates, Logits, best, weights_of
from llamachat.engine.sampling.choosers import chooser
from llamachat.engine.sampling.dry import Dry
from llamachat.engine.sampling.min_p import MinP
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.penalties import Penalties
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.tail_free import TailFree
from llamachat.engine.sampling.temperature import Greedy, Temperature
from llamachat.engine.sampling.top_k import TopK
from llamachat.engine.sampling.top_n_sigma import TopNSigma
from llamachat.engine.sampling.top_p import TopP
from llamachat.engine.sampling.typical import Typical
from llamachat.engine.sampling.vocabulary import Vocabulary
from llamachat.engine.sampling.xtc import Xtc
from llamachat.errors import LlamaChatError, UsageError

STAGES: dict[str, Callable[[SamplingOptions, Vocabulary], Stage | None]] = {
    "penalties": Penalties.of,
    "dry": Dry.of,
    "top_n_sigma": TopNSigma.of,
    "top_k": TopK.of,
    "tfs_z": TailFree.of,
    "typ_p": Typical.of,
    "top_p": TopP.of,
    "min_p": MinP.of,
    "xtc": Xtc.of,
    "temperature": Temperature.of,
}
BESIDE_MIROSTAT = ("penalties", "dry", "temperature")
"""Mirostat cuts for itself: what else narrows the candidates is left out. llama.cpp leaves out penalties, too."""
NOTHING_LEFT = "every token that could come next was made impossible (-inf) by the sampling options; ban fewer tokens"


@dataclass(frozen=True)
class Choice:
    """A chosen token. logprob: ln of its probability in the unmodified distribution of the model, if asked for.

    top: the likeliest tokens with theirs, best first.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Sampler:
    """Chooses tokens: `sample` draws one, `accept` tells it what the text consists of (prompt, input and choices).

    `sample` does not accept by itself. `seed` is the one in use, also where the options left it to chance. constraint:
    comes before all samplers and after the biases. Two samplers with the same seed and options, asked the same, choose
    the same. Raises UsageError for a bias of a token that does not exist.
    """

    def __init__(self, options: SamplingOptions, vocabulary: Vocabulary, constraint: Stage | None = None) -> None:
        self.options = options.seeded()
        self.seed = self.options.seed
        self._ids = np.arange(vocabulary.n_vocab)
        self._stages = build_chain(self.options, vocabulary, constraint)
        self._chooser = chooser(self.options, vocabulary.n_vocab)
        self._random = np.random.Generator(np.random.PCG64(self.seed))

    def accept(self, token: int) -> None:
        """Take note that `token` is now part of the text."""
        for stage in self._stages:
            stage.accept(token)

    def sample(self, logits: Logits) -> Choice:
        """One token for float32 [n_vocab or more] logits, which stay as they are; what is beyond n_vocab never counts.

        NaN counts as impossible; +inf excludes everything else. Raises UsageError for another shape,
        LlamaChatError if no logit is usable.
        """
        if logits.ndim != 1 or logits.size < self._ids.size:
            raise UsageError(
                f"the sampler was made for {self._ids.size} logits, not for an array of shape {logits.shape}"
            )
        logits = logits[: self._ids.size]
        candidates = Candidates(self._ids, logits)
        usable, largest = candidates.logits, candidates.largest
        with np.errstate(over="ignore"):  # logits near the end of float32: -inf is what is meant
            for stage in self._stages:
                stage.apply(candidates)
                if candidates.largest == -np.inf:
                    raise LlamaChatError(NOTHING_LEFT, settings=("logit_bias", "ignore_eos"))
            token = self._chooser.choose(candidates, self._random)
            wanted = self.options.logprobs
            return Choice(token) if wanted is None else described(usable, token, largest, wanted)


def build_chain(options: SamplingOptions, vocabulary: Vocabulary, constraint: Stage | None = None) -> Sequence[Stage]:
    """The samplers that the options turn on, in their order; what cannot change a greedy choice is left out."""
    samplers = [STAGES[name](options, vocabulary) for name in names_of(options)]
    built = [LogitBias.of(options, vocabulary), constraint, *samplers]
    chain: list[Stage] = []
    for stage in built:
        if stage is None:
            continue
        if isinstance(stage, Greedy):
            while chain and chain[-1].keeps_best:
                chain.pop()
        chain.append(stage)
    if options.temp == 0 and not any(isinstance(stage, Greedy) for stage in chain):
        chain.append(Greedy())
    return tuple(chain)


def names_of(options: SamplingOptions) -> Sequence[str]:
    """The samplers by name; beside Mirostat those that it leaves room for, and always a temperature."""
    if not options.mirostat:
        return options.samplers
    kept = [name for name in options.samplers if name in BESIDE_MIROSTAT]
    return kept if "temperature" in kept else [*kept, "temperature"]


def described(logits: Logits, token: int, largest: float, n_top: int) -> Choice:
    """The choice with ln of softmax probabilities among logits [n] (no NaN, no +inf), the largest of which is given.

    Alternatives that are impossible are left out.
    """
    log_total = float(np.log(weights_of(logits, largest).sum()))
    places = best(logits, min(n_top, logits.size)) if n_top else ()
    own, *top = (float(logits[i]) - largest - log_total for i in (token, *places))
    possible = tuple((int(i), share) for i, share in zip(places, top, strict=True) if share > -math.inf)
    return Choice(token, own, possible)
