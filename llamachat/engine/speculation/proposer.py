"""What guesses tokens."""

from collections.abc import Sequence
from typing import Protocol


class Proposer(Protocol):
    """Guesses how a text goes on. A wrong guess costs time, never a token: the model has the last word."""

    def propose(self, tokens: Sequence[int], most: int) -> Sequence[int]:
        """At most `most` tokens that may follow `tokens`, the whole text so far; none where it has no idea."""
        ...
