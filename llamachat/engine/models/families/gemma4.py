"""Gemma 4, text (Google 2026, model card): Gemma 3 with heads of other sizes in layers with a window, and V normed.

The last layers have no keys and values of their own: they use those of the last layer of their kind that does. A layer
without values of its own takes the keys, before their norm, for values. Small models add an embedding of each layer to
it; the mixture has a dense feed-forward network beside the experts in every layer.
"""

import math
from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Layer, Node, RopeSpec
from llamachat.engine.graph.experts import MAX_EXPERTS, MAX_USED
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import MAX_GROUP, MAX_HEAD_DIM, Decoder, flag
from llamachat.engine.models.params import PerLayer, key, present, require, same_as
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Gemma4Params(mixture.Experts, Decoder):
    """Hyperparameters of the `gemma4` architecture; `_window`: in layers with a window, for which windowed is 1."""

    n_ff: PerLayer[int] = key("feed_forward_length", per_layer=int)  # type: ignore[assignment]
    n_expert: int = key("expert_count", 0, low=0, high=MAX_EXPERTS)
    n_used: int = key("expert_used_count", 0, low=0, high=MAX_USED)
    n_ff_expert: int = key("expert_feed_forward_length", 0, low=0)
    fused_qkv: bool = present("blk.0.attn_qkv.weight")
    n_head: PerLayer[int] = key("attention.head_count", per_layer=int)
    n_head_kv: PerLayer[int] = key("attention.head_count_kv", same_as("n_head"), per_layer=int)
    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)
    windowed: PerLayer[int] = key("attention.sliding_window_pattern", parse=flag, per_layer=int)
    window: int = key("attention.sliding_window")
    n_shared: int = key("attention.shared_kv_layers", 0, low=0)
    head_dim: int = key("attention.key_length", high=MAX_HEAD_DIM)
    value_dim: int = key("attention.value_length", same_as("head_dim"), high=MAX_HEAD_DIM)
    head_dim_window: int = key("attention.key_length_swa", high=MAX_HEAD_DIM)
    value_dim_window: int = key("attention.value_length_swa", same_as("head_dim_window"), high=MAX_HEAD_DIM)
    n_rot: int = key("rope.dimension_count", same_as("head_dim"))
    n_rot_window: int = key("rope.dimension_count_swa", same_as("head_dim_window"))
    rope_base: float = key("rope.freq_base", 10_000.0, low=1.001, high=1e15)
    rope_base_window: float = key("rope.freq_base_swa", 10_000.0, low=1.001, high=1e15)
    rope_scale: float = key("rope.scaling.factor", 1.0, low=1e-6, high=1e9)
    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear"))
    n_embd_layer: int = key("embedding_length_per_layer_input", 0, low=0)
    logit_cap: float = key("final_logit_softcapping", 0.0, high=1e9)

    def __post_init__(self) -> None:
        """Raises ModelFileError for heads that cannot be shared or cannot turn, and for layers that share nothing."""
        super().__post_init__()
        groups = [(n, n_kv) for n, n_kv in zip(self.n_head, self.n_head_kv, strict=True)]
        evenly = all(n % n_kv == 0 and n // n_kv <= MAX_GROUP for n, n_kv in groups)
        require(evenly, "heads cannot share keys evenly", "attention.head_count_kv")
        same = self.head_dim == self.value_dim and self.head_dim_window == self.value_dim_window
        require(same, "keys and values must be equally wide", "attention.value_length")
        for n_rot, size, where in (
            (self.n_rot, self.head_dim, "rope.dimension_count"),
            (self.n_rot_window, self.head_dim_window, "rope.dimension_count_swa"),
        ):
            require(n_rot % 2 == 0 and n_rot <= size, f"is {n_rot}, must be even and at most {size}", where)
        for layer in range(self.n_own, self.n_layer):
            there = self.source(layer) >= 0 and self.windowed[self.source(layer)] == self.windowed[layer]
            sentence = f"is {self.n_shared}, but layer {layer} finds no layer of its kind before them"
            require(there, sentence, "attention.shared_kv_layers")

    @property
    def n_own(self) -> int:
        """Layers with keys and values of their own."""
        return max(self.n_layer - self.n_shared, 0)

    def source(self, layer: int) -> int:
        """The layer whose keys and values a later one uses."""
        return self.n_own - (2 if self.windowed[layer] else 1)


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
rope_freqs.weight                   n_rot/2                         # what the angle of each pair is divided by
blk.*.attn_norm.weight              n_embd
[windowed == 1]
blk.*.attn_q.weight                 n_head*head_dim_window n_embd
blk.*.attn_q_norm.weight            head_dim_window
blk.*.attn_k.weight?                n_head_kv*head_dim_window n_embd  # absent where another layer's is used
blk.*.attn_k_norm.weight?           head_dim_window
blk.*.attn_v.weight?                n_head_kv*head_dim_window n_embd  # absent: that of the keys
blk.*.attn_output.weight            n_embd n_head*head_dim_window
[windowed == 0]
blk.*.attn_q.weight                 n_head*head_dim n_embd
blk.*.attn_q_norm.weight            head_dim
blk.*.attn_k.weight?                n_head_kv*head_dim n_embd
blk.*.attn_k_norm.weight?           head_dim
blk.*.attn_v.weight?                n_head_kv*head_dim n_embd
blk.*.attn_output.weight            n_embd n_head*head_dim
[]
blk.*.post_attention_norm.weight    n_embd
{parts.GATED_FEED_FORWARD}
blk.*.post_ffw_norm.weight          n_embd
blk.*.layer_output_scale.weight?    1
[n_expert > 0]
{mixture.ROUTER}
blk.*.ffn_gate_inp.scale            n_embd
blk.*.pre_ffw_norm_2.weight         n_embd
blk.*.post_ffw_norm_1.weight        n_embd
blk.*.post_ffw_norm_2.weight        n_embd
blk.*.ffn_gate_up_exps.weight?      n_expert 2*n_ff_expert n_embd
blk.*.ffn_gate_exps.weight?         n_expert n_ff_expert n_embd       # where gate and up are not one matrix
blk.*.ffn_up_exps.weight?           n_expert n_ff_expert n_embd
blk.*.ffn_down_exps.weight          n_expert n_embd n_ff_expert
blk.*.ffn_down_exps.scale?          n_expert
[n_embd_layer > 0]
per_layer_token_embd.weight         n_vocab n_layer*n_embd_layer
per_layer_model_proj.weight         n_layer*n_embd_layer n_embd
per_layer_proj_norm.weight          n_embd_layer
blk.*.inp_gate.weight               n_embd_layer n_embd
blk.*.proj.weight                   n_embd n_embd_layer
blk.*.post_norm.weight              n_embd
"""


def forward(g: Graph, p: Gemma4Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.embed(w.token_embd, math.sqrt(p.n_embd))
    own = layer_embeddings(g, p, w, x) if p.n_embd_layer else None
    sources: dict[int, Node] = {}
    for layer, b in enumerate(w.blk):
        h = attention(g, p, w, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, sources)
        x = g.add(x, g.rms_norm(h, b.post_attention_norm, p.norm_eps))
        h = parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "gelu")
        if p.n_expert:
            h = g.add(g.rms_norm(h, b.post_ffw_norm_1, p.norm_eps), experts(g, p, b, x, layer))
        x = g.add(x, g.rms_norm(h, b.post_ffw_norm, p.norm_eps))
        if own is not None:
            part = g.columns(own, layer * p.n_embd_layer, p.n_embd_layer)
            h = g.linear(g.glu(g.linear(x, b.inp_gate), part, "gelu"), b.proj)
            x = g.add(x, g.rms_norm(h, b.post_norm, p.norm_eps))
        if b.has("layer_output_scale"):
            x = g.mul_vector(x, b.layer_output_scale)
    return g.soft_cap(parts.logits(g, w, x, p.norm_eps), p.logit_cap)


def layer_embeddings(g: Graph, p: Gemma4Params, w: Weights, x: Node) -> Node:
    """What each layer gets of a token beside its embedding x: [n_tokens, n_layer*n_embd_layer]."""
    projected = g.scale(g.linear(x, w.per_layer_model_proj), p.n_embd**-0.5)
    projected = g.rms_norm(projected, w.per_layer_proj_norm, p.norm_eps)
    return g.scale(g.add(projected, g.embed(w.per_layer_token_embd, math.sqrt(p.n_embd_layer))), 0.5**0.5)


def attention(g: Graph, p: Gemma4Params, w: Weights, x: Node, layer: int, sources: dict[int, Node]) -> Node:
    """What `attn_output` makes of the heads of x, normed. sources: the attentions of layers with keys of their own."""
    b, eps = w.blk[layer], p.norm_eps
    q = g.rms_norm(g.linear(x, b.attn_q), b.attn_q_norm, eps)
    if layer >= p.n_own:
        return g.linear(g.attention_to(q, sources[p.source(layer)]), b.attn_output)
    require(
        b.has("attn_k") and b.has("attn_k_norm"), "this tensor is missing, or its norm", f"blk.{layer}.attn_k.weight"
    )
    k = g.linear(x, b.attn_k)
    v = g.linear(x, b.attn_v) if b.has("attn_v") else k
    k, v = g.rms_norm(k, b.attn_k_norm, eps), g.rms_norm(v, None, eps, b.attn_k_norm.weight.shape[0])
    scale = 1.0 if p.rope_scaling == "none" else p.rope_scale
    rope = RopeSpec(p.n_rot, p.rope_base, "halves", scale, w.rope_freqs.weight)
    if p.windowed[layer]:
        rope = RopeSpec(p.n_rot_window, p.rope_base_window, "halves")
    heads = {"layer": layer, "n_head": p.n_head[layer], "n_head_kv": p.n_head_kv[layer]}
    window = p.window if p.windowed[layer] else 0
    sources[layer] = g.attention(q, k, v, **heads, scale=1.0, rope=rope, window=window)
    return g.linear(sources[layer], b.attn_output)


def experts(g: Graph, p: Gemma4Params, b: Weights, x: Node, layer: int) -> Node:
    """What the chosen experts make of x; the router looks at x with a norm of its own."""
    apart = b.has("ffn_gate_exps") and b.has("ffn_up_exps")
    where = f"blk.{layer}.ffn_gate_up_exps.weight"
    require(apart or b.has("ffn_gate_up_exps"), "this tensor is missing, and ffn_gate_exps and ffn_up_exps too", where)
    seen = g.mul_vector(g.scale(g.rms_norm(x, None, p.norm_eps), p.n_embd**-0.5), Layer(b.ffn_gate_inp.scale))
    scores = g.linear(seen, Layer(b.ffn_gate_inp.weight))
    h = g.rms_norm(x, b.pre_ffw_norm_2, p.norm_eps)
    h = mixture.mixture(g, b, h, p.routing(normalised=True), "gelu", scores)
    return g.rms_norm(h, b.post_ffw_norm_2, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"gemma4": "Gemma 4 E2B, E4B, 26B-A4B and 31B"}, Gemma4Params, TENSORS, forward, without_effect=parts.NO_RESULT
)
