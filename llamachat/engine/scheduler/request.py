"""What a caller asks for, and where the contexts for it come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from llamachat.engine.answering import GenerationOptions
from llamachat.engine.events import EvaluatingContext
from llamachat.engine.generation_context import PromptLogits
from llamachat.engine.speculation.proposer import Speculation
from llamachat.errors import UsageError


@dataclass(frozen=True)
class Request:
    """A prompt in tokens, and how it is to be answered.

    options: sampling, grammar, stop strings, how many tokens; with `max_tokens` 0 the prompt is evaluated and nothing
    is generated. deadline_s: seconds after `Scheduler.add` at which the answer ends with the reason "deadline".
    speculation: who guesses tokens ahead, its own for each request. n_begun: the last n_begun tokens of the prompt are
    the first ones of the answer. prompt_logits: gets the logits after the prompt's own tokens.

    Raises UsageError for an empty prompt, and for n_begun that is not below its length.
    """

    prompt: Sequence[int]
    options: GenerationOptions = field(default_factory=GenerationOptions)
    deadline_s: float | None = None
    speculation: Speculation | None = None
    n_begun: int = 0
    prompt_logits: PromptLogits | None = None

    def check(self) -> None:
        """Raises UsageError for an empty prompt, and for numbers that do not fit it."""
        if not self.prompt:
            raise UsageError("the prompt is empty (it has no tokens), so there is nothing to continue; give some text")
        if not 0 <= self.n_begun < len(self.prompt):
            raise UsageError(f"n_begun must be from 0 to {len(self.prompt) - 1}, not {self.n_begun}")
        if self.prompt_logits is not None and not 0 <= self.prompt_logits.first < len(self.prompt):
            raise UsageError(
                f"logits of a prompt can be wanted from token 0 to {len(self.prompt) - 1} on, "
                f"not from {self.prompt_logits.first}"
            )


class Pool(Protocol):
    """Where contexts come from. `Scheduler.add` calls `check` from any thread, the others are called by `step` only."""

    @property
    def contexts(self) -> Sequence[EvaluatingContext]:
        """All that there are."""
        ...

    @property
    def full(self) -> bool:
        """Whether no request can have a context now, whatever its size."""
        ...

    def check(self, request: Request) -> None:
        """Raises ContextFull where none can ever hold the prompt."""
        ...

    def known(self, prompt: Sequence[int]) -> int:
        """How many of a prompt's first tokens are evaluated somewhere, so that they need not be again."""
        ...

    def take(self, prompt: Sequence[int], most: int | None) -> EvaluatingContext | None:
        """A context for a prompt and at most `most` tokens after it (None: as many as fit); None while there is none.

        Raises NotEnoughMemory where the system has no memory for it.
        """
        ...

    def give(self, context: EvaluatingContext) -> None:
        """Takes a context back."""
        ...
