"""Rows that are no tokens: pairs of tokens and experts, integers, and values that are given, run from a GGUF file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_models import nmse
from own_files import write_random
from routed import PATCHES, ROUTED

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.backend.cpu.lower.scratch import scratch_bytes
from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.model import Model
from llamachat.engine.models import describe, register, unregister
from llamachat.engine.plan import Plan
from llamachat.engine.reference import evaluate
from llamachat.errors import ShapeError, Unsupported, UsageError

N_VOCAB, N_EMBD, N_FF, N_LAYER, N_EXPERT, N_USED, N_PATCH = 96, 64, 48, 2, 5, 3, 40
SIZES = {
    "context_length": 512,
    "embedding_length": N_EMBD,
    "block_count": N_LAYER,
    "feed_forward_length": N_FF,
    "attention.head_count": 4,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "expert_count": N_EXPERT,
    "expert_used_count": N_USED,
    "patch_width": N_PATCH,
}
SHAPES: dict[str, tuple[int, ...]] = {
    "token_embd.weight": (N_VOCAB, N_EMBD),
    "output_norm.weight": (N_EMBD,),
    "patch_embd.weight": (N_EMBD, N_PATCH),
}
for layer in range(N_LAYER):
    own = f"blk.{layer}."
    SHAPES |= {f"{own}attn_norm.weight": (N_EMBD,), f"{own}ffn_norm.weight": (N_EMBD,)}
    SHAPES |= {f"{own}attn_{part}.weight": (N_EMBD, N_EMBD) for part in ("q", "k", "v", "output")}
    SHAPES |= {f"{own}ffn_gate_inp.weight": (N_EXPERT, N_EMBD), f"{own}ffn_act_norm.weight": (N_FF,)}
    SHAPES |= {f"{own}ffn_{part}_exps.weight": (N_EXPERT, N_FF, N_EMBD) for part in ("gate", "up")}
    SHAPES[f"{own}ffn_down.weight"] = (N_EMBD, N_FF)

RNG = np.random.default_rng(5)
TOKENS = RNG.integers(0, N_VOCAB, 50).tolist()
GIVEN = {"patches": RNG.standard_normal((7, N_PATCH)).astype(np.float32)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    register("routed", ROUTED)
    yield write_random(tmp_path_factory.mktemp("own") / "routed.gguf", "routed", SIZES, SHAPES)
    unregister("routed")


@pytest.fixture(scope="module")
def model(file: Path) -> Any:
    with Model(file, 2) as loaded:
        yield loaded


def run(model: Model, pieces: tuple[int, ...] = (50,), given: Any = None) -> np.ndarray:
    context = model.context(512, "f32")
    return np.concatenate(
        [context.eval(TOKENS[context.n_past : context.n_past + n], "all", given=given) for n in pieces]
    )


@pytest.mark.parametrize("given", [None, GIVEN, {"patches": GIVEN["patches"][:1]}], ids=["no rows", "seven", "one"])
def test_logits_are_those_of_the_reference(model: Model, given: Any) -> None:
    graph = describe(model.file.metadata, model.file.tensors).graph()
    wanted = evaluate(graph, lambda name: model.file.tensors[name].data.view(np.float32), TOKENS, given)
    assert nmse(run(model, given=given), wanted) <= 1e-10


def test_neither_pieces_nor_threads_nor_instructions_change_a_bit(model: Model, file: Path) -> None:
    wanted = run(model, given=GIVEN)
    for isa in usable_isas():
        for threads in (1, 3):
            with Model(file, threads, isa=isa) as other:
                np.testing.assert_array_equal(run(other, (1, 7, 30, 1, 11), GIVEN), wanted)
    np.testing.assert_array_equal(run(model, (1,) * 50, GIVEN), wanted)


def test_sequences_beside_each_other_change_no_bit(model: Model) -> None:
    wanted, contexts = run(model), [model.context(512, "f32") for _ in range(3)]
    for i, context in enumerate(contexts):
        context.eval(TOKENS[: 20 + i])
    found = BatchDecoder().eval(contexts, [TOKENS[20 + i : 22 + i] for i in range(3)])
    np.testing.assert_array_equal(found, np.concatenate([wanted[20 + i : 22 + i] for i in range(3)]))


def test_what_was_given_reaches_only_those_tokens_and_nobody_reuses_them(model: Model) -> None:
    context = model.context(512, "f32")
    context.eval(TOKENS[:5])
    assert context.n_reusable == 5
    first = context.eval(TOKENS[5:9], given=GIVEN)
    assert context.n_reusable == 5
    context.truncate(5)
    assert not np.array_equal(context.eval(TOKENS[5:9]), first)
    np.testing.assert_array_equal(context.eval(TOKENS[9:], "all"), run(model)[9:])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"frames": np.ones((1, 40))}, "takes no values 'frames'", id="a name that nobody asks for"),
        pytest.param({"patches": np.ones((1, 41))}, r"must be float32 \[n, 40\].* not float64 \[1, 41\]", id="width"),
        pytest.param({"patches": np.ones(40)}, r"not float64 \[40\]", id="one dimension"),
        pytest.param({"patches": np.ones((21, 40))}, "at most 20 rows", id="too many"),
        pytest.param({"patches": np.ones((1, 40), int)}, "not int64", id="integers"),
        pytest.param({"patches": np.full((1, 40), np.nan)}, "not finite", id="NaN"),
    ],
)
def test_values_that_do_not_fit_are_refused_before_anything_is_evaluated(model: Model, given: Any, words: str) -> None:
    context = model.context(512)
    with pytest.raises(UsageError, match=words):
        context.eval([1, 2], given=given)
    assert context.n_past == 0


def test_values_of_one_kind_of_rows_must_have_as_many() -> None:
    from llamachat.engine.inputs import given_inputs

    nodes = [g.Given(2, "patches", PATCHES), g.Given(1, "places", PATCHES, g.Number.INTEGER)]
    found = given_inputs({"patches": np.ones((3, 2)), "places": np.arange(3)[:, None]}, Plan(nodes))
    assert {name: values.dtype.name for name, values in found.items()} == {"patches": "float32", "places": "int32"}
    with pytest.raises(UsageError, match="one number of rows, not patches 3, places 0"):
        given_inputs({"patches": np.ones((3, 2))}, Plan(nodes))
    with pytest.raises(ShapeError, match="two values that are given have this name"):
        _ = Plan([*nodes, g.Given(3, "places", PATCHES)]).given


def layer_of(name: str, *shape: int) -> g.Layer:
    return g.Layer(g.Tensor(name, shape))


def test_operations_refuse_values_that_do_not_go_together() -> None:
    graph = g.Graph()
    tokens, patches = graph.embed(layer_of("table", 10, 8)), g.Given(8, "patches", PATCHES)
    integers = g.Given(8, "places", PATCHES, g.Number.INTEGER)
    for call, words in (
        (lambda: graph.add(tokens, patches), "add: rows of tokens and of patches are no pairs"),
        (lambda: graph.glu(tokens, patches, "silu"), "glu: rows of tokens and of patches"),
        (lambda: graph.add(patches, integers), "add: integers where float32"),
        (lambda: graph.linear(integers, layer_of("w", 4, 8)), "w: integers where float32"),
        (lambda: graph.rms_norm(integers, layer_of("n", 8), 1e-5), "n: integers where float32"),
        (lambda: graph.rope(integers, g.RopeSpec(8, 1e4, "halves"), 8), "rope: integers where float32"),
        (lambda: g.Given(8, "more", g.TOKENS), "more: .* need rows with a number of their own"),
        (lambda: g.Rows("both", times=2, most=3), "both: rows need"),
        (lambda: g.pairs(0), "pairs: rows need"),
    ):
        with pytest.raises(ShapeError, match=words):
            call()


def test_rotation_of_rows_without_positions_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(graph: g.Graph, *rest: Any) -> g.Node:
        patches = graph.append(g.Given(N_PATCH, "turned", PATCHES))
        graph.rope(patches, g.RopeSpec(8, 1e4, "halves"), 8)
        return ROUTED.forward(graph, *rest)

    unregister("routed")
    register("routed", type(ROUTED)({}, ROUTED.params, ROUTED.tensors, turned, {}))
    try:
        with Model(file, 1) as model, pytest.raises(Unsupported, match="for all tokens of a step"):
            model.context(512).eval([1])
    finally:
        unregister("routed")
        register("routed", ROUTED)


def test_the_memory_plan_counts_rows_that_are_no_tokens(model: Model) -> None:
    def plain(rows: g.Rows) -> int:
        first = g.Given(64, "a", rows) if rows.most else g.Embed(64, g.Tensor("t", (4, 64)), 1.0)
        return scratch_bytes([first, g.Embed(4, g.Tensor("t", (4, 64)), 1.0)])

    assert plain(g.Rows("many", most=5120)) > 5 * plain(g.TOKENS)
