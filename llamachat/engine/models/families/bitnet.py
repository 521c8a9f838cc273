"""BitNet b1.58 (Ma et al. 2024, arXiv 2402.17764): weights -1, 0 and 1, and one scale for each matrix.

Llama's form with rotary halves and an RMS norm before the last product of each branch.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Activation, Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


def activation(value: object) -> str:
    """`hidden_activation`; raises ValueError for one that is not known."""
    if value in ("silu", "relu2"):
        return str(value)
    raise ValueError("silu or relu2")


@dataclass(frozen=True)
class BitnetParams(ScaledRotaryHeads):
    """Hyperparameters of the `bitnet` architecture."""

    activation: Activation = key("hidden_activation", "silu", parse=activation)


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
blk.*.attn_norm.weight      n_embd
blk.*.attn_q.weight         n_head*head_dim n_embd
blk.*.attn_k.weight         n_head_kv*head_dim n_embd
blk.*.attn_v.weight         n_head_kv*value_dim n_embd
blk.*.attn_sub_norm.weight  n_head*value_dim
blk.*.attn_output.weight    n_embd n_head*value_dim
{parts.GATED_FEED_FORWARD}
blk.*.ffn_sub_norm.weight   n_ff
"""


def forward(g: Graph, p: BitnetParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        qkv = parts.projections(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps))
        h = g.rms_norm(parts.heads(g, p, layer, qkv, rope=rope), b.attn_sub_norm, p.norm_eps)
        x = g.add(x, g.linear(h, b.attn_output))
        h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
        h = g.glu(g.linear(h, b.ffn_gate), g.linear(h, b.ffn_up), p.activation)
        x = g.add(x, g.linear(g.rms_norm(h, b.ffn_sub_norm, p.norm_eps), b.ffn_down))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"bitnet": "BitNet b1.58"},
    BitnetParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
