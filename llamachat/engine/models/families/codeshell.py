"""CodeShell (WisdomShell 2023, github.com/WisdomShell/codeshell).

StarCoder's form with rotary halves and grouped queries. Some files have the embeddings as the output matrix only.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import LayerNormHeads
from llamachat.engine.models.params import key, rows_of
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class CodeshellParams(LayerNormHeads):
    """Hyperparameters of the `codeshell` architecture."""

    n_vocab: int = key("vocab_size", rows_of("token_embd.weight", "output.weight"))


TENSORS: Final = f"""
token_embd.weight?          n_vocab n_embd
output.weight?              n_vocab n_embd
output_norm.weight          n_embd
{parts.LAYER_NORM_BIASES}
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_norm.bias         n_embd
{parts.FEED_FORWARD}
"""


def forward(g: Graph, p: CodeshellParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd or w.output)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.feed_forward(g, b, g.layer_norm(x, b.ffn_norm, p.norm_eps), "gelu"))
    return parts.logits(g, w, x, p.norm_eps, "layer")


ARCHITECTURE: Final = Architecture(
    {"codeshell": "CodeShell 7B"},
    CodeshellParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS,
)
