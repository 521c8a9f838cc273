"""What generating tells: tokens, and how it ended; and what generating needs of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from llamachat.errors import GrammarError

if TYPE_CHECKING:
    import numpy as np

    from llamachat.engine.arrays import NDArray

StopReason = Literal["eos", "length", "stop", "context", "cancelled", "deadline", "grammar"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Event:
    """Something that happened while generating; `text` is the text it set free, maybe ""; joined, the answer."""

    text: str


@dataclass(frozen=True)
class Token(Event):
    """A token was chosen. Its own text may be freed by a later event.

    logprob: ln of its probability, if `SamplingOptions.logprobs` asks for it; top: the likeliest tokens with theirs,
    best first. Both in the model's own distribution, before any sampler.
    """

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass
class Timings:
    """What an answer took: tokens, and seconds.

    n_known: tokens of the prompt that the context held already. sampling_s: choosing tokens, part of generation_s.
    n_drafted, n_accepted: tokens guessed ahead, and those of them that became part of the answer. n_past: tokens in
    the context at the end; n_forgotten: how many were dropped from it, after the first n_keep, to make room.
    """

    n_prompt: int = 0
    n_known: int = 0
    prompt_s: float = 0.0
    n_generated: int = 0
    generation_s: float = 0.0
    sampling_s: float = 0.0
    n_drafted: int = 0
    n_accepted: int = 0
    n_keep: int = 0
    n_forgotten: int = 0
    n_past: int = 0


@dataclass(frozen=True)
class Stop(Event):
    """The last event. reason: "eos" (an end token, for which there is no Token event, or the end of a grammar's text),
    "length" (max_tokens), "stop" (a stop string, not part of any text), "context" (it is full), "cancelled"
    (Context.cancel), "deadline" (it took too long), "grammar" (the grammar failed: `error` says how).
    """

    reason: StopReason
    timings: Timings = field(default_factory=Timings, compare=False)
    error: GrammarError | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Notice(Event):
    """Where a request stands before its answer begins; no part of the answer."""

    text: str = ""


@dataclass(frozen=True)
class Waiting(Notice):
    """A request waits for memory or for others to end; n_before: requests that came earlier and wait, too."""

    n_before: int = 0


@dataclass(frozen=True)
class Reading(Notice):
    """A request has a context, or a piece of its prompt was read; n_left tokens of the prompt are not yet."""

    n_left: int = 0


@dataclass(frozen=True)
class Failed(Event):
    """The last event of a request that could not be answered, or not to its end: what was raised."""

    error: Exception


class EvaluatingContext(Protocol):
    """What generating needs of a context. owner: who generates in it."""

    owner: object

    @property
    def n_ctx(self) -> int:
        """How many tokens it can hold."""
        ...

    @property
    def tokens(self) -> Sequence[int]:
        """The tokens evaluated so far."""
        ...

    @property
    def n_reusable(self) -> int:
        """How many of the first ones are as if evaluated anew; the others know of tokens that are forgotten."""
        ...

    @property
    def n_ahead(self) -> int:
        """How many more tokens can be evaluated and then forgotten again as if they had never been."""
        ...

    def eval(
        self, tokens: Sequence[int], logits: Literal["last", "all"] = "last", progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Append `tokens`; float32 [n_vocab] logits after the last, or [n, n_vocab] after each.

        Raises Cancelled, keeping a prefix of them.
        """
        ...

    @property
    def can_shift(self) -> bool:
        """Whether tokens can be taken out of the middle."""
        ...

    @property
    def needs_checkpoints(self) -> bool:
        """Whether there are places that only a checkpoint makes reachable."""
        ...

    def checkpoint(self, passing: bool = False) -> None:
        """Make the place after the last token reachable; passing: until the next one that is."""
        ...

    def cancel(self) -> None:
        """Stop the evaluation that runs, or the next one, from another thread."""
        ...

    def resume(self) -> None:
        """Take a `cancel` back that no evaluation has seen."""
        ...

    def reachable(self, n_past: int) -> int:
        """The most tokens, `n_past` or fewer, that it can go back to."""
        ...

    def rewind(self, n_past: int) -> int:
        """Forget everything after the first `n_past` tokens, or more where that cannot be reached; what is left."""
        ...

    def shift_refusal(self, first: int, last: int) -> str:
        """Why the tokens first .. last - 1 cannot be removed; "" where they can."""
        ...

    def remove(self, first: int, last: int) -> None:
        """Forget the tokens first .. last - 1 and move those after them down."""
        ...
