"""The gated delta net of Qwen 3 Next and 3.5: parameters to inherit, rows of tables, and the blocks.

Three of four layers carry a gated delta rule (Yang et al. 2024, arXiv 2412.06464) behind a short convolution; the
others have attention with a gate of its own, norms of queries and keys per head, and rotary halves (the sections of
positions in pictures are all one in text). Layers that only predict further tokens are not computed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from llamachat.engine.graph import Convolution, DeltaRule, Graph, Node, RopeSpec, Steps
from llamachat.engine.models import mixture, parts, state_space
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import LONGEST_ARRAY, PerLayer, key, require, same_as
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.tensors import Weights


def every_nth(earlier: Any) -> PerLayer[int]:
    """1 for the layers with a delta rule: all but every n-th, and but those that predict further tokens."""
    n_layer, period = min(earlier["n_layer"], LONGEST_ARRAY), earlier["interval"]
    return PerLayer(int(i < n_layer - earlier["n_ahead"] and (i + 1) % period > 0) for i in range(n_layer))


@dataclass(frozen=True)
class DeltaNet(ScaledRotaryHeads):
    """Heads of a delta rule: n_heads values of n_inner / n_heads, n_group keys of n_state."""

    n_taps: int = key("ssm.conv_kernel", high=state_space.MAX_TAPS)
    n_inner: int = key("ssm.inner_size")
    n_state: int = key("ssm.state_size")
    n_heads: int = key("ssm.time_step_rank")
    n_group: int = key("ssm.group_count")
    n_ahead: int = key("nextn_predict_layers", 0, low=0)
    interval: int = key("full_attention_interval", 4)
    recurs: PerLayer[int] = key("attention.recurrent_layers", every_nth, parse=state_space.is_positive, per_layer=int)

    def __post_init__(self) -> None:
        """Also raises ModelFileError for heads that the columns or keys do not fill."""
        super().__post_init__()
        heads = f"{self.n_inner} columns cannot be {self.n_heads} heads (ssm.time_step_rank)"
        require(self.n_inner % self.n_heads == 0, heads, "ssm.inner_size")
        shared = f"{self.n_heads} heads cannot share {self.n_group} keys"
        require(self.n_heads % self.n_group == 0, shared, "ssm.group_count")
        require(self.n_ahead < self.n_layer, f"is {self.n_ahead} of {self.n_layer} layers", "nextn_predict_layers")


@dataclass(frozen=True)
class DeltaNetExperts(DeltaNet, mixture.Experts):
    """The same with a mixture of experts in every layer, and one that all tokens use."""

    n_ff: int = key("feed_forward_length", 0, low=0)
    n_ff_expert: int = key("expert_feed_forward_length", mixture.share_of_feed_forward)
    n_ff_shared: int = key("expert_shared_feed_forward_length", same_as("n_ff"))


LAYERS: Final = """
blk.*.attn_norm.weight              n_embd
blk.*.post_attention_norm.weight    n_embd
[recurs == 0]
blk.*.attn_q.weight                 2*n_head*head_dim n_embd
blk.*.attn_k.weight                 n_head_kv*head_dim n_embd
blk.*.attn_v.weight                 n_head_kv*value_dim n_embd
blk.*.attn_output.weight            n_embd n_head*value_dim
blk.*.attn_q_norm.weight            head_dim
blk.*.attn_k_norm.weight            head_dim
blk.*.nextn.eh_proj.weight?         n_embd 2*n_embd
blk.*.nextn.enorm.weight?           n_embd
blk.*.nextn.hnorm.weight?           n_embd
blk.*.nextn.embed_tokens.weight?    n_vocab n_embd
blk.*.nextn.shared_head_head.weight? n_vocab n_embd
blk.*.nextn.shared_head_norm.weight? n_embd
[recurs == 1]
blk.*.ssm_conv1d.weight             2*n_group*n_state+n_inner n_taps
blk.*.ssm_dt.bias                   n_heads
blk.*.ssm_a                         n_heads
blk.*.ssm_norm.weight               n_inner/n_heads
blk.*.ssm_out.weight                n_embd n_inner
[]
"""

PROJECTIONS: Final = """
[recurs == 1]
blk.*.attn_qkv.weight               2*n_group*n_state+n_inner n_embd
blk.*.attn_gate.weight              n_inner n_embd
blk.*.ssm_beta.weight               n_heads n_embd
blk.*.ssm_alpha.weight              n_heads n_embd
[]
"""
"""What a delta rule reads, each in a matrix of its own."""

WITHOUT_EFFECT: Final = parts.NO_RESULT | {
    "rope.dimension_sections": "in text the positions of all sections are the same"
}


@dataclass(frozen=True)
class Read:
    """What a delta rule reads: queries, keys and values below one another, a gate, steps and rates, as products."""

    qkv: Node
    gate: Node
    alpha: Node
    beta: Node


def projections(g: Graph, b: Weights, x: Node) -> Read:
    """Those of `PROJECTIONS`."""
    return Read(*(g.linear(x, one) for one in (b.attn_qkv, b.attn_gate, b.ssm_alpha, b.ssm_beta)))


def forward(
    g: Graph,
    p: DeltaNet,
    w: Weights,
    feed_forward: Callable[[Weights, Node], Node],
    net: Callable[[Weights, Node, int], Node],
) -> Node:
    """logits [n_tokens, n_vocab]. feed_forward: of a layer, of x, normed; net: its delta net."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk[: p.n_layer - p.n_ahead]):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, net(b, h, layer) if p.recurs[layer] else gated_attention(g, p, b, h, layer, rope))
        x = g.add(x, feed_forward(b, g.rms_norm(x, b.post_attention_norm, p.norm_eps)))
    return parts.logits(g, w, x, p.norm_eps)


def gated_attention(g: Graph, p: DeltaNet, b: Weights, x: Node, layer: int, rope: RopeSpec) -> Node:
    """Attention whose heads are multiplied by the sigmoid of a gate that lies beside each one's query."""
    both, size = g.linear(x, b.attn_q), 2 * p.head_dim
    q, gate = g.columns(both, 0, p.head_dim, size), g.columns(both, p.head_dim, p.head_dim, size)
    q = g.rms_norm(q, b.attn_q_norm, p.norm_eps)
    k = g.rms_norm(g.linear(x, b.attn_k), b.attn_k_norm, p.norm_eps)
    heads = {"n_head": p.n_head, "n_head_kv": p.n_head_kv, "scale": p.head_dim**-0.5}
    y = g.attention(q, k, g.linear(x, b.attn_v), layer=layer, rope=rope, **heads)
    return g.linear(g.glu(gate, y, "sigmoid"), b.attn_output)


def delta_net(g: Graph, p: DeltaNet, b: Weights, read: Read, layer: int, repeats: bool = False) -> Node:
    """What was read through a gated delta rule; its heads are normed, then gated by silu. repeats: see `DeltaRule`."""
    keys = p.n_group * p.n_state
    width = 2 * keys + p.n_inner
    h = g.append(Convolution(width, read.qkv, b.ssm_conv1d.weight, None, True, layer))
    q, k, v = g.split(h, keys, keys, p.n_inner)
    q, k = (g.norm(z, "l2", None, p.norm_eps, p.n_state) for z in (q, k))
    steps = g.append(Steps(2 * p.n_heads, read.alpha, b.ssm_dt.weight, b.ssm_a.weight))
    shape = p.n_heads, p.n_group, p.n_state**-0.5, layer, repeats
    y: Node = g.append(DeltaRule(p.n_inner, q, k, v, steps, g.unary(read.beta, "sigmoid"), *shape))
    return g.linear(g.glu(read.gate, g.rms_norm(y, b.ssm_norm, p.norm_eps), "silu"), b.ssm_out)
