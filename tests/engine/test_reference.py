"""The float64 reference against llama.cpp's logits, and its operations against their formulas."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from llamachat.engine import graph as operations
from llamachat.engine.graph import Graph, Layer, Node, RopeSpec, Tensor
from llamachat.engine.reference import evaluate, value
from llamachat.errors import UsageError


def layer(weights: dict[str, Any], name: str, values: Any) -> Layer:
    weights[name] = np.asarray(values, np.float64)
    return Layer(Tensor(name, weights[name].shape))


def inputs(weights: dict[str, Any], g: Graph, values: npt.NDArray[Any], name: str = "table") -> Node:
    """Row i of `values` becomes token i."""
    return g.embed(layer(weights, name, values))


def test_every_operation_of_the_graph_has_a_definition() -> None:
    nodes = {c for c in vars(operations).values() if isinstance(c, type) and issubclass(c, Node) and c is not Node}
    assert nodes <= set(value.registry)


@pytest.mark.parametrize(
    "tokens",
    [pytest.param([], id="none"), pytest.param([-1], id="negative"), pytest.param([0, 3], id="beyond the table")],
)
def test_tokens_that_the_table_does_not_have_are_refused(tokens: list[int]) -> None:
    weights: dict[str, Any] = {}
    g = Graph()
    inputs(weights, g, np.eye(3))
    with pytest.raises(UsageError, match="between 0 and 2"):
        evaluate(g, weights.__getitem__, tokens)


def test_a_norm_over_groups_makes_every_group_one_long() -> None:
    weights: dict[str, Any] = {}
    g = Graph()
    g.rms_norm(inputs(weights, g, np.array([[3.0, 4.0, 0.0, 10.0]])), layer(weights, "norm", [1.0, 2.0]), 0.0)
    root = np.sqrt(12.5), np.sqrt(50)
    wanted = [[3 / root[0], 8 / root[0], 0, 20 / root[1]]]
    np.testing.assert_allclose(evaluate(g, weights.__getitem__, [0]), wanted, rtol=1e-15)


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        pytest.param("adjacent", [np.cos(1.0), np.sin(1.0), 0, 0, 5], id="neighbours"),
        pytest.param("halves", [np.cos(1.0), 0, np.sin(1.0), 0, 5], id="halves"),
    ],
)
def test_rope_turns_the_pairs_of_its_order_and_leaves_the_rest(order: Any, wanted: list[float]) -> None:
    weights: dict[str, Any] = {}
    g = Graph()
    g.rope(inputs(weights, g, np.array([[1.0, 0, 0, 0, 5]])), RopeSpec(4, 10_000.0, order), 5)
    got = evaluate(g, weights.__getitem__, [0, 0])
    np.testing.assert_allclose(got, [[1, 0, 0, 0, 5], wanted])


def heads(window: int, n: int) -> tuple[Graph, dict[str, Any]]:
    """Attention of one head of two over n random tokens."""
    weights: dict[str, Any] = {}
    g = Graph()
    rng = np.random.default_rng(3)
    q, k, v = (inputs(weights, g, rng.standard_normal((n, 4)), name) for name in "qkv")
    g.attention(q, k, v, layer=0, n_head=2, n_head_kv=2, scale=0.5, window=window)
    return g, weights


@pytest.mark.parametrize(
    ("window", "n"), [pytest.param(0, 5, id="all"), pytest.param(2, 5, id="window"), pytest.param(0, 600, id="chunks")]
)
def test_attention_is_the_softmax_over_the_keys_that_are_seen(window: int, n: int) -> None:
    g, weights = heads(window, n)
    got = evaluate(g, weights.__getitem__, range(n))
    for i in (0, 1, n - 1):
        seen = slice(max(0, i - window + 1) if window else 0, i + 1)
        for part in (slice(0, 2), slice(2, 4)):
            scores = weights["k"][seen, part] @ weights["q"][i, part] * 0.5
            share = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(got[i, part], share @ weights["v"][seen, part], rtol=1e-12)


@pytest.mark.parametrize(
    ("activation", "wanted"),
    [
        pytest.param("silu", [[-0.0, 0.731058578630005, -0.268941421369995, 1000]], id="silu"),
        pytest.param("gelu", [[-0.0, 0.841191990608276, -0.158808009391724, 1000]], id="gelu"),
    ],
)
def test_activations_have_their_known_values_and_do_not_overflow(activation: Any, wanted: Any) -> None:
    weights: dict[str, Any] = {}
    g = Graph()
    g.glu(inputs(weights, g, np.array([[-1000.0, 1, -1, 1000]])), inputs(weights, g, np.ones((1, 4)), "up"), activation)
    np.testing.assert_allclose(evaluate(g, weights.__getitem__, [0]), wanted, rtol=1e-12)


def test_a_wide_matrix_is_multiplied_in_pieces_without_a_seam() -> None:
    weights: dict[str, Any] = {}
    g = Graph()
    wide = layer(weights, "wide", np.random.default_rng(1).standard_normal((20_000, 2)))
    bias = layer(weights, "bias", np.arange(20_000.0)).weight
    g.linear(inputs(weights, g, np.array([[2.0, 3.0]])), Layer(wide.weight, bias))
    wanted = weights["wide"] @ [2.0, 3.0] + weights["bias"]
    np.testing.assert_allclose(evaluate(g, weights.__getitem__, [0])[0], wanted)
