"""DeepSeek V2, V3 and R1 (DeepSeek-AI 2024, arXiv 2405.04434, 2412.19437): latent attention, experts.

Files have the matrices that expand the latents as one (`attn_kv_b`: for each head rows of the key, then of the value)
or two, the key's transposed (`attn_k_b`, `attn_v_b`; attention is described as that of one key/value head of latents).
Both are multiplied with queries and outputs: the cache holds the latents. Lite models have no bottleneck of queries.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from llamachat.engine.graph import Graph, HeadLinear, HeadMatrices, LatentAttention, Node, RopeSpec
from llamachat.engine.graph.experts import MAX_EXPERTS, MAX_USED
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.mixture import GroupedExperts
from llamachat.engine.models.params import key, require, same_as
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class DeepSeek2Params(GroupedExperts, ScaledRotaryHeads):
    """Hyperparameters of the `deepseek2` architecture. n_query 0: queries have no bottleneck."""

    n_expert: int = key("expert_count", 0, low=0, high=MAX_EXPERTS)  # none where all layers are dense
    n_used: int = key("expert_used_count", 0, low=0, high=MAX_USED)
    n_dense: int = key("leading_dense_block_count", 0, low=0)
    n_shared: int = key("expert_shared_count", 0, low=0, high=1024)
    normalised: bool = key("expert_weights_norm", False)
    scoring: int = key("expert_gating_func", 1, only=(1, 2))
    n_query: int = key("attention.q_lora_rank", 0, low=0)
    n_latent: int = key("attention.kv_lora_rank", high=2048)
    key_dim: int = key("attention.key_length_mla", same_as("head_dim"))
    out_dim: int = key("attention.value_length_mla", same_as("value_dim"))
    yarn_log: float = key("rope.scaling.yarn_log_multiplier", 0.0, high=100.0)

    def __post_init__(self) -> None:
        """Also raises ModelFileError for keys without room for their rotated part, and layers without experts."""
        super().__post_init__()
        rotated = f"is {self.n_rot}, but keys have only {self.key_dim} dimensions"
        require(self.n_rot < self.key_dim, rotated, "rope.dimension_count")
        some = self.n_expert > 0 or self.n_dense >= self.n_layer
        require(some, f"is 0, but only the first {self.n_dense} of {self.n_layer} layers have none", "expert_count")

    @property
    def n_ff_shared(self) -> int:
        """Width of the shared experts, which are one network."""
        return self.n_shared * self.n_ff_expert

    @property
    def n_kept(self) -> int:
        """Numbers of a key that do not turn."""
        return self.key_dim - self.n_rot

    @property
    def n_expanded(self) -> int:
        """Numbers of a head that a latent can be expanded into."""
        return self.n_kept + self.out_dim

    @property
    def attention_scale(self) -> float:
        """YaRN's temperature is part of it, squared, and not of cos and sin."""
        growth = 1 + self.yarn_log * math.log(self.rope_scale) if self.rope_scaling == "yarn" else 1.0
        return float((growth * self.rope_attn_factor) ** 2 / math.sqrt(self.key_dim))


TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_norm.weight          n_embd
[n_query == 0]
blk.*.attn_q.weight             n_head*key_dim n_embd
[n_query > 0]
blk.*.attn_q_a.weight           n_query n_embd
blk.*.attn_q_a_norm.weight      n_query
blk.*.attn_q_b.weight           n_head*key_dim n_query
[]
blk.*.attn_kv_a_mqa.weight      n_latent+n_rot n_embd
blk.*.attn_kv_a_norm.weight     n_latent
blk.*.attn_kv_b.weight?         n_head*n_expanded n_latent
blk.*.attn_k_b.weight?          n_head n_latent n_kept
blk.*.attn_v_b.weight?          n_head out_dim n_latent
blk.*.attn_output.weight        n_embd n_head*out_dim
blk.*.ffn_norm.weight           n_embd
[layer < n_dense]
blk.*.ffn_gate.weight           n_ff n_embd
blk.*.ffn_up.weight             n_ff n_embd
blk.*.ffn_down.weight           n_embd n_ff
[layer >= n_dense]
{mixture.ROUTER}{mixture.EXPERTS}
blk.*.exp_probs_b.bias?         n_expert
[layer >= n_dense and n_shared > 0]
{mixture.SHARED_EXPERT}
"""


def forward(g: Graph, p: DeepSeek2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = replace(rope_spec(p, "adjacent", None), magnitude=1.0)
    chosen = replace(p.routing(normalised=p.normalised), n_group=p.n_group, n_group_used=p.n_group_used)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
        if layer < p.n_dense:
            x = g.add(x, parts.gated_feed_forward(g, b, h, "silu"))
            continue
        x = g.add(x, mixture.mixture(g, b, h, chosen))
        if p.n_shared:
            x = g.add(x, mixture.shared_expert(g, b, h))
    return parts.logits(g, w, x, p.norm_eps)


def attention(g: Graph, p: DeepSeek2Params, b: Weights, x: Node, layer: int, rope: RopeSpec) -> Node:
    """x, normed, through queries and latents to what `attn_output` makes of the heads. What turns stands first."""
    if p.n_query:
        q = g.linear(g.rms_norm(g.linear(x, b.attn_q_a), b.attn_q_a_norm, p.norm_eps), b.attn_q_b)
    else:
        q = g.linear(x, b.attn_q)
    both = g.linear(x, b.attn_kv_a_mqa)
    latent = g.rms_norm(g.columns(both, 0, p.n_latent), b.attn_kv_a_norm, p.norm_eps)
    k = g.concat(g.rope(g.columns(both, p.n_latent, p.n_rot), rope, p.n_rot), latent)
    turned = g.rope(g.columns(q, p.n_kept, p.n_rot, p.key_dim), rope, p.n_rot)
    into, out_of = matrices(p, b)
    absorbed = g.append(HeadLinear(p.n_head * p.n_latent, g.columns(q, 0, p.n_kept, p.key_dim), into))
    q = g.concat(turned, absorbed, p.n_head)
    heads = g.append(LatentAttention(absorbed.width, q, k, layer, p.n_head, p.attention_scale, rope))
    return g.linear(g.append(HeadLinear(p.n_head * p.out_dim, heads, out_of)), b.attn_output)


def matrices(p: DeepSeek2Params, b: Weights) -> tuple[HeadMatrices, HeadMatrices]:
    """From queries' heads into latents, and from latents to heads. Raises ModelFileError where one is missing."""
    if b.attn_kv_b is not None:
        both = b.attn_kv_b.weight
        return HeadMatrices(both, p.n_head, 0, p.n_kept, True), HeadMatrices(both, p.n_head, p.n_kept, p.out_dim)
    require(b.attn_k_b is not None and b.attn_v_b is not None, "this tensor is missing", "blk.*.attn_kv_b.weight")
    return HeadMatrices(b.attn_k_b.weight, p.n_head, 0, p.n_latent), HeadMatrices(
        b.attn_v_b.weight, p.n_head, 0, p.out_dim
    )


ARCHITECTURE: Final = Architecture(
    {"deepseek2": "DeepSeek V2, V2-Lite, V2.5, V3 and R1, DeepSeek-Coder V2, Kimi K2, Moonlight"},
    DeepSeek2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
