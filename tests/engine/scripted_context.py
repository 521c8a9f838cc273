"""A context with scripted logits and a vocabulary of ten tokens, for tests of what generates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from llamachat.engine.generate import (
    Event,
    GenerationOptions,
    generate,
)
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import Cancelled

PIECES = [b"a", b"b", b"c", b" END", b"\xf0\x9f", b"\x98\x80", b"EN", b"D!", b"<eos>", b"z"]
EOS = 8


class Words:
    """A tokenizer of ten tokens."""

    eog = frozenset({EOS})
    n_vocab = len(PIECES)
    add_bos = False

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return PIECES[token]


@dataclass
class Scripted:
    """A context that makes the script's token the likeliest at each position; it counts what it evaluates."""

    script: Sequence[int]
    n_ctx: int = 64
    cancel_at: int = -1
    tokens: list[int] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    n_removed: int = 0
    owner: object = None
    reusable: int | None = None

    @property
    def n_ahead(self) -> int:
        return self.n_ctx - len(self.tokens)

    @property
    def n_reusable(self) -> int:
        return len(self.tokens) if self.reusable is None else self.reusable

    def eval(
        self, tokens: Sequence[int], logits: str = "last", progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        assert len(self.tokens) + len(tokens) <= self.n_ctx
        rows: list[np.ndarray] = []
        for done, token in enumerate(tokens, 1):
            if len(self.tokens) == self.cancel_at:
                raise Cancelled("stopped")
            self.tokens.append(token)
            self.evaluated.append(token)
            rows.append(self.logits())
            if progress:
                progress(done, len(tokens))
        return np.array(rows) if logits == "all" else rows[-1]

    def logits(self) -> np.ndarray:
        result = np.zeros(len(PIECES), dtype=np.float32)
        place = len(self.tokens) + self.n_removed
        result[self.script[min(place, len(self.script)) - 1]] = 9
        return result

    def remove(self, first: int, last: int) -> None:
        assert 0 <= first < last <= len(self.tokens)
        self.n_removed += last - first
        del self.tokens[first:last]

    def truncate(self, n_past: int) -> None:
        assert n_past <= len(self.tokens)
        del self.tokens[n_past:]

    can_shift = True
    needs_checkpoints = False

    def shift_refusal(self, first: int, last: int) -> str:
        return ""

    def cancel(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def reachable(self, n_past: int) -> int:
        return n_past

    def rewind(self, n_past: int) -> int:
        assert n_past <= len(self.tokens)
        del self.tokens[n_past:]
        return n_past

    def checkpoint(self, passing: bool = False) -> None:
        pass


GREEDY = SamplingOptions(temp=0)


def run(context: Scripted, prompt: list[int], **options: object) -> list[Event]:
    settings = {"sampling": GREEDY, **options}
    return list(generate(context, Words(), prompt, GenerationOptions(**settings)))  # type: ignore[arg-type]


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events)
