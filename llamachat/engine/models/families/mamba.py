"""Mamba (Gu & Dao 2023, arXiv 2312.00752) and FalconMamba (Zuo et al. 2024, arXiv 2410.05355).

Layers of selective scans and nothing else. FalconMamba norms steps, b and c, without weights.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts, state_space
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class MambaParams(state_space.StateSpace):
    """Hyperparameters of the `mamba` architecture."""

    n_ff: int = key("feed_forward_length", 0, low=0)
    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)
    is_normed: bool = key("ssm.dt_b_c_rms", False)


TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_norm.weight      n_embd
{state_space.MAMBA}
"""


def forward(g: Graph, p: MambaParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, state_space.mamba(g, p, b, h, layer, p.norm_eps if p.is_normed else None))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"mamba": "Mamba 130M to 2.8B, FalconMamba 7B"},
    MambaParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | state_space.WITHOUT_HEADS,
)
