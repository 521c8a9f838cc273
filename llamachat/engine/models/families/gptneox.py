"""GPT-NeoX and Pythia (Black et al. 2022, arXiv 2204.06745; Biderman et al. 2023, arXiv 2304.01373).

Layer norms, partial rotary halves, a fused projection, GELU, biases everywhere. In most models both branches read the
same value of the residual stream, each with a norm of its own.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import LayerNormHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class GptNeoXParams(LayerNormHeads):
    """Hyperparameters of the `gptneox` architecture."""

    parallel: bool = key("use_parallel_residual", True)


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.LAYER_NORM_BIASES}
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_norm.bias         n_embd
{parts.ANY_ATTENTION}
{parts.FEED_FORWARD}
"""


def forward(g: Graph, p: GptNeoXParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        before = x
        x = g.add(x, parts.attention(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        h = g.layer_norm(before if p.parallel else x, b.ffn_norm, p.norm_eps)
        x = g.add(x, parts.feed_forward(g, b, h, "gelu"))
    return parts.logits(g, w, x, p.norm_eps, "layer")


ARCHITECTURE: Final = Architecture(
    {"gptneox": "GPT-NeoX 20B, Pythia, Dolly 2, StableLM Alpha, RedPajama INCITE"},
    GptNeoXParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS,
)
