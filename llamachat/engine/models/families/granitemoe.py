"""Granite 3 with experts (IBM 2024, Granite 3.0 language models), with a shared one or none.

Llama's form with multipliers: of embeddings, of what each branch adds, of attention scores and of logits.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node, Routing
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class GraniteMoeParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `granitemoe` architecture."""

    n_ff_shared: int = key("expert_shared_feed_forward_length", 0, low=0)
    logit_divisor: float = key("logit_scale", low=1e-9, high=1e9)
    residual_scale: float = key("residual_scale", 1.0, high=1e9)
    embedding_scale: float = key("embedding_scale", 1.0, high=1e9)
    attention_scale: float = key("attention.scale", 0.0, high=1e9)
    rotates: bool = key("rope.scaling.finetuned", True)


TENSORS: Final = f"""
{parts.EMBEDDING}
rope_freqs.weight?          n_rot/2
{parts.ATTENTION}{parts.ATTENTION_BIASES}
blk.*.ffn_norm.weight       n_embd
{mixture.ROUTER}{mixture.EXPERTS}
[n_ff_shared > 0]
{mixture.SHARED_EXPERT}
"""


def forward(g: Graph, p: GraniteMoeParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", w.rope_freqs) if p.rotates else None
    routing = Routing(p.n_used, normalised=True, scale=p.weights_scale)
    scale, times = p.attention_scale or p.head_dim**-0.5, p.residual_scale or 1.0
    x = g.embed(w.token_embd, p.embedding_scale or 1.0)
    for layer, b in enumerate(w.blk):
        h = parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope, scale=scale)
        x = g.add(x, g.scale(h, times))
        h = mixture.feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing)
        x = g.add(x, g.scale(h, times))
    return g.scale(parts.logits(g, w, x, p.norm_eps), 1 / p.logit_divisor)


ARCHITECTURE: Final = Architecture(
    {"granitemoe": "Granite 3.0 and 3.1 1B-A400M and 3B-A800M"},
    GraniteMoeParams,
    TENSORS,
    forward,
    {name: why for name, why in parts.NO_RESULT.items() if name != "rope.scaling.finetuned"},
)
