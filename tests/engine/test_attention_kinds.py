"""What attention has in some architectures: chunks, caps, slopes, sinks, temperatures, shared keys, factors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_models import nmse
from own_files import llama_shapes, write_random

from llamachat.engine import graph as g
from llamachat.engine.graph.attention import alibi_slopes
from llamachat.engine.model import Model
from llamachat.engine.models import Architecture, describe, parts, register, unregister
from llamachat.engine.models.base import RotaryHeads
from llamachat.engine.models.tensors import Weights
from llamachat.engine.reference import evaluate
from llamachat.errors import ShapeError, UsageError

SIZES = {
    "context_length": 2048,
    "embedding_length": 64,
    "block_count": 3,
    "feed_forward_length": 48,
    "attention.head_count": 4,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
TOKENS = [int(token) for token in np.random.default_rng(8).integers(0, 96, 700)]
OWN = "rope_factors_long.weight 8\nrope_factors_short.weight 8\nblk.*.attn_sinks.weight n_head\n"


@dataclass(frozen=True)
class Kind:
    """What the attention of each layer has; layers that are not named have nothing special."""

    special: tuple[dict[str, Any], ...] = ({}, {}, {})
    temperature: g.TemperatureSpec | None = None
    long_above: int = 0
    rotates: bool = True
    shares: bool = False

    def forward(self, graph: g.Graph, p: RotaryHeads, w: Weights) -> g.Node:
        x, first = graph.embed(w.token_embd), None
        factors = w.rope_factors_short.weight, w.rope_factors_long.weight
        spec = g.RopeSpec(16, 1e4, "halves")
        if self.long_above:
            spec = g.RopeSpec(
                16, 1e4, "halves", factors=factors[0], long_factors=factors[1], long_above=self.long_above
            )
        for layer, b in enumerate(w.blk):
            h = graph.rms_norm(x, b.attn_norm, p.norm_eps)
            q, k, v = (graph.linear(h, one) for one in (b.attn_q, b.attn_k, b.attn_v))
            if self.temperature is not None:
                q = graph.temperature(q, self.temperature)
            special = dict(self.special[layer])
            if special.pop("sinks", False):
                special["sinks"] = b.attn_sinks.weight
            if self.shares and first is not None:
                heads = graph.attention_to(q, first)
            else:
                rope = spec if self.rotates else None
                size = {"layer": layer, "n_head": 4, "n_head_kv": 4, "scale": 0.25}
                heads = first = graph.attention(q, k, v, rope=rope, **size, **special)
            x = graph.add(x, graph.linear(heads, b.attn_output))
            x = graph.add(x, parts.gated_feed_forward(graph, b, graph.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
        return parts.logits(graph, w, x, p.norm_eps)


TABLE = parts.EMBEDDING + parts.ATTENTION + parts.GATED_FEED_FORWARD + OWN
KINDS = {
    "chunks": Kind(({"chunk": 40}, {"chunk": 40}, {}), g.TemperatureSpec(0.3, 64, 1)),
    "caps and windows": Kind(({"soft_cap": 2.0, "window": 30}, {"soft_cap": 2.0}, {"soft_cap": 2.0, "window": 30})),
    "slopes": Kind(({"slopes": alibi_slopes(4, 8.0)},) * 3, rotates=False),
    "sinks": Kind(({"sinks": True, "window": 40}, {"sinks": True}, {"sinks": True})),
    "shared": Kind(({"window": 50}, {}, {}), shares=True),
    "long": Kind(long_above=512),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Kind, Path]]:
    with made(request.param, tmp_path) as path:
        yield KINDS[request.param], path


class made:  # noqa: N801
    """A file of an architecture with this kind of attention, which is known meanwhile."""

    def __init__(self, name: str, folder: Path) -> None:
        self.kind, self.path = KINDS[name], folder / "kind.gguf"

    def __enter__(self) -> Path:
        register("kind", Architecture({"kind": "a test"}, RotaryHeads, TABLE, self.kind.forward, {}))
        shapes = llama_shapes(96, 64, 48, 3) | {f"blk.{i}.attn_sinks.weight": (4,) for i in range(3)}
        shapes |= {f"rope_factors_{name}.weight": (8,) for name in ("long", "short")}
        return write_random(self.path, "kind", SIZES, shapes)

    def __exit__(self, *_: object) -> None:
        unregister("kind")


def run(model: Model, pieces: tuple[int, ...], n_ctx: int = 768) -> np.ndarray:
    context = model.context(n_ctx, "f32")
    return np.concatenate([context.eval(TOKENS[context.n_past : context.n_past + n], "all") for n in pieces])


def test_logits_are_those_of_the_reference_however_tokens_are_cut(kind: tuple[Kind, Path]) -> None:
    with Model(kind[1], 2) as model:
        graph = describe(model.file.metadata, model.file.tensors).graph()
        wanted = evaluate(graph, lambda name: model.file.tensors[name].data.view(np.float32), TOKENS, n_ctx=768)
        found = run(model, (700,))
        np.testing.assert_array_equal(run(model, (1, 60, 1, 1, 130, 507)), found)
    with Model(kind[1], 3) as model:
        np.testing.assert_array_equal(run(model, (1,) * 90 + (610,)), found)
    assert nmse(found, wanted) <= 1e-9


def test_the_configured_context_chooses_the_factors(tmp_path: Path) -> None:
    with made("long", tmp_path) as path, Model(path, 1) as model:
        graph = describe(model.file.metadata, model.file.tensors).graph()
        short, long = (run(model, (100,), n_ctx) for n_ctx in (512, 768))
        load = model.file.tensors
        for found, n_ctx in ((short, 512), (long, 513)):
            wanted = evaluate(graph, lambda name: load[name].data.view(np.float32), TOKENS[:100], n_ctx=n_ctx)
            assert nmse(found, wanted) <= 1e-9
        assert nmse(short, long) > 1e-6
        small, large = model.context(512), model.context(768)
        assert small.layout != large.layout
        small.eval(TOKENS[:40])
        large.take_over(small)  # takes nothing: its keys would be rotated otherwise
        assert large.n_past == 0


@pytest.mark.parametrize("name", ["chunks", "long", "slopes"])
def test_a_shift_is_as_evaluating_anew_in_the_first_layer(name: str, tmp_path: Path) -> None:
    left = TOKENS[:4] + TOKENS[74:600]
    with made(name, tmp_path) as path, Model(path, 1) as model:
        graph = describe(model.file.metadata, model.file.tensors).graph()
        shallow = _shallow(path, tmp_path / "shallow.gguf")
        assert sum(isinstance(node, g.Attention) for node in graph.nodes) == 3
        with Model(shallow, 1) as one:
            shifted, fresh = one.context(768, "f32"), one.context(768, "f32")
            shifted.eval(TOKENS[:600])
            shifted.remove(4, 74)
            fresh.eval(left)
            assert nmse(shifted.eval(TOKENS[600:], "all"), fresh.eval(TOKENS[600:], "all")) <= 1e-10


def _shallow(_path: Path, target: Path) -> Path:
    """The same with one layer."""
    shapes = llama_shapes(96, 64, 48, 1) | {"blk.0.attn_sinks.weight": (4,)}
    shapes |= {f"rope_factors_{name}.weight": (8,) for name in ("long", "short")}
    return write_random(target, "kind", SIZES | {"block_count": 1}, shapes)


def test_positions_that_distances_do_not_follow_are_not_grouped(tmp_path: Path) -> None:
    with (
        made("slopes", tmp_path) as path,
        Model(path, 1) as model,
        pytest.raises(UsageError, match="cannot be grouped: its scores depend on the number of tokens between two"),
    ):
        model.context(512, self_extend=(2, 64))


@pytest.mark.parametrize("n_head", [1, 3, 4, 6, 12, 40, 71])
def test_slopes_fall_and_are_those_of_twice_as_many_heads_for_the_rest(n_head: int) -> None:
    slopes, n = alibi_slopes(n_head, 8.0), 1 << (n_head.bit_length() - 1)
    np.testing.assert_allclose(slopes[:n], 2.0 ** (-8 * np.arange(1, n + 1) / n))
    np.testing.assert_allclose(slopes[n:], alibi_slopes(2 * n, 8.0)[: 2 * (n_head - n) : 2])


def test_operations_refuse_what_does_not_fit_the_heads() -> None:
    def layer_of(name: str, *shape: int) -> g.Layer:
        return g.Layer(g.Tensor(name, shape))

    graph = g.Graph()
    x = graph.embed(layer_of("table", 10, 8))
    size: dict[str, Any] = {"layer": 0, "n_head": 2, "n_head_kv": 2, "scale": 1.0}
    with pytest.raises(ShapeError, match="slopes of layer 0"):
        graph.attention(x, x, x, **size, slopes=(1.0,))
    with pytest.raises(ShapeError, match="sinks"):
        graph.attention(x, x, x, **size, sinks=g.Tensor("sinks", (3,)))
    with pytest.raises(ShapeError, match="at least 1"):
        graph.temperature(x, g.TemperatureSpec(0.1, 0))
