"""An operation with recurrent state and an architecture that uses it, defined here alone and run from a GGUF file.

No file of the package knows of them: a record with its facts, its meaning in float64, its lowering, its kernel;
parameters, a table of tensors and a forward pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gguf
import numpy as np
import pytest
from golden_models import nmse

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, lanes
from llamachat.engine.backend.cpu.lower import Lowering, lower
from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.context import Context
from llamachat.engine.generate import GenerationOptions, Speculation, Stop, Token, generate
from llamachat.engine.model import Model
from llamachat.engine.models import Architecture, describe, parts, register, unregister
from llamachat.engine.models.base import RotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.tensors import Weights
from llamachat.engine.reference import Evaluation, Floats, evaluate, value
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.state.spec import RecurrentSpec
from llamachat.errors import Cancelled, UsageError

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


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    register("leaky", Architecture(LeakyParams, TENSORS, forward, {}))
    path = tmp_path_factory.mktemp("own") / "leaky.gguf"
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
    yield path
    unregister("leaky")


@pytest.fixture(scope="module")
def model(file: Path) -> Any:
    with Model(file, 2) as loaded:
        yield loaded


TOKENS = np.random.default_rng(1).integers(0, N_VOCAB, 60).tolist()


def whole(model: Model, tokens: list[int] = TOKENS) -> np.ndarray:
    return model.context(512).eval(tokens, "all")


def test_its_logits_are_those_of_its_reference(model: Model) -> None:
    spec = describe(model.file.metadata, model.file.tensors)
    wanted = evaluate(spec.graph(), lambda name: model.file.tensors[name].data.view(np.float32), TOKENS)
    assert nmse(whole(model), wanted) <= 1e-8  # the cache is f16


def test_logits_are_equal_to_the_bit_token_by_token_in_pieces_and_beside_another_sequence(model: Model) -> None:
    wanted, context = whole(model), model.context(512)
    got = [context.eval(TOKENS[i : i + n], "all") for i, n in ((0, 7), (7, 33), (40, 1), (41, 19))]
    assert np.array_equal(np.concatenate(got), wanted)
    one, other = model.context(512), model.context(512)
    one.eval(TOKENS[:-2])
    other.eval(TOKENS[:3])
    together = BatchDecoder()
    got = [together.eval([one, other], [[token], [5]])[0] for token in TOKENS[-2:]]
    assert np.array_equal(got, wanted[-2:])


def test_a_fork_goes_its_own_way(model: Model) -> None:
    context = model.context(512)
    context.eval(TOKENS[:40])
    fork = context.fork()
    context.eval([1, 2, 3])
    assert np.array_equal(fork.eval(TOKENS[40:], "all"), whole(model)[40:])


def test_it_goes_back_to_checkpoints_and_to_the_beginning_and_nowhere_else(model: Model) -> None:
    context = model.context(512)
    context.eval(TOKENS[:20])
    context.checkpoint()
    context.eval(TOKENS[20:30])
    assert [context.reachable(n) for n in (30, 29, 20, 19)] == [30, 20, 20, 0]
    with pytest.raises(UsageError, match="state after them is not kept"):
        context.truncate(25)
    assert context.rewind(25) == 20
    assert np.array_equal(context.eval(TOKENS[20:], "all"), whole(model)[20:])
    assert context.rewind(10) == 0
    assert np.array_equal(context.eval(TOKENS, "all"), whole(model))


def test_it_cannot_be_shifted(model: Model) -> None:
    context = model.context(512)
    context.eval(TOKENS)
    with pytest.raises(UsageError, match="cannot be shifted: its state cannot be moved"):
        context.remove(1, 5)
    assert context.n_past == len(TOKENS)


def test_what_was_computed_can_be_kept_and_taken_over(model: Model) -> None:
    context, other = model.context(512), model.context(512)
    context.eval(TOKENS[:40])
    memory = context.memory(40).copy()
    with pytest.raises(UsageError, match="the model's state is that after 40"):
        context.memory(39)
    other.restore(TOKENS[:40], lambda room: np.copyto(room, memory))
    assert np.array_equal(other.eval(TOKENS[40:], "all"), whole(model)[40:])


class WrongHalf:
    """Guesses of which the first is right and the second is wrong."""

    def __init__(self, text: list[int]) -> None:
        self._text = text

    def propose(self, tokens: Any, most: int) -> list[int]:
        right = self._text[len(tokens) : len(tokens) + 1]
        return [*right, 0, 1][:most] if right else []


class Numbers:
    """A vocabulary whose tokens print nothing that ends an answer."""

    n_vocab = N_VOCAB
    eog = frozenset[int]()
    add_bos = False

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return b"."

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []


def answer(context: Context, speculation: Speculation | None = None) -> list[int]:
    options = GenerationOptions(max_tokens=24, sampling=SamplingOptions(temp=1.0, seed=7))
    events = generate(context, Numbers(), TOKENS[:20], options, None, speculation)
    return [event.id for event in events if isinstance(event, Token)]


def test_guesses_that_are_wrong_leave_the_state_as_if_they_had_never_been(model: Model) -> None:
    wanted, context = answer(model.context(512)), model.context(512)
    found = answer(context, Speculation(WrongHalf([*TOKENS[:20], *wanted])))
    assert found == wanted
    assert len(set(wanted)) > 3
    assert context.tokens == [*TOKENS[:20], *wanted[:-1]]


def test_another_answer_to_a_prompt_evaluates_its_last_token_alone(model: Model) -> None:
    context = model.context(512)
    wanted, evaluated, run = answer(context), [], context.eval

    def counted(tokens: Any, *rest: Any, **more: Any) -> np.ndarray:
        evaluated.append(len(tokens))
        return run(tokens, *rest, **more)

    context.eval = counted  # type: ignore[method-assign]
    assert answer(context) == wanted
    assert evaluated[0] == 1


def test_what_was_cancelled_leaves_a_place_that_is_known(model: Model) -> None:
    context = model.context(512)
    context.eval(TOKENS[:20])
    context.checkpoint()
    context.eval(TOKENS[20:30])
    context.cancel()
    with pytest.raises(Cancelled):
        context.eval(TOKENS[30:])
    assert context.tokens == TOKENS[:20]
    assert np.array_equal(context.eval(TOKENS[20:], "all"), whole(model)[20:])


def test_an_answer_ends_where_a_context_that_cannot_be_shifted_is_full(model: Model) -> None:
    options = GenerationOptions(max_tokens=100, n_keep=1, sampling=SamplingOptions(temp=1.0, seed=7))
    events = list(generate(model.context(40), Numbers(), TOKENS[:20], options))
    assert isinstance(events[-1], Stop)
    assert events[-1].reason == "context"
    assert len(events) == 22
