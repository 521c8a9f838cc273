"""Every operation that works row by row in one forward pass: against the reference, and the same bits always."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_models import nmse
from own_files import write_random

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.graph.elementwise import ACTIVATIONS
from llamachat.engine.model import Model
from llamachat.engine.models import describe, parts, register, unregister
from llamachat.engine.models.base import RotaryHeads
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights
from llamachat.engine.plan import Plan
from llamachat.engine.reference import evaluate
from llamachat.errors import ShapeError, UsageError

N_VOCAB, N_EMBD, N_POSITIONS = 96, 96, 128
TOKENS = np.random.default_rng(2).integers(0, N_VOCAB, 50).tolist()
TENSORS = f"""
{parts.EMBEDDING}
position_embd.weight        context_length n_embd
token_types.weight          2 n_embd
blk.*.attn_norm.weight      n_embd
blk.*.attn_norm.bias        n_embd
blk.*.attn_qkv.weight       n_head*head_dim+2*n_head_kv*head_dim n_embd
blk.*.attn_qkv.bias         n_head*head_dim+2*n_head_kv*head_dim
blk.*.attn_qkv.scale        1
blk.*.attn_q_norm.weight    n_head head_dim
blk.*.attn_output.weight    n_embd n_head*head_dim
blk.*.ffn_up.weight         2*n_ff n_embd
blk.*.ffn_down.weight       n_embd n_ff
blk.*.mix.weight            n_embd n_embd
blk.*.mix.bias              n_embd
blk.*.gate.weight           1 n_embd
blk.*.stretch               n_embd
"""


def forward(graph: g.Graph, p: RotaryHeads, w: Weights) -> g.Node:
    x = graph.add_positions(graph.embed(w.token_embd), w.position_embd)
    x = graph.add_vector(x, w.token_types, row=1)
    rope = g.RopeSpec(p.n_rot, p.rope_base, "halves")
    for layer, b in enumerate(w.blk):
        q, k, v = parts.projections(graph, p, b, graph.layer_norm(x, b.attn_norm, 1e-5), clamp=2.5)
        q = graph.norm(q, "layer", b.attn_q_norm, 1e-5)
        k = graph.norm(k, "l2", None, 1e-6, p.head_dim)
        heads = parts.heads(graph, p, layer, (q, k, v), rope=rope)
        x = graph.add(x, graph.linear(heads, b.attn_output, factor=0.7))
        x = graph.add(x, parts.fused_feed_forward(graph, b, graph.rms_norm(x, None, 1e-5), "silu"))
        x = graph.add(x, widths(graph, b, graph.mul_vector(x, b.stretch), p.head_dim))
        for activation in sorted(ACTIVATIONS - {"exp"}):
            h = graph.unary(graph.linear(graph.layer_norm(x, None, 1e-5), b.mix, 0.5), activation)
            x = graph.add(x, graph.mul(h, graph.unary(graph.linear(h, b.gate), "sigmoid")))
    return graph.soft_cap(graph.scale(parts.logits(graph, w, x, p.norm_eps, factor=3.0), 0.5, 0.25), 4.0)


def widths(graph: g.Graph, b: Weights, x: g.Node, size: int) -> g.Node:
    """Columns of groups, put together in another order, with one group beside all others."""
    left, right = graph.columns(x, 0, size // 2, size), graph.columns(x, size // 2, size // 2, size)
    turned = graph.concat(right, left, groups=x.width // size)
    wide = graph.concat(turned, graph.columns(x, 3, 5), groups=x.width // size, b_serves_all=True)
    return graph.glu(graph.columns(wide, 0, size, size + 5), graph.unary(x, "exp"), "tanh")


def sizes(head_dim: int, n_ff: int) -> dict[str, object]:
    return {
        "context_length": N_POSITIONS,
        "embedding_length": N_EMBD,
        "block_count": 2,
        "feed_forward_length": n_ff,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": head_dim,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }


@pytest.fixture(scope="module", params=[(16, 64), (24, 40)], ids=["whole units of rows", "parts of units"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    head_dim, n_ff = request.param
    register("dense-operations", Architecture({}, RotaryHeads, TENSORS, forward, {}))
    n_qkv = 8 * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (N_VOCAB, N_EMBD),
        "output_norm.weight": (N_EMBD,),
        "position_embd.weight": (N_POSITIONS, N_EMBD),
        "token_types.weight": (2, N_EMBD),
    }
    for own in ("blk.0.", "blk.1."):
        shapes |= {f"{own}attn_norm.weight": (N_EMBD,), f"{own}attn_norm.bias": (N_EMBD,)}
        shapes |= {f"{own}attn_qkv.weight": (n_qkv, N_EMBD), f"{own}attn_qkv.bias": (n_qkv,)}
        shapes |= {f"{own}attn_qkv.scale": (1,), f"{own}attn_q_norm.weight": (4, head_dim)}
        shapes |= {f"{own}attn_output.weight": (N_EMBD, 4 * head_dim), f"{own}ffn_up.weight": (2 * n_ff, N_EMBD)}
        shapes |= {f"{own}ffn_down.weight": (N_EMBD, n_ff), f"{own}mix.weight": (N_EMBD, N_EMBD)}
        shapes |= {f"{own}mix.bias": (N_EMBD,), f"{own}gate.weight": (1, N_EMBD), f"{own}stretch": (N_EMBD,)}
    path = tmp_path_factory.mktemp("own") / "dense.gguf"
    yield write_random(path, "dense-operations", sizes(head_dim, n_ff), shapes)
    unregister("dense-operations")


def run(model: Model, pieces: tuple[int, ...] = (50,)) -> np.ndarray:
    context = model.context(N_POSITIONS, "f32")
    return np.concatenate([context.eval(TOKENS[context.n_past : context.n_past + n], "all") for n in pieces])


def test_logits_are_those_of_the_reference_and_the_same_bits_however_they_are_computed(file: Path) -> None:
    with Model(file, 2) as model:
        spec, whole = describe(model.file.metadata, model.file.tensors), run(model)
        kinds = [fusion.kind for fusion in Plan(model.nodes).fusions.values()]
        wanted = evaluate(spec.graph(), lambda name: model.file.tensors[name].data.view(np.float32), TOKENS)
        np.testing.assert_array_equal(run(model, (1,) * 50), whole)
    assert nmse(whole, wanted) <= 1e-10
    assert {kind: kinds.count(kind) for kind in ("columns", "gate")} == {"columns": 2 * 5, "gate": 2}
    for isa in usable_isas():
        for threads in (1, 3):
            with Model(file, threads, isa=isa) as other:
                np.testing.assert_array_equal(run(other, (1, 7, 30, 1, 11)), whole)


def test_more_tokens_than_positions_are_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="embeddings for 128 positions: a context of 129 tokens is too long"):
        Model(file, 1, n_ctx=129)
    with Model(file, 1) as model, pytest.raises(UsageError, match="a context of 400 tokens is too long"):
        model.context(400)


def refused(call: Any, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        call()


def test_operands_that_do_not_fit_are_refused() -> None:
    graph = g.Graph()
    table = g.Layer(g.Tensor("t", (10, 8)))
    x = graph.embed(table)
    narrow = graph.columns(x, 0, 4)
    refused(lambda: graph.columns(x, 6, 3), "no columns 6 to 9 of groups of 8")
    refused(lambda: graph.columns(x, 0, 2, 3), "groups of 3 in 8")
    refused(lambda: graph.split(x, 4, 3), r"parts of \[4, 3\] columns in a value of 8")
    refused(lambda: graph.concat(x, narrow, groups=3), "8 and 4 are not 3 groups")
    refused(lambda: graph.mul(x, narrow), "width 8 where 4")
    refused(lambda: graph.add_vector(x, g.Layer(g.Tensor("v", (7,)))), "v: width")
    refused(lambda: graph.add_vector(x, table, row=10), "there is no row 10")
    refused(lambda: graph.add_positions(narrow, table), "t: width 8")
    refused(lambda: graph.soft_cap(x, -1.0), "cap must be positive")
    refused(lambda: graph.unary(x, "cube"), "cube.*none of")  # type: ignore[arg-type]
    refused(lambda: graph.layer_norm(x, g.Layer(g.Tensor("n", (3,))), 1e-5), "n: width")
