"""Hyperparameters that architectures share, to be inherited: an architecture's own class adds what differs."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from llamachat.engine.models.params import (
    LARGEST_COUNT,
    LONGEST_ARRAY,
    key,
    present,
    quotient_of,
    require,
    rows_of,
    same_as,
)

MAX_GROUP: Final = 256
"""Query heads that share a key; kernels are written out for each."""

MAX_HEAD_DIM: Final = 1024
"""Dimensions of a head; kernels are written out for each."""


@dataclass(frozen=True)
class Decoder:
    """What every decoder has: sizes of vocabulary, residual stream and feed-forward layer, layers, trained context."""

    n_vocab: int = key("vocab_size", rows_of("token_embd.weight"))
    n_embd: int = key("embedding_length")
    n_layer: int = key("block_count")
    n_ff: int = key("feed_forward_length")
    context_length: int = key("context_length")
    causal: bool = key("attention.causal", True)

    def __post_init__(self) -> None:
        """Rules between fields: subclasses add theirs. Raises ModelFileError."""


@dataclass(frozen=True)
class Heads(Decoder):
    """Attention with grouped heads: n_head query heads, n_head_kv key and value heads.

    Queries and keys have head_dim numbers, values value_dim.
    """

    n_head: int = key("attention.head_count")
    n_head_kv: int = key("attention.head_count_kv", same_as("n_head"))
    head_dim: int = key("attention.key_length", quotient_of("n_embd", "n_head"))
    value_dim: int = key("attention.value_length", same_as("head_dim"))
    fused_qkv: bool = present("blk.0.attn_qkv.weight")

    def __post_init__(self) -> None:
        """Raises ModelFileError for heads that cannot be shared, or are too large."""
        super().__post_init__()
        kv, count = "attention.head_count_kv", "attention.head_count"
        evenly = f"{self.n_head} heads cannot share {self.n_head_kv} of them evenly ({count})"
        require(self.n_head % self.n_head_kv == 0, evenly, kv)
        shared = self.n_head // self.n_head_kv
        require(shared <= MAX_GROUP, f"{shared} heads share a key: at most {MAX_GROUP} are supported", count)
        largest = max(self.head_dim, self.value_dim)
        require(largest <= MAX_HEAD_DIM, f"heads of {largest} dimensions: at most {MAX_HEAD_DIM} are supported", count)


@dataclass(frozen=True)
class RotaryHeads(Heads):
    """Heads of which the first n_rot dimensions turn with the position, and RMS norms with one epsilon."""

    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)
    n_rot: int = key("rope.dimension_count", same_as("head_dim"))
    rope_base: float = key("rope.freq_base", 10_000.0, low=1.001, high=1e15)

    def __post_init__(self) -> None:
        """Also raises ModelFileError for dimensions that cannot turn."""
        super().__post_init__()
        turned = "rope.dimension_count"
        require(self.n_rot % 2 == 0, f"is {self.n_rot}, must be even: dimensions turn in pairs", turned)
        require(self.n_rot <= self.head_dim, f"is {self.n_rot}, but a head has only {self.head_dim} dimensions", turned)


def flag(value: object) -> int:
    """1 or 0 of a truth value, also where an array of a file holds it. Raises ValueError for anything else."""
    if isinstance(value, Hashable) and value in (0, 1):
        return int(bool(value))
    raise ValueError("true or false")


def window_pattern(value: object) -> int | tuple[bool, ...]:
    """The forms of `sliding_window_pattern`: every n-th layer is full, or for each layer whether it has a window.

    Raises ValueError with what it should have been.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_COUNT:
        return value
    if isinstance(value, Iterable) and not isinstance(value, str):
        flags = list(islice(value, LONGEST_ARRAY))
        if all(isinstance(flag, Hashable) and flag in (0, 1) for flag in flags):
            return tuple(bool(flag) for flag in flags)
    raise ValueError("a period of layers (1 or more) or an array of flags, one per layer")


@dataclass(frozen=True)
class WindowedHeads(RotaryHeads):
    """Layers of which some see only the last `window` tokens (0: none does); window_pattern: see the function."""

    window: int = key("attention.sliding_window", 0, low=0)
    window_pattern: int | tuple[bool, ...] = key("attention.sliding_window_pattern", parse=window_pattern)

    def __post_init__(self) -> None:
        """Also raises ModelFileError for a pattern that has not one flag for each layer."""
        super().__post_init__()
        require(
            isinstance(self.window_pattern, int) or len(self.window_pattern) == self.n_layer,
            f"has not one flag for each of the {self.n_layer} layers",
            "attention.sliding_window_pattern",
        )

    def has_window(self, layer: int) -> bool:
        """Whether a layer sees only the last `window` tokens."""
        if isinstance(self.window_pattern, int):
            return self.window > 0 and layer % self.window_pattern < self.window_pattern - 1
        return self.window > 0 and self.window_pattern[layer]


@dataclass(frozen=True)
class ScaledRotaryHeads(RotaryHeads):
    """Rotation with linear or YaRN scaling, as `rotary.rope_spec` reads it."""

    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear", "yarn"))
    rope_scale_v2: float = key("rope.scale_linear", 1.0, low=1e-6, high=1e9)  # the factor's name until GGUF v2
    rope_scale: float = key("rope.scaling.factor", same_as("rope_scale_v2"), low=1e-6, high=1e9)
    rope_attn_factor: float = key("rope.scaling.attn_factor", 1.0, high=1e9)
    yarn_original: int = key("rope.scaling.original_context_length", same_as("context_length"), low=0)
    yarn_ext_factor: float = key(
        "rope.scaling.yarn_ext_factor", -1.0, low=-1.0, high=1e9
    )  # below 0: 1 for YaRN, else 0
    yarn_beta_fast: float = key("rope.scaling.yarn_beta_fast", 32.0, low=1e-6, high=1e9)
    yarn_beta_slow: float = key("rope.scaling.yarn_beta_slow", 1.0, low=1e-6, high=1e9)

    @property
    def yarn_share(self) -> float:
        """How much of YaRN's ramp counts: 0 is linear scaling."""
        return self.yarn_ext_factor if self.yarn_ext_factor >= 0 else float(self.rope_scaling == "yarn")

    def __post_init__(self) -> None:
        """Also raises ModelFileError where the scaling lacks something it needs."""
        super().__post_init__()
        self.check_scaling()

    def check_scaling(self) -> None:
        """Raises ModelFileError where the scaling lacks something it needs."""
        sentence = "is 0, and YaRN cannot be computed without it"
        known = self.yarn_original > 0 or self.yarn_share == 0
        require(known, sentence, "rope.scaling.original_context_length")


@dataclass(frozen=True)
class ScaledWindowedHeads(WindowedHeads, ScaledRotaryHeads):
    """Layers with and without windows, whose rotation may be scaled and have another base where there is a window."""

    window_rope_base: float = key("rope.freq_base_swa", same_as("rope_base"), low=1.001, high=1e15)

    def window_at(self, layer: int) -> int:
        """How many of the last tokens a layer sees; 0: all."""
        return self.window if self.has_window(layer) else 0


@dataclass(frozen=True)
class LayerNormHeads(ScaledRotaryHeads):
    """The same with layer norms."""

    norm_eps: float = key("attention.layer_norm_epsilon", high=1.0)
