"""Command R and R+ (Cohere 2024, huggingface.co/CohereForAI/c4ai-command-r-v01).

One layer norm without bias in a layer, whose value both branches read, SwiGLU, adjacent pairs, logits times a constant.
From 64 layers on each head's queries and keys have layer norms with weights of their own.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import LayerNormHeads
from llamachat.engine.models.params import key, present, require
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

LAYERS_WITH_HEAD_NORMS: Final = 64


@dataclass(frozen=True)
class CommandRParams(LayerNormHeads):
    """Hyperparameters of the `command-r` architecture."""

    logit_scale: float = key("logit_scale", 0.0)
    head_norms: bool = present("blk.0.attn_q_norm.weight")

    def __post_init__(self) -> None:
        """Also raises ModelFileError for a large model without norms of its heads."""
        super().__post_init__()
        there = self.head_norms or self.n_layer < LAYERS_WITH_HEAD_NORMS
        require(there, "this tensor is missing", "blk.0.attn_q_norm.weight")


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
blk.*.attn_q_norm.weight    n_head head_dim     when head_norms == 1
blk.*.attn_k_norm.weight    n_head_kv head_dim  when head_norms == 1
{parts.GATE_UP_DOWN}
"""


def forward(g: Graph, p: CommandRParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.layer_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, rope, p.norm_eps, norm="layer"))
        x = g.add(x, parts.gated_feed_forward(g, b, h, "silu"))
    return parts.logits(g, w, x, p.norm_eps, "layer", p.logit_scale or 1.0)


ARCHITECTURE: Final = Architecture(
    {"command-r": "Command R, Command R+, Aya 23"},
    CommandRParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS,
)
