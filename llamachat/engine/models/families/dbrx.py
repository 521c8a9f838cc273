"""DBRX (Databricks 2024, Introducing DBRX).

Layer norms without bias, queries, keys and values of one matrix and clamped, rotary halves.
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
class DbrxParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `dbrx` architecture."""

    norm_eps: float = key("attention.layer_norm_epsilon", high=1.0)
    clamp: float = key("attention.clamp_kqv", high=1e9)


TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_norm.weight          n_embd
blk.*.attn_qkv.weight           n_head*head_dim+n_head_kv*head_dim+n_head_kv*value_dim n_embd
blk.*.attn_output.weight        n_embd n_head*value_dim
blk.*.attn_output_norm.weight   n_embd                        # the norm before the experts
{mixture.ROUTER}{mixture.EXPERTS}
"""


def forward(g: Graph, p: DbrxParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "halves", None), Routing(p.n_used, normalised=True, scale=p.weights_scale)
    widths = p.n_head * p.head_dim, p.n_head_kv * p.head_dim, p.n_head_kv * p.value_dim
    heads = {"n_head": p.n_head, "n_head_kv": p.n_head_kv, "scale": p.head_dim**-0.5, "rope": rope}
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.clamp(g.linear(g.layer_norm(x, b.attn_norm, p.norm_eps), b.attn_qkv), -p.clamp, p.clamp)
        q, k, v = g.split(h, *widths)
        x = g.add(x, g.linear(g.attention(q, k, v, layer=layer, **heads), b.attn_output))
        x = g.add(x, mixture.mixture(g, b, g.layer_norm(x, b.attn_output_norm, p.norm_eps), routing))
    return g.linear(g.layer_norm(x, w.output_norm, p.norm_eps), w.output or w.token_embd)


ARCHITECTURE: Final = Architecture(
    {"dbrx": "DBRX"},
    DbrxParams,
    TENSORS,
    forward,
    {"rope.scaling.finetuned": "says how the model was trained", "pooling_type": "is about sentence embeddings"},
)
