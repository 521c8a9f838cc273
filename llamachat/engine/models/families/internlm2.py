"""InternLM 2 (Cai et al. 2024, arXiv 2403.17297): Llama's form.

The converter takes the fused projection of the original apart. XVERSE (github.com/xverse-ai) and ERNIE 4.5, dense
(Baidu 2025, technical report) have the same form.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Internlm2Params(ScaledRotaryHeads):
    """Hyperparameters of `internlm2`, `xverse` and `ernie4_5`."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
{parts.GATED_FEED_FORWARD}{parts.GATED_FEED_FORWARD_BIASES}
"""


def forward(g: Graph, p: Internlm2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {
        "internlm2": "InternLM 2 and 2.5",
        "xverse": "XVERSE 7B, 13B and 65B",
        "ernie4_5": "ERNIE 4.5 0.3B",
    },
    Internlm2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
