"""Recurrences: their state in the sequence's memory, threads share columns."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.norm import lanes_for
from llamachat.engine.backend.cpu.kernels.recurrent import (
    MOST_KEYS,
    DeltaRule,
    HeadScan,
    SelectiveScan,
    Steps,
    chains_of,
)
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments
from llamachat.errors import Unsupported


@lower.register
def lower_steps(node: g.Steps, to: Lowering) -> None:
    """Threads share rows."""
    vectors: Arguments = {"bias": to.weights.vector(node.bias.name), "a": to.weights.vector(node.a.name)}
    sizes: Arguments = {"n_head": node.x.width, "count": to.count_of(node)}
    to.launch(Steps(), {**_rows(to, x=node.x), **_value(node, to), **vectors, **sizes})


@lower.register
def lower_selective_scan(node: g.SelectiveScan, to: Lowering) -> None:
    """Threads share columns. Raises Unsupported for columns that keep more than MOST_KEYS numbers."""
    if node.b.width > MOST_KEYS:
        raise Unsupported(f"the processor's backend keeps {MOST_KEYS} numbers for a column of a scan, not more")
    vectors: Arguments = {"a": to.weights.vector(node.a.name), "skip": to.weights.vector(node.skip.name)}
    operands = _rows(to, x=node.x, step=node.step, b=node.b, c=node.c)
    n = lanes_for(node.width)
    to.launch(
        SelectiveScan(n, chains_of(node.b.width)), {**operands, **_state(node, n, to), **_value(node, to), **vectors}
    )


@lower.register
def lower_head_scan(node: g.HeadScan, to: Lowering) -> None:
    """Threads share columns."""
    head_dim = node.width // node.n_head
    n = lanes_for(head_dim)
    sizes: Arguments = {
        "n_head": node.n_head,
        "per_head": head_dim // n,
        "per_group": node.n_head // node.n_group,
        "skip": to.weights.vector(node.skip.name),
    }
    operands = _rows(to, x=node.x, steps=node.steps, b=node.b, c=node.c)
    to.launch(HeadScan(n, chains_of(node.n_state)), {**operands, **_state(node, n, to), **_value(node, to), **sizes})


@lower.register
def lower_delta_rule(node: g.DeltaRule, to: Lowering) -> None:
    """Threads share columns."""
    head_dim = node.width // node.n_head
    n = lanes_for(head_dim)
    sizes: Arguments = {
        "n_head": node.n_head,
        "per_head": head_dim // n,
        "shared": node.n_head // node.n_head_k if node.repeats else 1,
        "n_head_k": node.n_head_k,
        "scale": node.scale,
    }
    operands = _rows(to, q=node.q, k=node.k, v=node.v, steps=node.steps, beta=node.beta)
    to.launch(DeltaRule(n, chains_of(node.key_dim)), {**operands, **_state(node, n, to), **_value(node, to), **sizes})


def _rows(to: Lowering, **values: g.Node) -> Arguments:
    """Operands and their strides."""
    found: Arguments = {name: to.regions[value] for name, value in values.items()}
    return found | {f"{name}_stride": to.stride(value.width) for name, value in values.items()}


def _value(node: g.Node, to: Lowering) -> Arguments:
    return {"y": to.value(node), "y_stride": to.stride(node.width)}


def _state(node: g.SelectiveScan | g.HeadScan | g.DeltaRule, n: int, to: Lowering) -> Arguments:
    """Where the state is, and how it is divided."""
    to.for_every_token(node)
    spec = node.state
    return {"at": to.cache.recurrent[node.layer, spec.name], "items": node.width // n, "n_key": spec.n_rows}
