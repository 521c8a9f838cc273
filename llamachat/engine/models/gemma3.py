"""Gemma 3, text (Gemma Team 2025, arXiv 2503.19786).

Norms before and after each branch, RMS norms of q and k per head, rotary halves, GeGLU, embeddings times sqrt(n_embd).
Most layers see a sliding window and turn with a base of their own, unscaled; every sixth layer sees everything.
The converter has already added one to the norms' weights.
"""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from llamachat.engine.graph import Graph, Node, RopeSpec
from llamachat.engine.models import parts
from llamachat.engine.models.base import RotaryHeads
from llamachat.engine.models.params import LARGEST_COUNT, LONGEST_ARRAY, key, require
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

LARGEST_MODEL_LAYERS: Final = 62
"""The 27B model, recognised by its layer count: its attention scale is 1/sqrt(n_embd/n_head)."""


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
class Gemma3Params(RotaryHeads):
    """Hyperparameters of the `gemma3` architecture. window: tokens, 0 = none; window_pattern: see the function."""

    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear"))
    rope_scale: float = key("rope.scaling.factor", 1.0, low=1e-6, high=1e9)
    window: int = key("attention.sliding_window", 0, low=0)
    window_pattern: int | tuple[bool, ...] = key("attention.sliding_window_pattern", 6, parse=window_pattern)
    window_rope_base: float = key("rope.freq_base_swa", 10_000.0, low=1.001, high=1e15)

    def __post_init__(self) -> None:
        """The rules between fields; ModelFileError."""
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

    @property
    def attention_scale(self) -> float:
        """1/sqrt of the size that scores are divided by."""
        size = self.n_embd // self.n_head if self.n_layer == LARGEST_MODEL_LAYERS else self.head_dim
        return 1 / math.sqrt(size)


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ATTENTION}{parts.HEAD_NORMS}
blk.*.post_attention_norm.weight    n_embd
{parts.GATED_FEED_FORWARD}
blk.*.post_ffw_norm.weight          n_embd
"""


def forward(g: Graph, p: Gemma3Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    full = RopeSpec(p.n_rot, p.rope_base, "halves", 1.0 if p.rope_scaling == "none" else p.rope_scale)
    local = RopeSpec(p.n_rot, p.window_rope_base, "halves")
    x = g.embed(w.token_embd, math.sqrt(p.n_embd))
    for layer, b in enumerate(w.blk):
        rope, window = (local, p.window) if p.has_window(layer) else (full, 0)
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        h = parts.attention(g, p, b, h, layer, rope, p.norm_eps, scale=p.attention_scale, window=window)
        x = g.add(x, g.rms_norm(h, b.post_attention_norm, p.norm_eps))
        h = parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "gelu")
        x = g.add(x, g.rms_norm(h, b.post_ffw_norm, p.norm_eps))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    Gemma3Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | {"rope.scaling.original_context_length": "matters to YaRN only"},
)
