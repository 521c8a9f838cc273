"""DeepSeek's first mixture (Dai et al. 2024, arXiv 2401.06066).

Llama's attention; the first layers are dense, the others have many small experts and shared ones, which are one matrix.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.graph.experts import MAX_EXPERTS
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class DeepseekParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `deepseek` architecture."""

    n_dense: int = key("leading_dense_block_count", 0, low=0)
    n_shared: int = key("expert_shared_count", high=MAX_EXPERTS)


TENSORS: Final = f"""
{parts.EMBEDDING}
rope_freqs.weight?          n_rot/2
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight       n_embd
[layer < n_dense]
{parts.GATED_FEED_FORWARD}
[else]
{mixture.ROUTER}{mixture.EXPERTS}
{mixture.SHARED_EXPERT.replace("n_ff_shared", "n_shared*n_ff_expert")}
"""


def forward(g: Graph, p: DeepseekParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "adjacent", w.rope_freqs), p.routing()
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, mixture.feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture({"deepseek": "DeepSeekMoE 16B"}, DeepseekParams, TENSORS, forward, parts.NO_RESULT)
