"""GPT-2 (Radford et al. 2019): learned positions, layer norms, a fused projection, GELU, biases everywhere.

StarCoder (Li et al. 2023, arXiv 2305.06161) has the same form, in which all heads share one key and value.
A context has at most as many tokens as there are positions, and cannot be shifted.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import Heads
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Gpt2Params(Heads):
    """Hyperparameters of `gpt2` and `starcoder`."""

    norm_eps: float = key("attention.layer_norm_epsilon", high=1.0)


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.LAYER_NORM_BIASES}
position_embd.weight        context_length n_embd
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_norm.bias         n_embd
{parts.ANY_ATTENTION}
{parts.FEED_FORWARD}
"""


def forward(g: Graph, p: Gpt2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.add_positions(g.embed(w.token_embd), w.position_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), layer, None))
        x = g.add(x, parts.feed_forward(g, b, g.layer_norm(x, b.ffn_norm, p.norm_eps), "gelu"))
    return parts.logits(g, w, x, p.norm_eps, "layer")


ARCHITECTURE: Final = Architecture(
    {
        "gpt2": "GPT-2, Cerebras-GPT",
        "starcoder": "StarCoder, StarCoderPlus, SantaCoder, Granite Code 20B and 34B",
    },
    Gpt2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS | parts.NO_ROTATION,
)
