"""DBRX (Databricks 2024, Introducing DBRX).

Layer norms without bias, queries, keys and values of one matrix and clamped, rotary halves.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
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
{parts.ANY_ATTENTION}
blk.*.attn_output_norm.weight   n_embd                        # the norm before the experts
{mixture.ROUTER}{mixture.EXPERTS}
"""


def forward(g: Graph, p: DbrxParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "halves", None), p.routing(normalised=True)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        qkv = parts.projections(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), p.clamp)
        x = g.add(x, g.linear(parts.heads(g, p, layer, qkv, rope=rope), b.attn_output))
        x = g.add(x, mixture.mixture(g, b, g.layer_norm(x, b.attn_output_norm, p.norm_eps), routing))
    return parts.logits(g, w, x, p.norm_eps, "layer")


ARCHITECTURE: Final = Architecture(
    {"dbrx": "DBRX"},
    DbrxParams,
    TENSORS,
    forward,
    parts.NO_RESULT_OF_LAYER_NORMS,
)
