"""What a person may set of the sampler chain: one record, names and defaults as llama.cpp's, checked when made.

It imports no NumPy, so that the command line can read names, defaults, ranges and explanations for its `--help`.
"""

import math
import os
from dataclasses import dataclass, field, fields, replace
from typing import Any

from llamachat.engine.sampling.names import DEFAULT_ORDER, order_of_letters, parse_bias, parse_order
from llamachat.errors import UsageError

RANDOM_SEED = -1
LARGEST_SEED = 2**64 - 1
BREAKERS = ("\n", ":", '"', "*")
NO_BREAKERS = "none"
LONGEST_BREAKER = 40
ESCAPES = {"\\n": "\n", "\\r": "\r", "\\t": "\t"}
MOST_LOGPROBS = 100


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


def _option(default: Any, bounds: Bounds | None, explanation: str, **more: Any) -> Any:
    metadata = {"help": explanation, **({"bounds": bounds} if bounds else {}), **more}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Settings of the sampler chain; defaults are llama.cpp's.

    `field.metadata` has "help", "bounds" of numbers, and "also": other names.
    samplers, logit_bias and dry_sequence_breaker may be given as on the command line. logprobs: None, or how many
    alternatives to tell of each token besides its own log-probability (a pass over the whole vocabulary). given: which
    settings were made, so that a file's own defaults do not replace them. Raises UsageError with the option's name and
    what it admits.
    """

    temp: float = _option(0.8, Bounds(0, 1000), "divides the logits; 0 is greedy sampling", also=("temperature",))
    top_k: int = _option(40, Bounds(-1), "keep the k most likely tokens; 0 or -1 is off")
    top_p: float = _option(0.95, Bounds(0, 1), "keep the most likely tokens with this cumulative probability; 1 is off")
    min_p: float = _option(
        0.05, Bounds(0, 1), "keep tokens with at least this probability relative to the most likely one; 0 is off"
    )
    typical: float = _option(
        1.0, Bounds(0, 1), "locally typical sampling with this cumulative probability; 1 is off", also=("typical_p",)
    )
    tfs: float = _option(1.0, Bounds(0, 1), "tail-free sampling, for old scripts; 1 is off")
    top_nsigma: float = _option(
        -1.0,
        Bounds(-1, 1000),
        "keep logits within this many standard deviations of the maximum; 0 or less is off",
        also=("top_n_sigma",),
    )
    xtc_probability: float = _option(0.0, Bounds(0, 1), "XTC: probability of removing the most likely tokens; 0 is off")
    xtc_threshold: float = _option(
        0.1, Bounds(0, 1), "XTC: of the tokens with at least this probability only the least likely one is kept"
    )
    dynatemp_range: float = _option(
        0.0, Bounds(0, 1000), "dynamic temperature: range around temp, chosen by the entropy; 0 is off"
    )
    dynatemp_exp: float = _option(1.0, Bounds(0, 100), "dynamic temperature: exponent of the normalised entropy")
    repeat_penalty: float = _option(1.0, Bounds(0.01, 100), "penalty for tokens that occurred recently; 1 is off")
    repeat_last_n: int = _option(
        64, Bounds(-1), "number of last tokens for the penalties; 0 is off, -1 is the whole context"
    )
    frequency_penalty: float = _option(
        0.0, Bounds(-100, 100), "subtracted from a token's logit for each occurrence; 0 is off"
    )
    presence_penalty: float = _option(
        0.0, Bounds(-100, 100), "subtracted from a token's logit if it occurred; 0 is off"
    )
    penalize_nl: bool = _option(False, None, "apply the penalties to the newline token, too")
    dry_multiplier: float = _option(
        0.0, Bounds(0, 1000), "DRY: multiplier of the penalty for continuing a repetition; 0 is off"
    )
    dry_base: float = _option(
        1.75, Bounds(1, 100), "DRY: base; the penalty grows by this factor for each repeated token"
    )
    dry_allowed_length: int = _option(2, Bounds(1), "DRY: shorter repetitions are not penalised")
    dry_penalty_last_n: int = _option(
        64, Bounds(-1), "DRY: number of last tokens to search; 0 is off, -1 is the whole context"
    )
    dry_sequence_breaker: tuple[str, ...] = _option(
        BREAKERS,
        None,
        "DRY: text that ends a repetition (\\n is a newline); `none` for no such text",
        metavar="TEXT",
    )
    mirostat: int = _option(0, Bounds(0, 2), "Mirostat sampling, version 1 or 2; 0 is off")
    mirostat_lr: float = _option(0.1, Bounds(0, 1), "Mirostat: learning rate (eta)")
    mirostat_ent: float = _option(5.0, Bounds(0, 100), "Mirostat: target entropy (tau) in bits")
    logit_bias: tuple[tuple[int, float], ...] = _option(
        (),
        None,
        "add a bias to a token's logit: 15043+1, 15043-0.5; 15043-inf bans the token",
        metavar="ID+X",
        also=("l",),
    )
    ignore_eos: bool = _option(False, None, "ban end tokens, so that the model does not stop by itself")
    seed: int = _option(
        RANDOM_SEED,
        Bounds(-1, LARGEST_SEED),
        "seed; the same seed and settings give the same tokens; -1 is random",
        also=("s",),
    )
    samplers: tuple[str, ...] = _option(
        DEFAULT_ORDER, None, "the samplers in this order, separated by ;", metavar="A;B", single=True
    )
    sampling_seq: str = _option(
        "", None, "the samplers as letters, such as edkypmxt", metavar="LETTERS", single=True, also=("sampler_seq",)
    )
    logprobs: int | None = None
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for item in fields(self):
            bounds = item.metadata.get("bounds")
            if bounds is not None:
                _check(item.name, getattr(self, item.name), bounds, whole=item.type is int)
        if self.logprobs is not None:
            _check("logprobs", self.logprobs, Bounds(0, MOST_LOGPROBS), whole=True)
        order = parse_order(self.samplers)
        if self.sampling_seq:
            letters = order_of_letters(self.sampling_seq)
            if order not in (letters, DEFAULT_ORDER):
                said = "samplers and sampling_seq both say which samplers there are: give one of them"
                raise UsageError(said, settings=("samplers", "sampling_seq"))
            order = letters
        object.__setattr__(self, "samplers", order)
        object.__setattr__(self, "logit_bias", parse_bias(self.logit_bias))
        object.__setattr__(self, "dry_sequence_breaker", _breakers(self.dry_sequence_breaker))

    def seeded(self) -> "SamplingOptions":
        """The same with a number for a seed: itself, or a copy with a fresh 32-bit seed where it is -1."""
        if self.seed != RANDOM_SEED:
            return self
        return replace(self, seed=int.from_bytes(os.urandom(4), "little"))


def _check(name: str, value: object, bounds: Bounds, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        said = f"{name} must be {'a whole number' if whole else 'a number'}, not {value!r}"
        raise UsageError(said, settings=(name,))
    if not bounds.admits(value):
        raise UsageError(f"{name} must be {bounds}, not {value!r}", settings=(name,))


def _breakers(given: Any) -> tuple[str, ...]:
    texts: tuple[str, ...] = (given,) if isinstance(given, str) else tuple(given)
    for text in texts:
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST_BREAKER:
            said = f"dry_sequence_breaker must be 1 to {LONGEST_BREAKER} characters, not {text!r}"
            raise UsageError(said, settings=("dry_sequence_breaker",))
    return tuple(_unescaped(text) for text in texts if text != NO_BREAKERS)


def _unescaped(text: str) -> str:
    """The text with what a shell cannot easily say; options are checked again when copied, so twice is as once."""
    for spelled, meant in ESCAPES.items():
        text = text.replace(spelled, meant)
    return text
