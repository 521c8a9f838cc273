"""What choosing tokens needs of a tokenizer."""

from collections.abc import Collection, Sequence
from typing import Protocol


class Vocabulary(Protocol):
    """The tokens that may be chosen, and what they print."""

    @property
    def n_vocab(self) -> int:
        """How many there are."""
        ...

    @property
    def eog(self) -> Collection[int]:
        """The tokens that end a generation."""
        ...

    @property
    def add_bos(self) -> bool:
        """Whether texts begin with a beginning-of-text token."""
        ...

    def piece_bytes(self, token: int, special: bool = ...) -> bytes:
        """What `token` prints; may be part of a character. With `special` a control token's name."""
        ...

    def encode(self, text: str, add_special: bool = ...) -> Sequence[int]:
        """The tokens of a text."""
        ...
