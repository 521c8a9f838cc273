"""Mixtures of experts as architectures share them: parameters to inherit, rows of tables, and the block itself."""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import (
    Activation,
    Choice,
    ExpertLinear,
    Graph,
    Layer,
    Mixture,
    Node,
    Routing,
    Share,
)
from llamachat.engine.graph.experts import MAX_EXPERTS, MAX_USED, Scoring
from llamachat.engine.models.base import Decoder
from llamachat.engine.models.params import Earlier, key, require, same_as
from llamachat.engine.models.parts import GATED_FEED_FORWARD, GATED_FEED_FORWARD_BIASES, gated_feed_forward
from llamachat.engine.models.tensors import Weights

ROUTER: Final = """
blk.*.ffn_gate_inp.weight   n_expert n_embd
"""

EXPERTS: Final = """
blk.*.ffn_gate_exps.weight  n_expert n_ff_expert n_embd
blk.*.ffn_up_exps.weight    n_expert n_ff_expert n_embd
blk.*.ffn_down_exps.weight  n_expert n_embd n_ff_expert
"""

SHARED_EXPERT: Final = """
blk.*.ffn_gate_shexp.weight n_ff_shared n_embd
blk.*.ffn_up_shexp.weight   n_ff_shared n_embd
blk.*.ffn_down_shexp.weight n_embd n_ff_shared
"""

EXPERTS_SCALES: Final = """
blk.*.ffn_gate_exps.scale?          n_expert
blk.*.ffn_up_exps.scale?            n_expert
blk.*.ffn_down_exps.scale?          n_expert
blk.*.ffn_gate_exps.input_scale?    n_expert
blk.*.ffn_up_exps.input_scale?      n_expert
blk.*.ffn_down_exps.input_scale?    n_expert
"""
"""What the values of experts' matrices are multiplied with (NVFP4 files); see `parts.SCALES`."""

FEED_FORWARD_OR_EXPERTS: Final = f"""
blk.*.ffn_norm.weight       n_embd
[n_expert == 0]
{GATED_FEED_FORWARD}{GATED_FEED_FORWARD_BIASES}
[n_expert > 0]
{ROUTER}{EXPERTS}{EXPERTS_SCALES}
[n_expert > 0 and n_ff_shared > 0]
{SHARED_EXPERT}
[]
"""
"""Of architectures whose models have experts or not (`MaybeExperts`)."""

SCORINGS: Final[dict[int, Scoring]] = {1: "softmax", 2: "sigmoid", 3: "chosen"}
"""`expert_gating_func` in files."""


@dataclass(frozen=True)
class Experts(Decoder):
    """Layers with n_expert gated feed-forward networks of n_ff_expert, of which a token uses n_used.

    weights_scale multiplies what they are weighed with; scoring: see `SCORINGS`.
    """

    n_expert: int = key("expert_count", high=MAX_EXPERTS)
    n_used: int = key("expert_used_count", high=MAX_USED)
    n_ff_expert: int = key("expert_feed_forward_length", same_as("n_ff"))
    weights_scale: float = key("expert_weights_scale", 1.0, high=1e6)
    scoring: int = key("expert_gating_func", 1, only=(1,))

    def __post_init__(self) -> None:
        """Also raises ModelFileError for no experts of a token, or more than there are."""
        super().__post_init__()
        least, most = min(1, self.n_expert), max(1, self.n_expert)  # dense models may count some, of none
        sentence = f"is {self.n_used}, but there are only {self.n_expert} experts, and a token needs some"
        require(least <= self.n_used <= most, sentence, "expert_used_count")

    def routing(self, *, normalised: bool = False) -> Routing:
        """How experts are chosen and weighed; a scale of 0 means none."""
        return Routing(self.n_used, SCORINGS[self.scoring], normalised, self.weights_scale or 1.0)


@dataclass(frozen=True)
class MaybeExperts(Experts):
    """Experts, with a shared one of n_ff_shared or none; n_expert 0: a feed-forward network in their place."""

    n_expert: int = key("expert_count", 0, low=0, high=MAX_EXPERTS)
    n_used: int = key("expert_used_count", 0, low=0, high=MAX_USED)
    n_ff_shared: int = key("expert_shared_feed_forward_length", 0, low=0)


def share_of_feed_forward(earlier: Earlier) -> int:
    """A default of `expert_feed_forward_length`: the used experts together are as large as the feed-forward layer."""
    return max(1, int(earlier["n_ff"]) // max(1, int(earlier["n_used"])))


@dataclass(frozen=True)
class GroupedExperts(Experts):
    """Experts in groups of which a token uses some (DeepSeek-V3), and how files say it."""

    n_group: int = key("expert_group_count", 1)
    n_group_used: int = key("expert_group_used_count", same_as("n_group"))

    def __post_init__(self) -> None:
        """Also raises ModelFileError for groups that cannot be made of the experts."""
        super().__post_init__()
        size = self.n_expert // self.n_group
        groups = f"is {self.n_group}: groups of two experts or more cannot be made of {self.n_expert}"
        require(self.n_group == 1 or (size > 1 and size * self.n_group == self.n_expert), groups, "expert_group_count")
        used = f"is {self.n_group_used} of {self.n_group}, which must have {self.n_used} experts"
        some = self.n_group_used <= self.n_group and size * self.n_group_used >= self.n_used
        require(some, used, "expert_group_used_count")


def mixture(
    g: Graph, b: Weights, x: Node, routing: Routing, activation: Activation = "silu", logits: Node | None = None
) -> Node:
    """What the chosen experts make of x, normed, each times its share.

    logits: of the router, where they are not `ffn_gate_inp` times x. Where the table has `exp_probs_b`, it counts in
    the choice; gate and up may be one matrix (`ffn_gate_up_exps`).
    """
    if logits is None:
        logits = g.linear(x, b.ffn_gate_inp)
    chosen, share = route(g, b, logits, routing)
    if b.has("ffn_gate_up_exps"):
        both: Layer = b.ffn_gate_up_exps
        n_ff = both.weight.shape[1] // 2
        gate: Node = g.append(ExpertLinear(n_ff, x, chosen, both.weight, None, both.scale))
        up: Node = g.append(ExpertLinear(n_ff, x, chosen, both.weight, None, both.scale, n_ff))
    else:
        gate, up = expert_linear(g, x, chosen, b.ffn_gate_exps), expert_linear(g, x, chosen, b.ffn_up_exps)
    down = expert_linear(g, g.glu(gate, up, activation), chosen, b.ffn_down_exps)
    return g.append(Mixture(down.width, down, share))


def route(g: Graph, b: Weights, logits: Node, routing: Routing) -> tuple[Node, Node]:
    """The experts that each token chooses, and their shares; see `mixture`."""
    bias: Layer | None = b.exp_probs_b if b.has("exp_probs_b") else None
    chosen = g.append(Choice(1, logits, routing, bias.weight if bias else None))
    return chosen, g.append(Share(1, logits, chosen, routing))


def expert_linear(g: Graph, x: Node, chosen: Node, layer: Layer) -> Node:
    """Each pair's x times the matrix of its expert, times its scale, + its bias."""
    return g.append(ExpertLinear(layer.weight.shape[1], x, chosen, layer.weight, layer.bias, layer.scale))


def feed_forward(g: Graph, b: Weights, x: Node, routing: Routing, factor: float = 1.0) -> Node:
    """A layer's mixture, with its shared expert if it has one, or its gated feed-forward network, times factor."""
    if not b.has("ffn_gate_inp"):
        return gated_feed_forward(g, b, x, "silu", factor)
    mixed = mixture(g, b, x, routing)
    return g.scale(g.add(mixed, shared_expert(g, b, x)) if b.has("ffn_up_shexp") else mixed, factor)


def shared_expert(g: Graph, b: Weights, x: Node, activation: Activation = "silu") -> Node:
    """What the expert makes of x, normed, that every token uses; where the table has `ffn_gate_inp_shexp`, in part."""
    up = g.glu(g.linear(x, b.ffn_gate_shexp), g.linear(x, b.ffn_up_shexp), activation)
    down = g.linear(up, b.ffn_down_shexp)
    return g.mul(down, g.unary(g.linear(x, b.ffn_gate_inp_shexp), "sigmoid")) if b.has("ffn_gate_inp_shexp") else down
