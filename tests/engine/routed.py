"""A mixture of experts and values that are given, defined here alone: integers, pairs, rows of their own.

A router chooses experts (int32), each pair of a token and an expert goes through the expert's matrix and operations of
the package, and the pairs are mixed again. `Look` adds the mean of patches, of which there may be any number.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I32, Vec
from llamachat.engine.backend.cpu.kernels.functions import exp
from llamachat.engine.backend.cpu.kernels.rows import ROWS
from llamachat.engine.backend.cpu.lower import Lowering, lower
from llamachat.engine.models import Architecture, parts
from llamachat.engine.models.base import RotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.tensors import Weights
from llamachat.engine.reference import Evaluation, Floats, Value, value

PATCHES = g.Rows("patches", most=20)


@dataclass(frozen=True, eq=False)
class Choice(g.Node):
    """The numbers of the n_used experts with the largest scores, one for each pair: int32 [pairs, 1]."""

    scores: g.Node
    n_used: int

    @property
    def rows(self) -> g.Rows:
        return g.pairs(self.n_used)

    @property
    def number(self) -> g.Number:
        return g.Number.INTEGER


@dataclass(frozen=True, eq=False)
class Sharing(g.Node):
    """softmax of the chosen experts' scores: [pairs, 1]."""

    scores: g.Node
    chosen: g.Node

    @property
    def rows(self) -> g.Rows:
        return self.chosen.rows


@dataclass(frozen=True, eq=False)
class Experts(g.Node):
    """Each pair's x times the matrix of its expert; weight [n_expert, width, x.width]: [pairs, width]."""

    x: g.Node
    chosen: g.Node
    weight: g.Tensor

    @property
    def rows(self) -> g.Rows:
        return self.chosen.rows

    @property
    def weights(self) -> tuple[g.Use, ...]:
        return (g.Use(self.weight, g.Role.EXPERTS),)


@dataclass(frozen=True, eq=False)
class Mixture(g.Node):
    """The sum of a token's pairs, each times its share: [tokens, width]."""

    x: g.Node
    share: g.Node

    @property
    def rows(self) -> g.Rows:
        return g.TOKENS


@dataclass(frozen=True, eq=False)
class Look(g.Node):
    """x + the mean of all patches; x where there are none."""

    x: g.Node
    patches: g.Node


@value.register
def choice(node: Choice, state: Evaluation) -> Value:
    order = np.argsort(-state.values[node.scores], axis=1, kind="stable")
    return order[:, : node.n_used].reshape(-1, 1)


@value.register
def shares(node: Sharing, state: Evaluation) -> Floats:
    chosen = state.values[node.chosen].reshape(-1, node.rows.times)
    scores = np.take_along_axis(state.values[node.scores], chosen, 1)
    weights = np.exp(scores - scores[:, :1])
    found: Floats = (weights / weights.sum(1, keepdims=True)).reshape(-1, 1)
    return found


@value.register
def experts(node: Experts, state: Evaluation) -> Floats:
    chosen, x = state.values[node.chosen][:, 0], state.values[node.x]
    x = np.repeat(x, len(chosen) // len(x), axis=0)
    found: Floats = np.einsum("poi,pi->po", state.weight(node.weight)[chosen], x)
    return found


@value.register
def mixture(node: Mixture, state: Evaluation) -> Floats:
    found: Floats = (state.values[node.x] * state.values[node.share]).reshape(-1, node.x.rows.times, node.width).sum(1)
    return found


@value.register
def look(node: Look, state: Evaluation) -> Floats:
    patches, x = state.values[node.patches], state.values[node.x]
    found: Floats = x + patches.mean(0) if len(patches) else x
    return found


@dataclass(frozen=True)
class Choose(KernelSpec):
    """The first of equal scores is the larger one."""

    n_expert: int
    n_used: int
    arguments: ClassVar = ("scores", "chosen", "count", "stride", "row")
    reads: ClassVar = ("scores",)
    writes: ClassVar = ("chosen",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        first, last = self.split.share(k)
        with k.loop(first, last) as token:
            scores, taken = k.pointer("scores")[token * k.args.stride], list[Vec]()
            for use in range(self.n_used):
                best, at = k.var(k.constant(F32, -1e38)), k.var(k.number(0))
                with k.loop(0, self.n_expert) as expert:
                    score, free = scores[expert * 4].load(F32, 4), k.number(0).equals(0)
                    for one in taken:
                        free = one.equals(expert).select(k.number(1).equals(0), free)
                    better = free & (score > best.get())
                    best.set(better.select(score, best.get()))
                    at.set(better.select(expert, at.get()))
                taken.append(at.get())
                k.pointer("chosen")[(token * self.n_used + use) * k.args.row].store(at.get().cut(I32), 4)


@dataclass(frozen=True)
class Weigh(KernelSpec):
    n_used: int
    arguments: ClassVar = ("scores", "chosen", "y", "count", "stride", "row")
    reads: ClassVar = ("scores", "chosen")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        first, last = self.split.share(k)
        with k.loop(first, last) as token:
            scores, found = k.pointer("scores")[token * k.args.stride], list[Vec]()
            for use in range(self.n_used):
                expert = k.pointer("chosen")[(token * self.n_used + use) * k.args.row].load(I32, 4).signed(token.type)
                found.append(scores[expert * 4].load(F32, 4))
            weights = [exp(k, isa, one - found[0]) for one in found]
            total = weights[0]
            for one in weights[1:]:
                total = total + one
            for use, one in enumerate(weights):
                k.pointer("y")[(token * self.n_used + use) * k.args.row].store(one / total, 4)


@dataclass(frozen=True)
class Multiply(KernelSpec):
    """each: pairs that share a row of x. tiles: packed floats, `expert_bytes` from one expert to the next."""

    arguments: ClassVar = (
        *("x", "chosen", "tiles", "y", "count", "outs", "ins", "each", "x_row", "chosen_row", "y_row", "expert_bytes"),
    )
    reads: ClassVar = ("x", "chosen")
    writes: ClassVar = ("y",)
    broadcast: ClassVar = ("x", "chosen")
    split: ClassVar = Shares("count", ("outs",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            pair, out = item // k.args.outs, item % k.args.outs
            expert = k.pointer("chosen")[pair * k.args.chosen_row].load(I32, 4).signed(item.type)
            unit, lane = out // ROWS, out % ROWS
            matrix = k.pointer("tiles")[expert * k.args.expert_bytes + (unit * k.args.ins * ROWS + lane) * 4]
            x, total = k.pointer("x")[pair // k.args.each * k.args.x_row], k.var(k.constant(F32, 0.0))
            with k.loop(0, k.args.ins * 4, 4) as at:
                total.set(isa.fma(k, matrix[at * ROWS].load(F32, 4), x[at].load(F32, 4), total.get()))
            k.pointer("y")[pair * k.args.y_row + out * 4].store(total.get(), 4)


@dataclass(frozen=True)
class Mix(KernelSpec):
    n_used: int
    arguments: ClassVar = ("x", "share", "y", "count", "width", "row", "share_row")
    reads: ClassVar = ("x", "share")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        first, last = self.split.share(k)
        with k.loop(first, last) as token, k.loop(0, k.args.width * 4, 4) as at:
            total = k.constant(F32, 0.0)
            for use in range(self.n_used):
                pair = token * self.n_used + use
                share = k.pointer("share")[pair * k.args.share_row].load(F32, 4)
                total = isa.fma(k, k.pointer("x")[pair * k.args.row + at].load(F32, 4), share, total)
            k.pointer("y")[token * k.args.row + at].store(total, 4)


@dataclass(frozen=True)
class AddMean(KernelSpec):
    arguments: ClassVar = ("x", "patches", "y", "count", "n_patches", "width", "row")
    reads: ClassVar = ("x", "patches")
    writes: ClassVar = ("y",)
    broadcast: ClassVar = ("patches",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        first, last = self.split.share(k)
        n = k.count("n_patches")
        with k.loop(first, last) as token, k.loop(0, k.args.width * 4, 4) as at:
            total = k.var(k.constant(F32, 0.0))
            with k.loop(0, n) as patch:
                total.set(total.get() + k.pointer("patches")[patch * k.args.row + at].load(F32, 4))
            mean = total.get() / n.max(1).cut(I32).to_float()
            place = token * k.args.row + at
            k.pointer("y")[place].store(k.pointer("x")[place].load(F32, 4) + mean, 4)


@lower.register
def lower_choice(node: Choice, to: Lowering) -> None:
    scores = {"scores": to.regions[node.scores], "count": to.count_of(node.scores)}
    rows = {"stride": to.stride(node.scores.width), "row": to.stride(1)}
    to.launch(Choose(node.scores.width, node.n_used), {**scores, "chosen": to.value(node), **rows})


@lower.register
def lower_shares(node: Sharing, to: Lowering) -> None:
    given = {"scores": to.regions[node.scores], "chosen": to.regions[node.chosen], "count": to.count_of(node.scores)}
    rows = {"stride": to.stride(node.scores.width), "row": to.stride(1)}
    to.launch(Weigh(node.rows.times), {**given, "y": to.value(node), **rows})


@lower.register
def lower_experts(node: Experts, to: Lowering) -> None:
    matrix = to.weights.matrix(node.weight.name)
    given = {"x": to.regions[node.x], "chosen": to.regions[node.chosen], "tiles": matrix.tiles}
    sizes = {
        "expert_bytes": matrix.expert_bytes,
        "outs": node.width,
        "ins": node.x.width,
        "each": node.rows.times // node.x.rows.times,
    }
    strides = {"x_row": to.stride(node.x.width), "chosen_row": to.stride(1), "y_row": to.stride(node.width)}
    to.launch(Multiply(), {**given, "y": to.value(node), "count": to.count_of(node), **sizes, **strides})


@lower.register
def lower_mixture(node: Mixture, to: Lowering) -> None:
    given = {"x": to.regions[node.x], "share": to.regions[node.share], "y": to.value(node)}
    sizes = {"width": node.width, "row": to.stride(node.width), "share_row": to.stride(1)}
    to.launch(Mix(node.x.rows.times), {**given, "count": to.count_of(node), **sizes})


@lower.register
def lower_look(node: Look, to: Lowering) -> None:
    given = {"x": to.regions[node.x], "patches": to.regions[node.patches], "y": to.value(node)}
    counts = {"count": to.count_of(node), "n_patches": to.count_of(node.patches)}
    to.launch(AddMean(), {**given, **counts, "width": node.width, "row": to.stride(node.width)})


@dataclass(frozen=True)
class RoutedParams(RotaryHeads):
    n_expert: int = key("expert_count")
    n_used: int = key("expert_used_count")
    n_patch: int = key("patch_width")


TENSORS = f"""
{parts.EMBEDDING}
patch_embd.weight                  n_embd n_patch
{parts.ATTENTION}
blk.*.ffn_norm.weight              n_embd
blk.*.ffn_gate_inp.weight          n_expert n_embd
blk.*.ffn_gate_exps.weight         n_expert n_ff n_embd
blk.*.ffn_up_exps.weight           n_expert n_ff n_embd
blk.*.ffn_act_norm.weight          n_ff
blk.*.ffn_down.weight              n_embd n_ff
"""


def forward(graph: g.Graph, p: RoutedParams, w: Weights) -> g.Node:
    """The last layer's router reads what comes before attention: its choice passes from the body to the head."""
    rope = g.RopeSpec(p.n_rot, p.rope_base, "halves")
    patches = graph.linear(graph.append(g.Given(p.n_patch, "patches", PATCHES)), w.patch_embd)
    x = graph.append(Look(p.n_embd, graph.embed(w.token_embd), patches))
    for layer, b in enumerate(w.blk):
        h = graph.rms_norm(x, b.attn_norm, p.norm_eps)
        scores = graph.linear(h, b.ffn_gate_inp)
        chosen = graph.append(Choice(1, scores, p.n_used))
        share = graph.append(Sharing(1, scores, chosen))
        x = graph.add(x, parts.attention(graph, p, b, h, layer, rope))
        h = graph.rms_norm(x, b.ffn_norm, p.norm_eps)
        gate, up = (graph.append(Experts(p.n_ff, h, chosen, one.weight)) for one in (b.ffn_gate_exps, b.ffn_up_exps))
        pairs = graph.rms_norm(graph.glu(gate, up, "silu"), b.ffn_act_norm, p.norm_eps)
        x = graph.add(x, graph.append(Mixture(p.n_embd, graph.linear(pairs, b.ffn_down), share)))
    return parts.logits(graph, w, graph.append(Look(p.n_embd, x, patches)), p.norm_eps)


ROUTED = Architecture({}, RoutedParams, TENSORS, forward, {})
