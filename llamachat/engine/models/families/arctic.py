"""Snowflake Arctic (Snowflake 2024, Arctic cookbook).

Llama's form; beside the feed-forward network of each layer there is a mixture that reads what the layer began with.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class ArcticParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `arctic` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
{parts.GATED_FEED_FORWARD.replace("n_ff", "n_embd")}
blk.*.ffn_norm_exps.weight  n_embd
{mixture.ROUTER}{mixture.EXPERTS}
"""


def forward(g: Graph, p: ArcticParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "adjacent", None), p.routing(normalised=True)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        begin = x
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
        x = g.add(x, mixture.mixture(g, b, g.rms_norm(begin, b.ffn_norm_exps, p.norm_eps), routing))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture({"arctic": "Snowflake Arctic"}, ArcticParams, TENSORS, forward, parts.NO_RESULT)
