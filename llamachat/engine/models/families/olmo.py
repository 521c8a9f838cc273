"""OLMo (Groeneveld et al. 2024, arXiv 2402.00838).

Llama's form with layer norms that have neither weight nor bias; some models clip queries, keys and values.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import LayerNormHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class OlmoParams(LayerNormHeads):
    """Hyperparameters of the `olmo` architecture."""

    clip: float = key("attention.clamp_kqv", 0.0)


TENSORS: Final = f"""
token_embd.weight           n_vocab n_embd
output.weight?              n_vocab n_embd
blk.*.attn_q.weight         n_head*head_dim n_embd
blk.*.attn_k.weight         n_head_kv*head_dim n_embd
blk.*.attn_v.weight         n_head_kv*value_dim n_embd
blk.*.attn_output.weight    n_embd n_head*value_dim
{parts.GATE_UP_DOWN}
"""


def forward(g: Graph, p: OlmoParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        qkv = parts.projections(g, p, b, g.layer_norm(x, None, p.norm_eps), p.clip)
        x = g.add(x, g.linear(parts.heads(g, p, layer, qkv, rope=rope), b.attn_output))
        x = g.add(x, parts.gated_feed_forward(g, b, g.layer_norm(x, None, p.norm_eps), "silu"))
    return g.linear(g.layer_norm(x, None, p.norm_eps), w.output or w.token_embd)


ARCHITECTURE: Final = Architecture(
    {"olmo": "OLMo 1B and 7B"},
    OlmoParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS,
)
