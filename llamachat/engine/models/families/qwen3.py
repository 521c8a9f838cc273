"""Qwen 3, dense (Yang et al. 2025, arXiv 2505.09388).

Llama's form with RMS norms of each head's queries and keys, and rotary halves.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Qwen3Params(ScaledRotaryHeads):
    """Hyperparameters of the `qwen3` architecture."""

    n_cls: int = key("classifier_output_count", lambda earlier: earlier["rows"].get("cls.output.weight", 1))


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
cls.output.weight?          n_cls n_embd                  # rerankers: see engine/classifier.py
{parts.ANY_ATTENTION}
{parts.HEAD_NORMS}{parts.GATED_FEED_FORWARD}{parts.GATED_FEED_FORWARD_BIASES}
"""


def forward(g: Graph, p: Qwen3Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope, p.norm_eps))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"qwen3": "Qwen 3, dense, 0.6B to 32B, with the embedding and reranking models"},
    Qwen3Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | {"classifier.output_labels": "names of a classifier's numbers"},
)
