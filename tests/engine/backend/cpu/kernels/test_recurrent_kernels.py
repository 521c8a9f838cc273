"""Kernels that carry a state from row to row, lowered and run, against the float64 reference."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from machine import Array, Machine, poisoned, rows_of

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.rows import whole_rows
from llamachat.engine.backend.cpu.lower import lower
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.reference import Evaluation, value

N_TOKENS = 9
AT = 64
"""Where the state lies, from where a row says that its sequence's cache is."""


def tensor(name: str, *shape: int) -> g.Tensor:
    return g.Tensor(name, shape)


def operands(*widths: int) -> list[g.Node]:
    return [g.Node(width) for width in widths]


def convolution(width: int, taps: int, bias: bool, silu: bool) -> g.Node:
    return g.Convolution(
        width, *operands(width), tensor("w", width, taps), tensor("b", width) if bias else None, silu, 0
    )


def selective_scan(width: int, n_state: int) -> g.Node:
    values = operands(width, width, n_state, n_state)
    return g.SelectiveScan(width, *values, tensor("negative a", width, n_state), tensor("d", width), 0)


def head_scan(heads: int, head_dim: int, groups: int, n_state: int) -> g.Node:
    width = heads * head_dim
    values = operands(width, 2 * heads, groups * n_state, groups * n_state)
    return g.HeadScan(width, *values, tensor("d", heads, 1), heads, groups, 0)


def delta_rule(heads: int, keys: int, key_dim: int, value_dim: int, repeats: bool) -> g.Node:
    width = heads * value_dim
    values = operands(keys * key_dim, keys * key_dim, width, 2 * heads, heads)
    return g.DeltaRule(width, *values, heads, keys, 0.3, 0, repeats)


def wkv6(heads: int, head_dim: int, gated: bool, normed: bool) -> g.Node:
    width = heads * head_dim
    norm = (tensor("norm", width), tensor("norm bias", width)) if normed else (None, None)
    first = None if gated else tensor("first", heads, head_dim)
    return g.Wkv6(width, *operands(*[width] * 4), head_dim, *norm, 1e-3, 0, first, 0.4)


def wkv7(heads: int, head_dim: int, normed: bool) -> g.Node:
    width = heads * head_dim
    norm = (tensor("norm", width), tensor("norm bias", width)) if normed else (None, None)
    more = [tensor(name, width) for name in ("direct", "replace", "bonus")]
    return g.Wkv7(width, *operands(*[width] * 4), head_dim, *norm, 1e-3, 0, *operands(width), *more)


def mix(width: int, row: int, share: bool, more: bool) -> g.Node:
    shares = tensor("share", 3, 1, width) if share else None
    return g.Mix(width, *operands(width, width), shares, row, *operands(width) if more else [None])


NODES: Mapping[str, Callable[[], g.Node]] = {
    "convolution": lambda: convolution(96, 4, bias=True, silu=True),
    "plain convolution": lambda: convolution(40, 3, bias=False, silu=False),
    "odd convolution": lambda: convolution(7, 5, bias=True, silu=False),
    "a convolution of one row": lambda: convolution(16, 1, bias=False, silu=True),
    "shift": lambda: g.Shift(48, *operands(48), 0, "shift"),
    "odd shift": lambda: g.Shift(9, *operands(9), 0, "shift"),
    "steps": lambda: g.Steps(14, *operands(7), tensor("bias", 7), tensor("negative a", 7, 1)),
    "selective scan": lambda: selective_scan(48, 16),
    "odd selective scan": lambda: selective_scan(6, 5),
    "head scan": lambda: head_scan(4, 32, 2, 16),
    "odd head scan": lambda: head_scan(3, 5, 1, 7),
    "delta rule": lambda: delta_rule(4, 2, 16, 32, repeats=False),
    "delta rule with repeated keys": lambda: delta_rule(6, 3, 8, 16, repeats=True),
    "odd delta rule": lambda: delta_rule(3, 1, 5, 3, repeats=False),
    "wkv6": lambda: wkv6(3, 32, gated=False, normed=True),
    "odd wkv6": lambda: wkv6(2, 10, gated=False, normed=False),
    "gated linear attention": lambda: wkv6(2, 16, gated=True, normed=False),
    "wkv7": lambda: wkv7(2, 64, normed=True),
    "odd wkv7": lambda: wkv7(3, 6, normed=False),
    "mix": lambda: mix(48, 1, share=True, more=True),
    "mix by values alone": lambda: mix(40, 0, share=False, more=True),
    "odd mix": lambda: mix(5, 2, share=True, more=False),
}


class Recorded:
    """Stands for a `Lowering`: operands, weights and a state in arrays with guards; collects launches."""

    def __init__(self, node: g.Node, values: Mapping[g.Node, np.ndarray], weights: Mapping[str, np.ndarray]) -> None:
        self._arrays = {one: self._padded(values[one], np.nan) for one in node.inputs}
        self._vectors = {name: self._padded(one.reshape(1, -1), 0.0) for name, one in weights.items()}
        self.regions = {one: array.address for one, array in self._arrays.items()}
        self.weights = SimpleNamespace(vector=lambda name: self._vectors[name].address)
        names = (getattr(node, "layer", 0), node.state.name if node.state else "")
        self.cache = SimpleNamespace(recurrent={names: AT})
        self.launches: list[Any] = []
        self.result = poisoned(N_TOKENS, whole_rows(node.width))

    @staticmethod
    def _padded(values: np.ndarray, filler: float) -> Array:
        rows, width = values.shape
        padded = np.full((rows, whole_rows(width)), filler, np.float32)
        padded[:, :width] = values
        return Array(padded)

    def stride(self, width: int) -> int:
        return 4 * whole_rows(width)

    def value(self, node: g.Node) -> int:
        return self.result.address

    def count_of(self, node: g.Node) -> int:
        return Step.offset("n_tokens")

    def for_every_token(self, node: g.Node) -> None: ...

    def launch(self, spec: Any, arguments: Any) -> None:
        self.launches.append((spec, arguments))

    def intact(self) -> bool:
        return all(array.intact() for array in (*self._arrays.values(), *self._vectors.values(), self.result))


def weights_of(node: g.Node, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random ones; decays are negative."""
    found = {}
    for use in node.weights:
        values = rng.standard_normal(use.tensor.shape).astype(np.float32)
        found[use.tensor.name] = -np.abs(values) if use.tensor.name.startswith("negative") else values
    return found


def wanted(node: g.Node, values: Mapping[g.Node, np.ndarray], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    doubles = {one: found.astype(np.float64) for one, found in values.items()}
    return value(node, Evaluation(weights.__getitem__, np.arange(len(next(iter(values.values())))), doubles))


def prepared(name: str) -> tuple[g.Node, list[dict[g.Node, np.ndarray]], dict[str, np.ndarray]]:
    """A node, its operands in two sequences of 4 and 5 rows, and its weights."""
    node, rng = NODES[name](), np.random.default_rng(3)
    sequences: list[dict[g.Node, np.ndarray]] = []
    for n in (4, 5):
        values = {one: rng.standard_normal((n, one.width)).astype(np.float32) for one in node.inputs}
        if isinstance(node, g.HeadScan | g.DeltaRule):  # steps are positive, decays below one
            values[node.steps] = rng.uniform(0.1, 0.9, values[node.steps].shape).astype(np.float32)
        sequences.append(values)
    return node, sequences, weights_of(node, rng)


ORDER = [0, 0, 1, 0, 1, 1, 1, 0, 1]
"""Of which sequence each row is."""


def run(machine: Machine, name: str, threads: int, pieces: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of both sequences, mixed and in pieces, and what they should be."""
    node, sequences, weights = prepared(name)
    expected = [wanted(node, values, weights) for values in sequences]
    size = 4 * node.state.n_values if node.state else 4
    states = [
        Array(np.concatenate([np.full(AT // 4, np.nan), np.zeros(size // 4)]).astype(np.float32)) for _ in range(2)
    ]
    taken, found, right = [0, 0], [], []
    places = []
    for own in ORDER:
        places.append((own, taken[own]))
        taken[own] += 1
    done = 0
    for n in pieces:
        mixed = {one: np.stack([sequences[own][one][i] for own, i in places[done : done + n]]) for one in node.inputs}
        to = Recorded(node, mixed, weights)
        lower(node, to)  # type: ignore[arg-type]
        rows = rows_of(np.array([states[own].address for own, _ in places[done : done + n]]), np.zeros(n), np.zeros(n))
        for spec, arguments in to.launches:
            machine.run(spec, arguments, threads, n_tokens=n, rows=rows.address)
        assert to.intact()
        assert np.isnan(to.result.values[n:]).all()
        found.append(to.result.values[:n, : node.width].copy())
        right += [expected[own][i] for own, i in places[done : done + n]]
        done += n
    for state in states:
        assert state.intact()
        assert np.isnan(state.values[: AT // 4]).all()
    return np.concatenate(found), np.stack(right)


@pytest.mark.parametrize("name", NODES)
def test_rows_of_two_sequences_in_pieces_are_those_of_each_alone(machine: Machine, name: str) -> None:
    found, right = run(machine, name, 1, (9,))
    np.testing.assert_allclose(found, right, rtol=2e-5, atol=2e-5)
    for threads, pieces in ((2, (9,)), (3, (1, 3, 4, 1)), (1, (1,) * 9)):
        assert np.array_equal(run(machine, name, threads, pieces)[0], found)
