"""Mamba 2 (Dao & Gu 2024, arXiv 2405.21060), Codestral Mamba: layers of scans with heads and nothing else."""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts, state_space
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Mamba2Params(state_space.GroupedStateSpace):
    """Hyperparameters of the `mamba2` architecture."""

    n_ff: int = key("feed_forward_length", 0, low=0)
    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)


TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_norm.weight      n_embd
{state_space.MAMBA_2}{state_space.MAMBA_2_NORM}
"""


def forward(g: Graph, p: Mamba2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, state_space.mamba_2(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, p.norm_eps))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"mamba2": "Mamba 2 130M to 2.7B, Codestral Mamba 7B"},
    Mamba2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | state_space.WITHOUT_HEADS,
)
