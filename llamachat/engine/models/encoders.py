"""Encoders as architectures share them: parameters to inherit, rows of tables, and the blocks (Devlin et al. 2018)."""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Activation, Graph, Node, PositionBias, RopeSpec, TextAttention
from llamachat.engine.models.base import Heads
from llamachat.engine.models.params import Earlier, key
from llamachat.engine.models.tensors import Weights

MAX_TEXT: Final = 32768
"""Tokens of a text: all of them are in memory at once."""


def n_types(earlier: Earlier) -> int:
    """A default: the kinds of tokens that the file has embeddings for."""
    return int(earlier["rows"].get("token_types.weight", 1))


@dataclass(frozen=True)
class Encoder(Heads):
    """A stack of layers in which each token sees its whole text; layer norms behind every branch."""

    context_length: int = key("context_length", high=MAX_TEXT)
    causal: bool = key("attention.causal", False, only=(False,))
    norm_eps: float = key("attention.layer_norm_epsilon", high=1.0)
    n_types: int = key("token_type_count", n_types)
    n_cls: int = key("classifier_output_count", lambda earlier: earlier["rows"].get("cls.output.weight", 1))


EMBEDDING: Final = """
token_embd.weight           n_vocab n_embd
token_types.weight?         n_types n_embd                # a text is all of the first type
token_embd_norm.weight      n_embd
token_embd_norm.bias        n_embd
"""

CLASSIFIER: Final = """
cls.weight?                 n_embd n_embd                 # rerankers: see engine/embedding
cls.bias?                   n_embd
cls.output.weight?          n_cls n_embd
cls.output.bias?            n_cls
"""

NORMS: Final = """
blk.*.attn_output_norm.weight   n_embd
blk.*.attn_output_norm.bias     n_embd
blk.*.layer_output_norm.weight  n_embd
blk.*.layer_output_norm.bias    n_embd
"""

NO_RESULT: Final = {
    "attention.layer_norm_rms_epsilon": "all norms are layer norms",
    "pooling_type": "is what embeddings of texts are made with",
    "classifier.output_labels": "names of a classifier's numbers",
}
"""Keys that change nothing in any encoder with layer norms."""


def embedded(g: Graph, w: Weights, norm_eps: float) -> Node:
    """Tokens, their type, and their position where the table has those, normed."""
    x = g.embed(w.token_embd)
    if w.token_types is not None:
        x = g.add_vector(x, w.token_types)
    if w.has("position_embd"):
        x = g.add_positions(x, w.position_embd)
    return g.layer_norm(x, w.token_embd_norm, norm_eps)


def attention(
    g: Graph, p: Encoder, b: Weights, x: Node, rope: RopeSpec | None = None, bias: PositionBias | None = None
) -> Node:
    """x through queries, keys and values, one matrix or three, to what `attn_output` makes of the heads."""
    if b.has("attn_qkv"):
        widths = (p.n_head * p.head_dim, p.n_head_kv * p.head_dim, p.n_head_kv * p.value_dim)
        q, k, v = g.split(g.linear(x, b.attn_qkv), *widths)
    else:
        q, k, v = g.linear(x, b.attn_q), g.linear(x, b.attn_k), g.linear(x, b.attn_v)
    if b.has("attn_q_norm"):
        q, k = g.layer_norm(q, b.attn_q_norm, p.norm_eps), g.layer_norm(k, b.attn_k_norm, p.norm_eps)
    if rope is not None:
        q, k = g.rope(q, rope, p.head_dim), g.rope(k, rope, p.head_dim)
    heads = TextAttention(p.n_head * p.value_dim, q, k, v, p.n_head, p.n_head_kv, p.head_dim**-0.5, bias)
    return g.linear(g.append(heads), b.attn_output)


def gated(g: Graph, b: Weights, x: Node, activation: Activation) -> Node:
    """down(activation(gate(x)) * up(x)); gate and up may be one matrix, the gate's rows first."""
    if b.has("ffn_gate"):
        gate, up = g.linear(x, b.ffn_gate), g.linear(x, b.ffn_up)
    else:
        both = g.linear(x, b.ffn_up)
        gate, up = g.split(both, both.width // 2, both.width // 2)
    return g.linear(g.glu(gate, up, activation), b.ffn_down)
