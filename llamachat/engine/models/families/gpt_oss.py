"""gpt-oss (OpenAI 2025, arXiv 2508.10925).

Every other layer sees a sliding window, attention has a sink for each head, everything has biases. Shares are the
softmax over the chosen experts; their activation is a clamped SwiGLU.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import ClampedGlu, Graph, Mixture, Node
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads, WindowedHeads, window_pattern
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class GptOssParams(mixture.Experts, WindowedHeads, ScaledRotaryHeads):
    """Hyperparameters of the `gpt-oss` architecture."""

    window_pattern: int | tuple[bool, ...] = key("attention.sliding_window_pattern", 2, parse=window_pattern)
    scoring: int = key("expert_gating_func", 3, only=(3,))


ALPHA: Final = 1.702
LIMIT: Final = 7.0
"""Of the clamped SwiGLU."""

TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
blk.*.attn_sinks.weight             n_head
blk.*.post_attention_norm.weight    n_embd                    # the norm before the experts
{mixture.ROUTER}{mixture.EXPERTS}
blk.*.ffn_gate_inp.bias?            n_expert
blk.*.ffn_gate_exps.bias?           n_expert n_ff_expert
blk.*.ffn_up_exps.bias?             n_expert n_ff_expert
blk.*.ffn_down_exps.bias?           n_expert n_embd
"""


def forward(g: Graph, p: GptOssParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "halves", None), p.routing()
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        own = {"window": p.window if p.has_window(layer) else 0, "sinks": b.attn_sinks.weight}
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope, **own))
        h = g.rms_norm(x, b.post_attention_norm, p.norm_eps)
        chosen, share = mixture.route(g, b, g.linear(h, b.ffn_gate_inp), routing)
        gate, up = (mixture.expert_linear(g, h, chosen, one) for one in (b.ffn_gate_exps, b.ffn_up_exps))
        inner = g.append(ClampedGlu(up.width, gate, up, ALPHA, LIMIT))
        down = mixture.expert_linear(g, inner, chosen, b.ffn_down_exps)
        x = g.add(x, g.append(Mixture(down.width, down, share)))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture({"gpt-oss": "gpt-oss 20B and 120B"}, GptOssParams, TENSORS, forward, parts.NO_RESULT)
