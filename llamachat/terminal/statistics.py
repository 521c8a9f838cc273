"""How fast an answer came: measured where its events arrive."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from llamachat.engine.generate import Event, Token


@dataclass
class Statistics:
    """Tokens and seconds of one answer: the prompt until the first event, the rest from there.

    n_known: tokens of the prompt that the context held already, so that they took no time.
    """

    n_prompt: int
    n_known: int = 0
    n_generated: int = 0
    prompt_s: float = 0.0
    generation_s: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    def watch(self, events: Iterator[Event]) -> Iterator[Event]:
        """The same events, counted and timed."""
        first = 0.0
        for event in events:
            now = time.perf_counter()
            first = first or now
            self.prompt_s = first - self.started
            self.generation_s = now - first
            self.n_generated += isinstance(event, Token)
            yield event

    def __str__(self) -> str:
        known = f" ({self.n_known} known)" if self.n_known else ""
        prompt = f"prompt {self.n_prompt} tokens{known} in {self.prompt_s:.2f} s"
        if not self.n_generated:
            return f"[{prompt}; no answer]"
        prompt += _rate(self.n_prompt - self.n_known, self.prompt_s)
        rate = _rate(self.n_generated - 1, self.generation_s)
        return f"[{prompt}; answer {self.n_generated} tokens in {self.generation_s:.2f} s{rate}]"


def _rate(tokens: int, seconds: float) -> str:
    return f", {tokens / seconds:.0f} tokens/s" if tokens > 0 and seconds > 0 else ""
