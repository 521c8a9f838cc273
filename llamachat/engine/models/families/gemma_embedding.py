"""EmbeddingGemma (Google 2025, arXiv 2509.20354): Gemma 3 whose tokens see their whole text, without an output matrix.

Five of six layers see half a window to either side.
"""

import math
from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node, PositionBias, RopeSpec, TextAttention
from llamachat.engine.models import encoders, parts
from llamachat.engine.models.base import WindowedHeads, window_pattern
from llamachat.engine.models.encoders import MAX_TEXT
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class GemmaEmbeddingParams(WindowedHeads):
    """Hyperparameters of the `gemma-embedding` architecture."""

    context_length: int = key("context_length", high=MAX_TEXT)
    causal: bool = key("attention.causal", False, only=(False,))
    window: int = key("attention.sliding_window")
    window_pattern: int | tuple[bool, ...] = key("attention.sliding_window_pattern", 6, parse=window_pattern)
    window_rope_base: float = key("rope.freq_base_swa", 10_000.0, low=1.001, high=1e15)


TENSORS: Final = f"""
token_embd.weight                   n_vocab n_embd
output_norm.weight                  n_embd
{parts.ATTENTION}{parts.HEAD_NORMS}
blk.*.post_attention_norm.weight    n_embd
{parts.GATED_FEED_FORWARD}
blk.*.post_ffw_norm.weight          n_embd
"""


def forward(g: Graph, p: GemmaEmbeddingParams, w: Weights) -> Node:
    """embeddings [n_tokens, n_embd]."""
    full, local = (RopeSpec(p.n_rot, base, "halves") for base in (p.rope_base, p.window_rope_base))
    near = PositionBias(p.n_head, window=p.window // 2)
    x = g.embed(w.token_embd, math.sqrt(p.n_embd))
    for layer, b in enumerate(w.blk):
        rope, bias = (local, near) if p.has_window(layer) else (full, None)
        h = attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), rope, bias)
        x = g.add(x, g.rms_norm(h, b.post_attention_norm, p.norm_eps))
        h = parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "gelu")
        x = g.add(x, g.rms_norm(h, b.post_ffw_norm, p.norm_eps))
    return g.rms_norm(x, w.output_norm, p.norm_eps)


def attention(
    g: Graph, p: GemmaEmbeddingParams, b: Weights, x: Node, rope: RopeSpec, bias: PositionBias | None
) -> Node:
    """x, normed, through heads whose queries and keys are normed."""
    q, k, v = parts.projections(g, p, b, x)
    q = g.rope(g.rms_norm(q, b.attn_q_norm, p.norm_eps), rope, p.head_dim)
    k = g.rope(g.rms_norm(k, b.attn_k_norm, p.norm_eps), rope, p.head_dim)
    heads = TextAttention(p.n_head * p.value_dim, q, k, v, p.n_head, p.n_head_kv, p.head_dim**-0.5, bias)
    return g.linear(g.append(heads), b.attn_output)


ARCHITECTURE: Final = Architecture(
    {"gemma-embedding": "EmbeddingGemma 300M"},
    GemmaEmbeddingParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | encoders.NO_RESULT,
)
