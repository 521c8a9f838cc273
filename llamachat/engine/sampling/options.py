"""What a person may set of the sampler chain: one record, names and defaults as llama.cpp's, checked when made.

It imports no NumPy, so that the command line can read names, defaults, ranges and explanations for its `--help`.
"""

import math
import os
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

from llamachat.errors import UsageError

SAMPLERS = ("penalties", "top_k", "top_p", "min_p", "temperature")
"""Every sampler's name, in the usual order (llama.cpp's default `--samplers`, without those not written yet)."""

RANDOM_SEED = -1
LARGEST_SEED = 2**64 - 1


@dataclass(frozen=True)
class Bounds:
    """The values that an option admits: from `least` to `most`, both included."""

    least: float
    most: float = math.inf

    def admits(self, value: float) -> bool:
        """Whether `value` is inside; NaN and infinities are not."""
        return self.least <= value <= self.most and value != math.inf

    def __str__(self) -> str:
        if math.isinf(self.most):
            return f"{self.least:g} or more"
        return f"from {self.least:g} to {self.most}"


def _option(default: float, bounds: Bounds, explanation: str) -> Any:
    return field(default=default, metadata={"bounds": bounds, "help": explanation})


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Settings of the sampler chain; defaults are llama.cpp's. `field.metadata` has "bounds" and "help" of each number.

    samplers: the chain, in order; a name left out is a sampler left out. logprobs: also compute each choice's
    log-probability (a pass over the whole vocabulary). Raises UsageError with the option's name and what it admits.
    """

    temp: float = _option(0.8, Bounds(0, 1000), "divides the logits; 0 always takes the most likely token")
    top_k: int = _option(40, Bounds(-1), "keep the k most likely tokens; 0 or -1 keeps all")
    top_p: float = _option(0.95, Bounds(0, 1), "keep the likeliest tokens that reach this probability together")
    min_p: float = _option(0.05, Bounds(0, 1), "keep tokens at least this likely, relative to the likeliest")
    repeat_penalty: float = _option(1.0, Bounds(0.01, 100), "make tokens of the recent past less likely; 1 is off")
    repeat_last_n: int = _option(64, Bounds(-1), "how many tokens the penalties look back; 0 is off, -1 is everything")
    frequency_penalty: float = _option(
        0.0, Bounds(-100, 100), "subtracted from a token's logit for each time it occurred"
    )
    presence_penalty: float = _option(0.0, Bounds(-100, 100), "subtracted from a token's logit if it occurred")
    seed: int = _option(RANDOM_SEED, Bounds(-1, LARGEST_SEED), "same seed, same settings: same tokens; -1 is random")
    samplers: tuple[str, ...] = SAMPLERS
    logprobs: bool = False

    def __post_init__(self) -> None:
        for item in fields(self):
            bounds = item.metadata.get("bounds")
            if bounds is not None:
                _check(item.name, getattr(self, item.name), bounds, whole=item.type is int)
        for name in self.samplers:
            if name not in SAMPLERS:
                close = get_close_matches(name, SAMPLERS, 1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(SAMPLERS)}"
                raise UsageError(f"samplers: there is no sampler named {name!r}; {hint}")
        if len(set(self.samplers)) < len(self.samplers):
            raise UsageError(f"samplers: a name stands twice in {';'.join(self.samplers)}")

    def seeded(self) -> "SamplingOptions":
        """The same with a number for a seed: itself, or a copy with a fresh 32-bit seed where it is -1."""
        if self.seed != RANDOM_SEED:
            return self
        return replace(self, seed=int.from_bytes(os.urandom(4), "little"))


def _check(name: str, value: object, bounds: Bounds, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise UsageError(f"{name} must be {'a whole number' if whole else 'a number'}, not {value!r}")
    if not bounds.admits(value):
        raise UsageError(f"{name} must be {bounds}, not {value!r}")
