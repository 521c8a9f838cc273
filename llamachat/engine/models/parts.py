"""Blocks that architectures share: the rows of their tables of tensors, and what a forward pass does with them.

A table is text, so that an architecture's is these rows and its own, joined.
"""

from collections.abc import Sequence
from typing import Any, Final

from llamachat.engine.graph import Activation, Graph, Layer, Node, NormKind, RopeSpec
from llamachat.engine.models.base import Heads
from llamachat.engine.models.tensors import Weights
from llamachat.errors import ModelFileError

EMBEDDING: Final = """
token_embd.weight           n_vocab n_embd
output_norm.weight          n_embd
output.weight?              n_vocab n_embd                # absent: tied to token_embd
"""

ATTENTION: Final = """
blk.*.attn_norm.weight      n_embd
blk.*.attn_q.weight         n_head*head_dim n_embd
blk.*.attn_k.weight         n_head_kv*head_dim n_embd
blk.*.attn_v.weight         n_head_kv*value_dim n_embd
blk.*.attn_output.weight    n_embd n_head*value_dim
"""

ATTENTION_BIASES: Final = """
blk.*.attn_q.bias?          n_head*head_dim
blk.*.attn_k.bias?          n_head_kv*head_dim
blk.*.attn_v.bias?          n_head_kv*value_dim
blk.*.attn_output.bias?     n_embd
"""

ROPE_FACTORS: Final = """
rope_freqs.weight?          n_rot/2                       # Llama 3: what the angle of each pair is divided by
rope_factors_long.weight?   n_rot/2                       # LongRoPE
rope_factors_short.weight?  n_rot/2
"""

ANY_ATTENTION: Final = """
blk.*.attn_norm.weight      n_embd
blk.*.attn_q.weight         n_head*head_dim n_embd          when fused_qkv == 0
blk.*.attn_q.bias?          n_head*head_dim                 when fused_qkv == 0
blk.*.attn_k.weight         n_head_kv*head_dim n_embd       when fused_qkv == 0
blk.*.attn_k.bias?          n_head_kv*head_dim              when fused_qkv == 0
blk.*.attn_v.weight         n_head_kv*value_dim n_embd      when fused_qkv == 0
blk.*.attn_v.bias?          n_head_kv*value_dim             when fused_qkv == 0
blk.*.attn_qkv.weight       n_head*head_dim+n_head_kv*head_dim+n_head_kv*value_dim n_embd   when fused_qkv == 1
blk.*.attn_qkv.bias?        n_head*head_dim+n_head_kv*head_dim+n_head_kv*value_dim          when fused_qkv == 1
blk.*.attn_output.weight    n_embd n_head*value_dim
blk.*.attn_output.bias?     n_embd
"""
"""Queries, keys and values in a matrix each or below one another in one, with biases or without: see `projections`."""

HEAD_NORMS: Final = """
blk.*.attn_q_norm.weight    head_dim
blk.*.attn_k_norm.weight    head_dim
"""

FEED_FORWARD: Final = """
blk.*.ffn_up.weight         n_ff n_embd
blk.*.ffn_up.bias?          n_ff
blk.*.ffn_down.weight       n_embd n_ff
blk.*.ffn_down.bias?        n_embd
"""
"""Without a gate, and without its norm."""

FUSED_FEED_FORWARD: Final = """
blk.*.ffn_up.weight         2*n_ff n_embd
blk.*.ffn_down.weight       n_embd n_ff
"""
"""The gate above what it is multiplied with, in one matrix."""

GATE_UP_DOWN: Final = """
blk.*.ffn_gate.weight       n_ff n_embd
blk.*.ffn_up.weight         n_ff n_embd
blk.*.ffn_down.weight       n_embd n_ff
"""

GATED_FEED_FORWARD: Final = """
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_gate.weight       n_ff n_embd
blk.*.ffn_up.weight         n_ff n_embd
blk.*.ffn_down.weight       n_embd n_ff
"""

GATED_FEED_FORWARD_BIASES: Final = """
blk.*.ffn_gate.bias?        n_ff
blk.*.ffn_up.bias?          n_ff
blk.*.ffn_down.bias?        n_embd
"""

SCALES: Final = """
blk.*.attn_q.scale?         1       when fused_qkv == 0
blk.*.attn_k.scale?         1       when fused_qkv == 0
blk.*.attn_v.scale?         1       when fused_qkv == 0
blk.*.attn_qkv.scale?       1       when fused_qkv == 1
blk.*.attn_output.scale?    1
blk.*.ffn_gate.scale?       1
blk.*.ffn_up.scale?         1
blk.*.ffn_down.scale?       1
blk.*.attn_q.input_scale?   1       when fused_qkv == 0
blk.*.attn_k.input_scale?   1       when fused_qkv == 0
blk.*.attn_v.input_scale?   1       when fused_qkv == 0
blk.*.attn_qkv.input_scale?         1       when fused_qkv == 1
blk.*.attn_output.input_scale?      1
blk.*.ffn_gate.input_scale? 1
blk.*.ffn_up.input_scale?   1
blk.*.ffn_down.input_scale? 1
"""
"""What the values of matrices are multiplied with (NVFP4 files, BitNet). Those of inputs are for activations of four
bits, which nothing here has."""

LAYER_NORM_BIASES: Final = """
output_norm.bias            n_embd
blk.*.attn_norm.bias        n_embd
"""

NO_RESULT: Final = {
    "rope.scaling.finetuned": "says how the model was trained",
    "tensor_data_layout": "the converter's note about the row order, which GGUF fixes",
    "attention.layer_norm_epsilon": "all norms are RMS norms",
    "pooling_type": "is about sentence embeddings",
}
"""Keys that change nothing in any decoder with RMS norms."""

NO_RESULT_OF_LAYER_NORMS: Final = {
    **{name: why for name, why in NO_RESULT.items() if name != "attention.layer_norm_epsilon"},
    "attention.layer_norm_rms_epsilon": "all norms are layer norms",
}
"""Keys that change nothing in any decoder with layer norms."""


NO_ROTATION: Final = {"rope.dimension_count": "nothing turns", "rope.freq_base": "nothing turns"}
"""Keys that some converters write for models with learned positions."""


def attention(
    g: Graph, p: Heads, b: Weights, x: Node, layer: int, rope: RopeSpec | None, norm_eps: float = 0.0, **special: Any
) -> Node:
    """x, normed, through queries, keys and values to what `attn_output` makes of the heads.

    Where the table has `attn_q_norm` and `attn_k_norm`, heads are normed before they turn; norm: "rms" unless it says
    otherwise. special: see `Graph.attention`; scale is 1/sqrt(head_dim) unless it says otherwise; temperature: a
    `TemperatureSpec` of queries; factor: what the result is multiplied with.
    """
    q, k, v = projections(g, p, b, x)
    kind, factor = special.pop("norm", "rms"), special.pop("factor", 1.0)
    if b.has("attn_q_norm"):
        q = g.norm(q, kind, b.attn_q_norm, norm_eps)
    if b.has("attn_k_norm"):
        k = g.norm(k, kind, b.attn_k_norm, norm_eps)
    if temperature := special.pop("temperature", None):
        q = g.temperature(q, temperature)
    return g.linear(heads(g, p, layer, (q, k, v), rope=rope, **special), b.attn_output, factor)


def heads(g: Graph, p: Heads, layer: int, qkv: Sequence[Node], **special: Any) -> Node:
    """What the heads make of queries, keys and values; special: as in `attention`."""
    shape = {"layer": layer, "n_head": p.n_head, "n_head_kv": p.n_head_kv}
    return g.attention(*qkv, **{"scale": p.head_dim**-0.5, **shape, **special})


def projections(g: Graph, p: Heads, b: Weights, x: Node, clamp: float = 0.0) -> Sequence[Node]:
    """Queries, keys and values of x, normed; columns of one product where the file has `attn_qkv`.

    clamp: how large their numbers may be; 0: as large as they are.
    """
    if b.has("attn_qkv"):
        widths = (p.n_head * p.head_dim, p.n_head_kv * p.head_dim, p.n_head_kv * p.value_dim)
        qkv = g.split(g.linear(x, b.attn_qkv), *widths)
    else:
        qkv = [g.linear(x, layer) for layer in (b.attn_q, b.attn_k, b.attn_v)]
    return [g.clamp(one, -clamp, clamp) for one in qkv] if clamp else qkv


def gated_feed_forward(g: Graph, b: Weights, x: Node, activation: Activation, factor: float = 1.0) -> Node:
    """down(activation(gate(x)) * up(x)) * factor of x, normed."""
    gate, up = g.linear(x, b.need("ffn_gate")), g.linear(x, b.need("ffn_up"))
    return g.linear(g.glu(gate, up, activation), b.need("ffn_down"), factor)


def fused_feed_forward(g: Graph, b: Weights, x: Node, activation: Activation) -> Node:
    """The same with gate and up below one another in `ffn_up`."""
    both = g.linear(x, b.ffn_up)
    gate, up = g.split(both, both.width // 2, both.width // 2)
    return g.linear(g.glu(gate, up, activation), b.ffn_down)


def feed_forward(g: Graph, b: Weights, x: Node, activation: Activation) -> Node:
    """down(activation(up(x))) of x, normed."""
    return g.linear(g.unary(g.linear(x, b.ffn_up), activation), b.ffn_down)


def logits(g: Graph, w: Weights, x: Node, norm_eps: float, norm: NormKind = "rms", factor: float = 1.0) -> Node:
    """The last norm and the output matrix, or the embedding's where the file has none of its own, times factor."""
    output: Layer = w.output or w.token_embd
    return g.linear(g.norm(x, norm, w.output_norm, norm_eps), output, factor)


def needed(b: Weights, layer: int, *names: str) -> None:
    """Raises ModelFileError for a tensor that the layer needs because of others that it has."""
    for name in names:
        if not b.has(name):
            raise ModelFileError("this tensor is missing", where=f"blk.{layer}.{name}.weight")
