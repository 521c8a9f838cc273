"""OpenELM (Mehta et al. 2024, arXiv 2404.14619).

Llama's form with numbers of heads and sizes of the feed-forward layer that grow from layer to layer, a fused
projection, RMS norms of each head's queries and keys, rotary halves.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import MAX_GROUP, MAX_HEAD_DIM, ScaledRotaryHeads
from llamachat.engine.models.params import PerLayer, key, require, same_as
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class OpenElmParams(ScaledRotaryHeads):
    """Hyperparameters of the `openelm` architecture."""

    n_ff: PerLayer[int] = key("feed_forward_length", per_layer=int)  # type: ignore[assignment]
    n_head: PerLayer[int] = key("attention.head_count", per_layer=int)  # type: ignore[assignment]
    n_head_kv: PerLayer[int] = key(  # type: ignore[assignment]
        "attention.head_count_kv", same_as("n_head"), per_layer=int
    )
    head_dim: int = key("attention.key_length", high=MAX_HEAD_DIM)
    value_dim: int = key("attention.value_length", same_as("head_dim"), high=MAX_HEAD_DIM)

    def __post_init__(self) -> None:
        """Raises ModelFileError for heads that cannot be shared, or that cannot turn."""
        pairs = list(zip(self.n_head, self.n_head_kv, strict=True))
        evenly = all(n % n_kv == 0 and n // n_kv <= MAX_GROUP for n, n_kv in pairs)
        require(evenly, "heads cannot share keys evenly", "attention.head_count_kv")
        turns = self.n_rot % 2 == 0 and self.n_rot <= self.head_dim
        require(turns, f"is {self.n_rot}, must be even and at most {self.head_dim}", "rope.dimension_count")
        self.check_scaling()


TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_norm.weight      n_embd
blk.*.attn_qkv.weight       n_head*head_dim+n_head_kv*head_dim+n_head_kv*value_dim n_embd
blk.*.attn_output.weight    n_embd n_head*value_dim
{parts.HEAD_NORMS}{parts.GATED_FEED_FORWARD}
"""


def forward(g: Graph, p: OpenElmParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        n_head, n_kv = p.n_head[layer], p.n_head_kv[layer]
        qkv = g.linear(g.rms_norm(x, b.attn_norm, p.norm_eps), b.attn_qkv)
        q, k, v = g.split(qkv, n_head * p.head_dim, n_kv * p.head_dim, n_kv * p.value_dim)
        q, k = g.rms_norm(q, b.attn_q_norm, p.norm_eps), g.rms_norm(k, b.attn_k_norm, p.norm_eps)
        shape = {"layer": layer, "n_head": n_head, "n_head_kv": n_kv}
        x = g.add(x, g.linear(g.attention(q, k, v, scale=p.head_dim**-0.5, rope=rope, **shape), b.attn_output))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"openelm": "OpenELM 270M to 3B"}, OpenElmParams, TENSORS, forward, without_effect=parts.NO_RESULT
)
