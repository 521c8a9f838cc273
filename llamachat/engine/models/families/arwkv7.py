"""ARWKV 7 (Yueyu et al. 2025, arXiv 2501.15570): a Qwen 2 whose attention was replaced by RWKV 7's time mixing.

RMS norms, SwiGLU; gate and head norm are in some files.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts, rwkv
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Arwkv7Params(rwkv.Mixing7):
    """Hyperparameters of the `arwkv7` architecture."""

    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)
    n_shifts: int = key("token_shift_count", 2, only=(1,))


TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_norm.weight              n_embd
{rwkv.PROJECTIONS}{rwkv.MIXING_7}{parts.GATED_FEED_FORWARD}
blk.*.time_mix_ln.weight?           n_embd
blk.*.time_mix_ln.bias?             n_embd
blk.*.time_mix_lerp_fused.weight    6 1 1 n_embd when n_gate > 0
blk.*.time_mix_lerp_fused.weight    5 1 1 n_embd when n_gate == 0
[n_gate > 0]
blk.*.time_mix_g1.weight            n_gate n_embd
blk.*.time_mix_g2.weight            n_embd n_gate
"""


def forward(g: Graph, p: Arwkv7Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x, first = g.embed(w.token_embd), None
    for layer, b in enumerate(w.blk):
        h, first = rwkv.mixing_7(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, first)
        x = g.add(x, h)
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"arwkv7": "ARWKV 7"},
    Arwkv7Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | {"attention.head_count": "there is no attention"},
)
