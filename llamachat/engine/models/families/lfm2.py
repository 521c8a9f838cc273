"""LFM 2 (Liquid AI 2025, arXiv 2511.23404): gated short convolutions, and attention in some layers.

Norms of queries and keys per head, rotary halves, SwiGLU. The last norm is called `token_embd_norm`. In the mixtures
all layers but the first have experts: sigmoid scores, a bias for the choice alone, shares normed again.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Convolution, Graph, Node
from llamachat.engine.graph.experts import MAX_EXPERTS, MAX_USED
from llamachat.engine.models import mixture, parts, state_space
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import LARGEST_COUNT, key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Lfm2Params(state_space.HybridHeads, ScaledRotaryHeads, mixture.Experts):
    """Hyperparameters of the `lfm2` and `lfm2moe` architectures."""

    n_expert: int = key("expert_count", 0, low=0, high=MAX_EXPERTS)
    n_used: int = key("expert_used_count", 0, low=0, high=MAX_USED)
    n_dense: int = key("leading_dense_block_count", lambda earlier: 0 if earlier["n_expert"] else LARGEST_COUNT, low=0)
    scoring: int = key("expert_gating_func", 2, only=tuple(mixture.SCORINGS))
    n_taps: int = key("shortconv.l_cache", high=state_space.MAX_TAPS)


TENSORS: Final = f"""
token_embd.weight               n_vocab n_embd
token_embd_norm.weight          n_embd
output.weight?                  n_vocab n_embd                # absent: tied to token_embd
blk.*.attn_norm.weight          n_embd
[attends == 1]
{parts.ATTENTION}{parts.HEAD_NORMS}
[attends == 0]
blk.*.shortconv.conv.weight     n_embd n_taps
blk.*.shortconv.in_proj.weight  3*n_embd n_embd
blk.*.shortconv.out_proj.weight n_embd n_embd
[layer < n_dense]
{parts.GATED_FEED_FORWARD}
[layer >= n_dense]
blk.*.ffn_norm.weight           n_embd
{mixture.ROUTER}{mixture.EXPERTS}
blk.*.exp_probs_b.bias          n_expert
"""


def forward(g: Graph, p: Lfm2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    routing = p.routing(normalised=True)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        if p.attends[layer]:
            x = g.add(x, parts.attention(g, p, b, h, layer, rope, p.norm_eps))
        else:
            x = g.add(x, short_convolution(g, p, b, h, layer))
        h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
        if layer < p.n_dense:
            x = g.add(x, parts.gated_feed_forward(g, b, h, "silu"))
        else:
            x = g.add(x, mixture.mixture(g, b, h, routing))
    return g.linear(g.rms_norm(x, w.token_embd_norm, p.norm_eps), w.output or w.token_embd)


def short_convolution(g: Graph, p: Lfm2Params, b: Weights, x: Node, layer: int) -> Node:
    """x, normed, in three parts: the convolution of the product of the first and the last, times the second."""
    first, second, last = g.split(g.linear(x, b.shortconv_in_proj), p.n_embd, p.n_embd, p.n_embd)
    kernel = b.shortconv_conv.weight
    y = g.append(Convolution(p.n_embd, g.mul(first, last), kernel, None, False, layer))
    return g.linear(g.mul(y, second), b.shortconv_out_proj)


ARCHITECTURE: Final = Architecture(
    {"lfm2": "LFM 2 and 2.5, 350M to 2.6B", "lfm2moe": "LFM 2 8B-A1B, 24B-A2B"},
    Lfm2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
