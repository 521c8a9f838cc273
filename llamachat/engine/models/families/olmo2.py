"""OLMo 2 (OLMo et al. 2024, arXiv 2501.00656) and OLMo 3.

Norms behind the branches in place of before them, RMS norms over all queries and all keys of a token, rotary halves.
OLMo 3 has layers with a window, whose rotation is not scaled.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node, RopeSpec
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledWindowedHeads, window_pattern
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Olmo2Params(ScaledWindowedHeads):
    """Hyperparameters of the `olmo2` architecture."""

    window_pattern: int | tuple[bool, ...] = key("attention.sliding_window_pattern", 4, parse=window_pattern)


TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_q.weight         n_head*head_dim n_embd
blk.*.attn_k.weight         n_head_kv*head_dim n_embd
blk.*.attn_v.weight         n_head_kv*value_dim n_embd
blk.*.attn_output.weight    n_embd n_head*value_dim
blk.*.attn_q_norm.weight    n_head*head_dim
blk.*.attn_k_norm.weight    n_head_kv*head_dim
blk.*.post_attention_norm.weight    n_embd
{parts.GATE_UP_DOWN}
blk.*.post_ffw_norm.weight  n_embd
"""


def forward(g: Graph, p: Olmo2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    full, local = rope_spec(p, "halves", None), RopeSpec(p.n_rot, p.window_rope_base, "halves")
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        rope, window = (local, p.window) if p.has_window(layer) else (full, 0)
        h = parts.attention(g, p, b, x, layer, rope, p.norm_eps, window=window)
        x = g.add(x, g.rms_norm(h, b.post_attention_norm, p.norm_eps))
        x = g.add(x, g.rms_norm(parts.gated_feed_forward(g, b, x, "silu"), b.post_ffw_norm, p.norm_eps))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"olmo2": "OLMo 2 and OLMo 3"},
    Olmo2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
