"""What every sampler of the chain is."""

from abc import ABC, abstractmethod

from llamachat.engine.sampling.candidates import Candidates


class Stage(ABC):
    """One sampler: narrows the candidates or changes their logits.

    keeps_best: it never takes away the likeliest token and never changes the order, so that before a greedy choice
    it may be left out.
    """

    keeps_best = False

    @abstractmethod
    def apply(self, candidates: Candidates) -> None:
        """Change `candidates` in place; at least one must remain."""

    def accept(self, token: int) -> None:  # noqa: B027 (most samplers have no memory)
        """Take note that `token` is now part of the text: prompt, input or choice."""
