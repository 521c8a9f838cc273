"""The context of an encoder-decoder: it reads a text with the encoder; the tokens that follow are of the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.context import Context, Fill, Progress, WhichRows
from llamachat.engine.inputs import Inputs, What, given_inputs, token_inputs
from llamachat.errors import ContextFull, UsageError

if TYPE_CHECKING:
    from llamachat.engine.backend.interface import Forward
    from llamachat.engine.plan import Plan

KEPT = "a context of an encoder-decoder cannot be kept: its state belongs to the text that was read"


@dataclass(frozen=True)
class Encoder:
    """How a text is read: name of what a step brings (`graph.Given`), how many tokens at most, what they are embedded
    as, float32 [n, width], and the tokens that an answer begins with.
    """

    name: str
    most: int
    embed: Callable[[Sequence[int]], NDArray[np.float32]]
    start: tuple[int, ...]


class ReadingContext(Context):
    """A `Context` whose tokens answer the text that was read last; it must have read one. No prefix is shared."""

    def __init__(self, forward: Forward, plan: Plan, n_ctx: int, encoder: Encoder) -> None:
        super().__init__(forward, plan, n_ctx)
        self._encoder, self._read = encoder, False
        self._text: NDArray[np.float32] | None = None

    def read(self, text: Sequence[int]) -> list[int]:
        """Reads a text's token ids and forgets everything; returns the tokens that the answer begins with.

        The encoder works when the first of them is evaluated. Raises UsageError for no tokens, and for ids that are not
        in the vocabulary, ContextFull for more than the encoder takes.
        """
        token_inputs(text, self._plan.n_vocab)
        if len(text) > self._encoder.most:
            said = f"the text has {len(text)} tokens, more than the {self._encoder.most} that the encoder takes"
            raise ContextFull(f"{said}: shorten it", settings=())
        self.truncate(0)
        self._text, self._read = self._encoder.embed(text), True
        return list(self._encoder.start)

    def _eval(self, rows: Inputs, which: WhichRows, progress: Progress | None, wanted: What) -> np.ndarray:
        if not self._read and not rows.given:
            raise UsageError("the model answers a text with its decoder: its encoder must read one first")
        if self._text is not None:
            rows = replace(rows, given=given_inputs({self._encoder.name: self._text}, self._plan))
        found = super()._eval(rows, which, progress, wanted)
        self._text, self._read = None, True
        return found

    def fork(self) -> Context:
        """Another context that has read the same text, with the same tokens evaluated."""
        other = ReadingContext(self._forward, self._plan, self.n_ctx, self._encoder)
        other.copy(self)
        return other

    def copy(self, other: Context) -> None:
        """Takes over another context's text and tokens; forgets its own."""
        super().copy(other)
        if isinstance(other, ReadingContext):
            self._text, self._read = other._text, other._read

    def forget(self) -> None:
        """Forgets the text, too: what the encoder made of it lies in the memory that is given back."""
        super().forget()
        self._text, self._read = None, False

    def take_over(self, other: Context) -> None:
        """Forgets everything and takes over nothing."""
        self.forget()

    def copy_prefix(self, other: Context, n_tokens: int) -> None:
        """Raises UsageError: what was read is not told by the tokens."""
        raise UsageError(f"{n_tokens} tokens cannot be taken over from another context: they answer a text")

    def memory(self, n_tokens: int) -> np.ndarray:
        """Raises UsageError; uint8 [n_bytes] elsewhere."""
        raise UsageError(KEPT)

    def restore(
        self, tokens: Sequence[int], fill: Fill, n_reusable: int | None = None, n_lost: int | None = None
    ) -> None:
        """Raises UsageError."""
        raise UsageError(KEPT)
