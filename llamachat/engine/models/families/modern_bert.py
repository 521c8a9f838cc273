"""ModernBERT (Warner et al. 2024, arXiv 2412.13663): an encoder with norms before each branch and rotary halves.

GeGLU with both halves in one matrix. Every third layer, from the first on, sees its whole text; others see half a
window to either side and turn with a base of their own. The first layer has no norm before its attention.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node, PositionBias, RopeSpec
from llamachat.engine.models import encoders, parts
from llamachat.engine.models.encoders import Encoder
from llamachat.engine.models.params import key, require, same_as
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class ModernBertParams(Encoder):
    """Hyperparameters of the `modern-bert` architecture."""

    rope_base: float = key("rope.freq_base", 160_000.0, low=1.001, high=1e15)
    window_rope_base: float = key("rope.freq_base_swa", 10_000.0, low=1.001, high=1e15)
    n_rot: int = key("rope.dimension_count", same_as("head_dim"))
    window: int = key("attention.sliding_window")
    period: int = key("attention.sliding_window_pattern", 3)

    def __post_init__(self) -> None:
        """Also raises ModelFileError for dimensions that cannot turn."""
        super().__post_init__()
        turned = f"is {self.n_rot}: an even number of at most {self.head_dim} dimensions can turn"
        require(self.n_rot % 2 == 0 and self.n_rot <= self.head_dim, turned, "rope.dimension_count")


TENSORS: Final = f"""
token_embd.weight           n_vocab n_embd
token_embd_norm.weight      n_embd
output_norm.weight          n_embd
blk.*.attn_norm.weight      n_embd                          when layer > 0
blk.*.attn_qkv.weight       3*n_embd n_embd
blk.*.attn_output.weight    n_embd n_embd
blk.*.ffn_norm.weight       n_embd
{parts.FUSED_FEED_FORWARD}
"""


def forward(g: Graph, p: ModernBertParams, w: Weights) -> Node:
    """embeddings [n_tokens, n_embd]."""
    local = PositionBias(p.n_head, window=p.window // 2)
    x = g.layer_norm(g.embed(w.token_embd), w.token_embd_norm, p.norm_eps)
    for layer, b in enumerate(w.blk):
        sees_all = layer % p.period == 0
        rope = RopeSpec(p.n_rot, p.rope_base if sees_all else p.window_rope_base, "halves")
        h = g.layer_norm(x, b.attn_norm, p.norm_eps) if b.has("attn_norm") else x
        x = g.add(x, encoders.attention(g, p, b, h, rope, None if sees_all else local))
        h = g.layer_norm(x, b.ffn_norm, p.norm_eps)
        x = g.add(x, parts.fused_feed_forward(g, b, h, "gelu"))
    return g.layer_norm(x, w.output_norm, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"modern-bert": "ModernBERT, Granite Embedding R2"},
    ModernBertParams,
    TENSORS,
    forward,
    without_effect=encoders.NO_RESULT,
)
