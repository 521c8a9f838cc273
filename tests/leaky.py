"""An operation with recurrent state and an architecture that uses it, which no file of the package knows.

Its facts, its meaning in float64, its lowering, its kernel; and parameters, a table of tensors and a forward pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import gguf
import numpy as np

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, lanes
from llamachat.engine.backend.cpu.lower import Lowering, lower
from llamachat.engine.models import Architecture, parts, register, unregister
from llamachat.engine.models.base import RotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.tensors import Weights
from llamachat.engine.reference import Evaluation, Floats, value
from llamachat.engine.state.spec import RecurrentSpec

N_VOCAB, N_EMBD, N_FF, N_LAYER, N_HEAD = 96, 64, 96, 3, 4
LANES = 16


@dataclass(frozen=True, eq=False)
class Leak(g.Node):
    """y[t] = decay * y[t-1] + x[t]; decay [width]."""

    x: g.Node
    decay: g.Tensor
    layer: int

    @property
    def weights(self) -> tuple[g.Use, ...]:
        return (g.Use(self.decay, g.Role.VECTOR),)

    @property
    def state(self) -> RecurrentSpec:
        return RecurrentSpec(self.layer, "leak", 1, self.width)


@value.register
def leak(node: Leak, state: Evaluation) -> Floats:
    x, decay = state.values[node.x], state.weight(node.decay)
    y, last = np.empty_like(x), np.zeros(node.width)
    for t, row in enumerate(x):
        y[t] = last = decay * last + row
    return y


@dataclass(frozen=True)
class LeakKernel(KernelSpec):
    """Each thread takes some columns of all rows; at: where the state lies before the first cell."""

    arguments: ClassVar = ("x", "y", "decay", "at", "registers", "stride")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y", "state")
    split: ClassVar = Shares("", ("registers",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        first, last = self.split.share(k)
        kind = lanes(F32, LANES)
        with k.loop(first * (4 * LANES), last * (4 * LANES), 4 * LANES) as column:
            decay = k.pointer("decay")[column].load(kind, 4)
            with k.loop(0, k.step.n_tokens) as t:
                state = Ptr(k.row(t).cache)[k.args.at + column]
                x = k.pointer("x")[t * k.args.stride + column].load(kind, 4)
                value = isa.fma(k, decay, state.load(kind, 4), x)
                state.store(value, 4)
                k.pointer("y")[t * k.args.stride + column].store(value, 4)


@lower.register
def lower_leak(node: Leak, to: Lowering) -> None:
    arguments = {"x": to.regions[node.x], "y": to.value(node), "decay": to.weights.vector(node.decay.name)}
    at = to.cache.recurrent[node.layer, "leak"]
    to.launch(LeakKernel(), {**arguments, "at": at, "registers": node.width // LANES, "stride": to.stride(node.width)})


@dataclass(frozen=True)
class LeakyParams(RotaryHeads):
    period: int = key("attention_period", 2)


TENSORS = f"""
{parts.EMBEDDING}
[layer == 1]
{parts.ATTENTION}
[layer != 1]
blk.*.leak_norm.weight  n_embd
blk.*.leak_decay        n_embd
[]
{parts.GATED_FEED_FORWARD}
"""


def forward(graph: g.Graph, p: LeakyParams, w: Weights) -> g.Node:
    rope = g.RopeSpec(p.n_rot, p.rope_base, "halves")
    x = graph.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        if layer == 1:
            h = parts.attention(graph, p, b, graph.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope)
        else:
            h = graph.rms_norm(x, b.leak_norm, p.norm_eps)
            h = graph.append(Leak(h.width, h, b.leak_decay.weight, layer))
        x = graph.add(x, h)
        x = graph.add(x, parts.gated_feed_forward(graph, b, graph.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(graph, w, x, p.norm_eps)


@contextmanager
def leaky_file(path: Path) -> Iterator[Path]:
    """Writes a model of the architecture, with random weights, which is known within."""
    register("leaky", Architecture({}, LeakyParams, TENSORS, forward, {}))
    try:
        write(path)
        yield path
    finally:
        unregister("leaky")


def write(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "leaky")
    writer.add_vocab_size(N_VOCAB)
    writer.add_context_length(512)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(N_LAYER)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    rng = np.random.default_rng(0)

    def tensor(name: str, *shape: int) -> None:
        values = rng.standard_normal(shape) / np.sqrt(shape[-1]) if len(shape) > 1 else rng.uniform(0.5, 1, shape)
        writer.add_tensor(name, values.astype(np.float32))

    tensor("token_embd.weight", N_VOCAB, N_EMBD)
    tensor("output_norm.weight", N_EMBD)
    for layer in range(N_LAYER):
        own = f"blk.{layer}."
        if layer == 1:
            tensor(f"{own}attn_norm.weight", N_EMBD)
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                tensor(f"{own}{name}.weight", N_EMBD, N_EMBD)
        else:
            tensor(f"{own}leak_norm.weight", N_EMBD)
            tensor(f"{own}leak_decay", N_EMBD)
        tensor(f"{own}ffn_norm.weight", N_EMBD)
        tensor(f"{own}ffn_gate.weight", N_FF, N_EMBD)
        tensor(f"{own}ffn_up.weight", N_FF, N_EMBD)
        tensor(f"{own}ffn_down.weight", N_EMBD, N_FF)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
