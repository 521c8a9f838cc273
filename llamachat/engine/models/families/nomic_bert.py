"""Nomic Embed (Nussbaum et al. 2024, arXiv 2402.01613): BERT with rotary positions (halves) and SwiGLU.

Nomic Embed 2 (arXiv 2502.07972) and Jina Embeddings 3 (arXiv 2409.10173) have GELU without a gate; in the former every
other layer is a mixture of such networks, whose shares are not normed again.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Mixture, Node, RopeSpec, Routing
from llamachat.engine.graph.experts import MAX_EXPERTS, MAX_USED
from llamachat.engine.models import encoders, mixture, parts
from llamachat.engine.models.encoders import Encoder
from llamachat.engine.models.params import PerLayer, key, present, require, same_as
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class NomicBertParams(Encoder):
    """Hyperparameters of the `nomic-bert` architecture."""

    n_rot: int = key("rope.dimension_count", same_as("head_dim"))
    rope_base: float = key("rope.freq_base", 10_000.0, low=1.001, high=1e15)
    rope_scaling: str = key("rope.scaling.type", "none", only=("none", "linear"))
    rope_scale: float = key("rope.scaling.factor", 1.0, low=1e-6, high=1e9)
    n_expert: int = key("expert_count", 0, low=0, high=MAX_EXPERTS)
    n_used: int = key("expert_used_count", 0, low=0, high=MAX_USED)
    period: int = key("moe_every_n_layers", 0, low=0)
    gated: bool = present("blk.0.ffn_gate.weight")

    def __post_init__(self) -> None:
        """Also raises ModelFileError for dimensions that cannot turn, and for more experts than there are."""
        super().__post_init__()
        used = f"is {self.n_used} of {self.n_expert} experts"
        require(not self.period or 1 <= self.n_used <= self.n_expert, used, "expert_used_count")
        turned = "rope.dimension_count"
        require(self.n_rot % 2 == 0, f"is {self.n_rot}, must be even: dimensions turn in pairs", turned)
        require(self.n_rot <= self.head_dim, f"is {self.n_rot}, but a head has only {self.head_dim} dimensions", turned)

    @property
    def routed(self) -> PerLayer[int]:
        """Whether a layer has experts: every `period`-th has, from the second on."""
        return PerLayer(int(self.period > 0 and layer % self.period == 1) for layer in range(self.n_layer))


TENSORS: Final = f"""
{encoders.EMBEDDING}
blk.*.attn_qkv.weight       3*n_embd n_embd
blk.*.attn_qkv.bias?        3*n_embd
blk.*.attn_output.weight    n_embd n_embd
blk.*.attn_output.bias?     n_embd
{encoders.NORMS}
[routed == 0]
blk.*.ffn_gate.weight       n_ff n_embd                   when gated == 1
blk.*.ffn_gate.bias?        n_ff                          when gated == 1
{parts.FEED_FORWARD}
[routed == 1]
{mixture.ROUTER}
blk.*.ffn_up_exps.weight    n_expert n_ff n_embd
blk.*.ffn_down_exps.weight  n_expert n_embd n_ff
[]
{encoders.CLASSIFIER}
"""


def forward(g: Graph, p: NomicBertParams, w: Weights) -> Node:
    """embeddings [n_tokens, n_embd]."""
    rope = RopeSpec(p.n_rot, p.rope_base, "halves", 1.0 if p.rope_scaling == "none" else p.rope_scale)
    x = encoders.embedded(g, w, p.norm_eps)
    for b in w.blk:
        x = g.layer_norm(g.add(x, encoders.attention(g, p, b, x, rope)), b.attn_output_norm, p.norm_eps)
        x = g.layer_norm(g.add(x, feed_forward(g, p, b, x)), b.layer_output_norm, p.norm_eps)
    return x


def feed_forward(g: Graph, p: NomicBertParams, b: Weights, x: Node) -> Node:
    """What a layer's network makes of x, or its experts."""
    if not b.has("ffn_gate_inp"):
        return encoders.gated(g, b, x, "silu") if b.has("ffn_gate") else parts.feed_forward(g, b, x, "gelu")
    chosen, share = mixture.route(g, b, g.linear(x, b.ffn_gate_inp), Routing(p.n_used))
    up = g.unary(mixture.expert_linear(g, x, chosen, b.ffn_up_exps), "gelu")
    return g.append(Mixture(p.n_embd, mixture.expert_linear(g, up, chosen, b.ffn_down_exps), share))


ARCHITECTURE: Final = Architecture(
    {
        "nomic-bert": "Nomic Embed Text 1 and 1.5",
        "nomic-bert-moe": "Nomic Embed Text 2",
        "jina-bert-v3": "Jina Embeddings 3",
    },
    NomicBertParams,
    TENSORS,
    forward,
    without_effect=encoders.NO_RESULT,
)
