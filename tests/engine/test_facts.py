"""Operations answer for themselves: nobody asks of what kind one is but the plan and the backend's own table."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from llamachat.engine import graph as g
from llamachat.engine.graph import Node, Role, states, uses
from llamachat.engine.models import parts
from llamachat.engine.plan import Plan
from llamachat.engine.state.spec import KeyValueSpec

PACKAGE = Path(g.__file__).resolve().parents[2]
OPERATIONS = {name for name, one in vars(g).items() if isinstance(one, type) and issubclass(one, Node)} - {"Node"}
MAY_ASK = ("engine/plan/", "engine/backend/cpu/lower/", "engine/adapters/weaving.py", "engine/models/features.py")
"""What decides about whole forward passes, computes one, writes adapters into one, or names what it has for people."""


def asked(tree: ast.AST) -> Iterator[str]:
    """Names of operations that `isinstance`, a comparison of types, a table of types or a `match` asks for."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            kinds = node.args[1:]
        elif isinstance(node, ast.MatchClass):
            kinds = [node.cls]
        elif isinstance(node, ast.Compare):
            kinds = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            kinds = [key for key in node.keys if key is not None]
        else:
            continue
        for kind in kinds:
            for part in ast.walk(kind):
                name = part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")
                if name in OPERATIONS:
                    yield name


def imports_operations(tree: ast.AST) -> bool:
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    return any(module.startswith("llamachat.engine") and "graph" in module for module in modules) or any(
        node.module == "llamachat.engine" and any(one.name == "graph" for one in node.names)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    )


def test_nobody_else_asks_of_what_kind_an_operation_is() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text("utf-8"))
        if not name.startswith(MAY_ASK) and imports_operations(tree):
            found += [f"{name}: {kind}" for kind in asked(tree)]
    assert found == []


def test_the_test_before_this_one_finds_what_it_looks_for() -> None:
    source = (
        "from llamachat.engine import graph as g\nisinstance(x, (g.Linear, Rope))\nmatch x:\n  case g.Add():\n    0\n"
        "type(x) is g.Embed\nTABLE = {g.Glu: 1}"
    )
    assert imports_operations(ast.parse(source))
    assert sorted(asked(ast.parse(source))) == ["Add", "Embed", "Glu", "Linear", "Rope"]


def layer(name: str, *shape: int) -> g.Layer:
    return g.Layer(g.Tensor(name, shape))


def small(rope: g.RopeSpec | None = None, early: g.RopeSpec | None = None) -> g.Graph:
    """Two operations around an attention, and a head."""
    graph = g.Graph()
    x = graph.embed(layer("table", 10, 8))
    q, k, v = (graph.linear(x, layer(name, 8, 8)) for name in "qkv")
    if early is not None:
        k = graph.rms_norm(graph.rope(k, early, 4), layer("norm", 4), 1e-5)
    h = graph.attention(q, k, v, layer=0, n_head=2, n_head_kv=2, scale=0.5, window=3, rope=rope)
    graph.linear(graph.add(x, graph.linear(h, layer("out", 8, 8))), layer("head", 10, 8))
    return graph


ROPE = g.RopeSpec(4, 10_000.0, "halves")


def test_weights_are_told_with_their_roles_each_once() -> None:
    nodes = small(ROPE).nodes
    assert [use.tensor.name for use in uses(nodes, Role.MATRIX)] == ["q", "k", "v", "out", "head"]
    assert [use.tensor.name for use in uses(nodes, Role.TABLE)] == ["table"]
    assert sum(node.operations for node in nodes) == 2 * (4 * 64 + 80)


def test_state_tells_of_its_rotation_and_refuses_to_be_moved_where_that_was_not_the_last_step() -> None:
    (state,) = states(small(ROPE).nodes)
    assert state == KeyValueSpec(0, 2, 4, 4, 3, ROPE)
    assert state.shift_refusal == ""
    (early,) = states(small(early=ROPE).nodes)
    assert "no rotation can change" in early.shift_refusal
    (plain,) = states(small().nodes)
    assert plain.shift_refusal == ""


@dataclass(frozen=True, eq=False)
class AddPositions(g.Node):
    """x plus a row of a table for each position, as GPT-2 has it."""

    x: g.Node

    @property
    def adds_positions(self) -> bool:
        return True


def test_positions_that_are_added_before_a_product_are_in_the_keys_of_all_layers_and_refuse_a_shift() -> None:
    graph = g.Graph()
    x = graph.append(AddPositions(8, graph.embed(layer("table", 10, 8))))
    for number in range(2):
        q, k, v = (graph.linear(x, layer(f"{name}{number}", 8, 8)) for name in "qkv")
        x = graph.add(x, graph.attention(q, k, v, layer=number, n_head=2, n_head_kv=2, scale=0.5))
    assert ["no rotation can change" in state.shift_refusal for state in states(graph.nodes)] == [True, True]


def test_the_body_ends_behind_the_last_operation_that_mixes_rows() -> None:
    plan = Plan(small(ROPE).nodes)
    assert isinstance(plan.body[-1], g.Attention)
    assert [type(node) for node in plan.head] == [g.Linear, g.Add, g.Linear]
    assert [type(node) for node in plan.crossing] == [g.Attention, g.Embed]


def test_a_product_is_computed_with_the_addition_behind_it_if_nobody_else_reads_it() -> None:
    graph = small(ROPE)
    plan = Plan(graph.nodes)
    assert [type(node) for node in plan.fused] == [g.Linear]
    out = next(node for node in graph.nodes if isinstance(node, g.Linear) and node.weight.name == "out")
    twice = g.Graph([*graph.nodes[:-2]])
    total = twice.add(twice.add(graph.nodes[0], out), out)
    twice.linear(total, layer("head", 10, 8))
    assert out not in Plan(twice.nodes).fused


def test_a_value_that_is_added_to_itself_is_computed_apart() -> None:
    graph = g.Graph()
    x = graph.embed(layer("table", 10, 8))
    h = graph.linear(x, layer("q", 8, 8))
    graph.linear(graph.add(h, h), layer("head", 10, 8))
    assert Plan(graph.nodes).fused == frozenset()


@pytest.mark.parametrize("name", ["EMBEDDING", "ATTENTION", "GATED_FEED_FORWARD"])
def test_shared_rows_end_with_a_line(name: str) -> None:
    assert getattr(parts, name).endswith("\n")
