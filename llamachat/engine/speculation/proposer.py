"""What guesses tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

DRAFT_MAX = 16


class Proposer(Protocol):
    """Proposes draft tokens. A wrong guess costs time, never a token: the model has the last word."""

    def propose(self, tokens: Sequence[int], most: int) -> Sequence[int]:
        """At most `most` tokens that may follow `tokens`, the whole text so far; none where it has no idea."""
        ...


@dataclass(frozen=True)
class Speculation:
    """Guesses ahead: at most `most` tokens a step by `proposer`. The text is the same with and without."""

    proposer: Proposer
    most: int = DRAFT_MAX
