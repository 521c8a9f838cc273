"""Blocks that architectures share: the rows of their tables of tensors, and what a forward pass does with them.

A table is text, so that an architecture's is these rows and its own, joined.
"""

from typing import Any, Final

from llamachat.engine.graph import Activation, Graph, Layer, Node, RopeSpec
from llamachat.engine.models.base import Heads
from llamachat.engine.models.tensors import Weights

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

FUSED_ATTENTION: Final = """
blk.*.attn_norm.weight      n_embd
blk.*.attn_qkv.weight       n_head*head_dim+n_head_kv*head_dim+n_head_kv*value_dim n_embd
blk.*.attn_output.weight    n_embd n_head*value_dim
"""

FUSED_ATTENTION_BIASES: Final = """
blk.*.attn_qkv.bias?        n_head*head_dim+n_head_kv*head_dim+n_head_kv*value_dim
blk.*.attn_output.bias?     n_embd
"""

HEAD_NORMS: Final = """
blk.*.attn_q_norm.weight    head_dim
blk.*.attn_k_norm.weight    head_dim
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

NO_RESULT: Final = {
    "rope.scaling.finetuned": "says how the model was trained",
    "attention.layer_norm_epsilon": "all norms are RMS norms",
    "pooling_type": "is about sentence embeddings",
}
"""Keys that change nothing in any decoder with RMS norms."""


def attention(
    g: Graph, p: Heads, b: Weights, x: Node, layer: int, rope: RopeSpec | None, norm_eps: float = 0.0, **special: Any
) -> Node:
    """x, normed, through queries, keys and values to what `attn_output` makes of the heads.

    Where the table has `attn_q_norm` and `attn_k_norm`, heads are normed before they turn. special: see
    `Graph.attention`; scale is 1/sqrt(head_dim) unless it says otherwise; temperature: a `TemperatureSpec` of queries.
    """
    q, k, v = projections(g, p, b, x)
    if b.has("attn_q_norm"):
        q, k = g.rms_norm(q, b.attn_q_norm, norm_eps), g.rms_norm(k, b.attn_k_norm, norm_eps)
    if temperature := special.pop("temperature", None):
        q = g.temperature(q, temperature)
    shape = {"layer": layer, "n_head": p.n_head, "n_head_kv": p.n_head_kv, "rope": rope}
    heads = g.attention(q, k, v, **{"scale": p.head_dim**-0.5, **shape, **special})
    return g.linear(heads, b.attn_output)


def projections(g: Graph, p: Heads, b: Weights, x: Node, clamp: float = 0.0) -> tuple[Node, Node, Node]:
    """Queries, keys and values of x, normed; columns of one product where the table has `attn_qkv`.

    clamp: how large numbers of that product may be; 0: as large as they are.
    """
    if not b.has("attn_qkv"):
        return g.linear(x, b.attn_q), g.linear(x, b.attn_k), g.linear(x, b.attn_v)
    whole, n_q, n_k = g.linear(x, b.attn_qkv), p.n_head * p.head_dim, p.n_head_kv * p.head_dim
    whole = g.clamp(whole, -clamp, clamp) if clamp else whole
    k, v = g.columns(whole, n_q, n_k), g.columns(whole, n_q + n_k, p.n_head_kv * p.value_dim)
    return g.columns(whole, 0, n_q), k, v


def gated_feed_forward(g: Graph, b: Weights, x: Node, activation: Activation) -> Node:
    """down(activation(gate(x)) * up(x)) of x, normed."""
    return g.linear(g.glu(g.linear(x, b.ffn_gate), g.linear(x, b.ffn_up), activation), b.ffn_down)


def logits(g: Graph, w: Weights, x: Node, norm_eps: float) -> Node:
    """The last norm and the output matrix, or the embedding's where the file has none of its own."""
    output: Layer = w.output or w.token_embd
    return g.linear(g.rms_norm(x, w.output_norm, norm_eps), output)
