"""Nemotron-H (NVIDIA 2025, arXiv 2504.03624) and Nemotron 3 Nano: layers of one kind each.

Mamba 2, attention without positions, or a feed-forward network with a squared ReLU and no gate; in Nemotron 3 a
mixture of such: sigmoid scores, a bias for the choice alone, and a shared expert.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Mixture, Node, Routing
from llamachat.engine.graph.experts import MAX_EXPERTS, MAX_USED
from llamachat.engine.models import mixture, parts, state_space
from llamachat.engine.models.params import PerLayer, key, require
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class NemotronHParams(state_space.GroupedStateSpace, state_space.HybridHeads):
    """Hyperparameters of the `nemotron_h` and `nemotron_h_moe` architectures; n_ff > 0: a feed-forward layer."""

    n_ff: PerLayer[int] = key("feed_forward_length", per_layer=int, low=0)  # type: ignore[assignment]
    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)
    n_expert: int = key("expert_count", 0, low=0, high=MAX_EXPERTS)
    n_used: int = key("expert_used_count", 1, low=0, high=MAX_USED)
    n_ff_expert: int = key("expert_feed_forward_length", 1, low=0)
    n_ff_shared: int = key("expert_shared_feed_forward_length", 1, low=0)
    weights_norm: bool = key("expert_weights_norm", False)
    weights_scale: float = key("expert_weights_scale", 1.0, high=1e6)
    n_expert_group: int = key("expert_group_count", 1, low=0, only=(0, 1))
    n_expert_group_used: int = key("expert_group_used_count", 1, low=0, only=(0, 1))
    scoring: int = key("expert_gating_func", 2, only=(2,))

    def __post_init__(self) -> None:
        """Also raises ModelFileError for layers that would be of two kinds, or experts that are not there."""
        super().__post_init__()
        both = any(n_ff and attends for n_ff, attends in zip(self.n_ff, self.attends, strict=True))
        require(not both, "has a layer that is one of attention, too", "feed_forward_length")
        used = f"is {self.n_used} of {self.n_expert} experts"
        require(not self.n_expert or 1 <= self.n_used <= self.n_expert, used, "expert_used_count")


TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_norm.weight      n_embd
[attends == 1]
{parts.ATTENTION}{parts.ATTENTION_BIASES}
[attends == 0 and n_ff == 0]
{state_space.MAMBA_2}{state_space.MAMBA_2_NORM}
[n_ff > 0 and n_expert == 0]
{parts.FEED_FORWARD}
[n_ff > 0 and n_expert > 0]
{mixture.ROUTER}
blk.*.exp_probs_b.bias?     n_expert
blk.*.ffn_up_exps.weight    n_expert n_ff_expert n_embd
blk.*.ffn_down_exps.weight  n_expert n_embd n_ff_expert
blk.*.ffn_up_shexp.weight   n_ff_shared n_embd
blk.*.ffn_down_shexp.weight n_embd n_ff_shared
"""


def forward(g: Graph, p: NemotronHParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        if p.attends[layer]:
            h = parts.attention(g, p, b, h, layer, None)
        elif not p.n_ff[layer]:
            h = state_space.mamba_2(g, p, b, h, layer, p.norm_eps)
        elif p.n_expert:
            h = experts(g, p, b, h)
        else:
            h = g.linear(g.unary(g.linear(h, b.ffn_up), "relu2"), b.ffn_down)
        x = g.add(x, h)
    return parts.logits(g, w, x, p.norm_eps)


def experts(g: Graph, p: NemotronHParams, b: Weights, x: Node) -> Node:
    """What the chosen experts and the shared one make of x, normed."""
    routing = Routing(p.n_used, "sigmoid", p.weights_norm, p.weights_scale or 1.0)
    chosen, share = mixture.route(g, b, g.linear(x, b.ffn_gate_inp), routing)
    up = g.unary(mixture.expert_linear(g, x, chosen, b.ffn_up_exps), "relu2")
    mixed = g.append(Mixture(p.n_embd, mixture.expert_linear(g, up, chosen, b.ffn_down_exps), share))
    return g.add(mixed, g.linear(g.unary(g.linear(x, b.ffn_up_shexp), "relu2"), b.ffn_down_shexp))


ARCHITECTURE: Final = Architecture(
    {"nemotron_h": "Nemotron-H 4B to 56B, Nemotron Nano 9B v2", "nemotron_h_moe": "Nemotron 3 Nano 30B-A3B"},
    NemotronHParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | parts.NO_ROTATION | {"expert_shared_count": "the shared expert is one network"},
)
