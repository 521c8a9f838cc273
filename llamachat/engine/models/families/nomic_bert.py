"""Nomic Embed (Nussbaum et al. 2024, arXiv 2402.01613): BERT with rotary positions (halves) and SwiGLU."""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node, RopeSpec
from llamachat.engine.models import encoders
from llamachat.engine.models.encoders import Encoder
from llamachat.engine.models.params import key, require, same_as
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class NomicBertParams(Encoder):
    """Hyperparameters of the `nomic-bert` architecture."""

    n_rot: int = key("rope.dimension_count", same_as("head_dim"))
    rope_base: float = key("rope.freq_base", 10_000.0, low=1.001, high=1e15)
    rope_scaling: str = key("rope.scaling.type", "none", only=("none", "linear"))
    rope_scale: float = key("rope.scaling.factor", 1.0, low=1e-6, high=1e9)

    def __post_init__(self) -> None:
        """Also raises ModelFileError for dimensions that cannot turn."""
        super().__post_init__()
        turned = "rope.dimension_count"
        require(self.n_rot % 2 == 0, f"is {self.n_rot}, must be even: dimensions turn in pairs", turned)
        require(self.n_rot <= self.head_dim, f"is {self.n_rot}, but a head has only {self.head_dim} dimensions", turned)


TENSORS: Final = f"""
{encoders.EMBEDDING}
blk.*.attn_qkv.weight       3*n_embd n_embd
blk.*.attn_qkv.bias?        3*n_embd
blk.*.attn_output.weight    n_embd n_embd
blk.*.attn_output.bias?     n_embd
{encoders.NORMS}
blk.*.ffn_gate.weight       n_ff n_embd
blk.*.ffn_gate.bias?        n_ff
blk.*.ffn_up.weight         n_ff n_embd
blk.*.ffn_up.bias?          n_ff
blk.*.ffn_down.weight       n_embd n_ff
blk.*.ffn_down.bias?        n_embd
{encoders.CLASSIFIER}
"""


def forward(g: Graph, p: NomicBertParams, w: Weights) -> Node:
    """embeddings [n_tokens, n_embd]."""
    rope = RopeSpec(p.n_rot, p.rope_base, "halves", 1.0 if p.rope_scaling == "none" else p.rope_scale)
    x = encoders.embedded(g, w, p.norm_eps)
    for b in w.blk:
        x = g.layer_norm(g.add(x, encoders.attention(g, p, b, x, rope)), b.attn_output_norm, p.norm_eps)
        x = g.layer_norm(g.add(x, encoders.gated(g, b, x, "silu")), b.layer_output_norm, p.norm_eps)
    return x


ARCHITECTURE: Final = Architecture(
    {"nomic-bert": "Nomic Embed Text 1 and 1.5"},
    NomicBertParams,
    TENSORS,
    forward,
    without_effect=encoders.NO_RESULT,
)
