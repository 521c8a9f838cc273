"""Attention in both directions, in texts that share a step, against float64; alone and together to the bit."""

import numpy as np
import pytest
from machine import Array, Machine, poisoned

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.bias_tables import BiasTables
from llamachat.engine.backend.cpu.jit.kernel import ROW, count_of
from llamachat.engine.backend.cpu.kernels.norm import LANES
from llamachat.engine.backend.cpu.kernels.text_attention import GroupKeys, GroupValues, TextAttention, room_of
from llamachat.engine.positions import bias_by_distance
from llamachat.engine.reference.encoder import attend

SHAPES = [(8, 8, 2, 2), (4, 12, 6, 2), (32, 32, 3, 1)]
"""Numbers of a head's key and value, heads, key/value heads."""


def attention(
    machine: Machine,
    lengths: list[int],
    values: list[np.ndarray],
    shape: tuple[int, ...],
    *,
    threads: int = 1,
    bias: g.PositionBias | None = None,
    packed: bool = True,
) -> np.ndarray:
    """Both kernels, for texts of these lengths: [rows, n_head*value_dim]."""
    head_dim, value_dim, n_head, n_head_kv = shape
    n = sum(lengths)
    places = sum(-(-length // LANES) * LANES for length in lengths)
    q, k, v = map(Array, values)
    grouped, y = poisoned(n_head_kv, places * head_dim), poisoned(n, n_head * value_dim)
    own_values = poisoned(n_head_kv, places * value_dim)
    rows, at, begin = np.zeros((n, len(ROW)), np.int64), 0, 0
    for length in lengths:
        some = slice(begin, begin + length)
        rows[some, ROW.index("cell")] = at + np.arange(length)
        rows[some, ROW.index("begin")], rows[some, ROW.index("end")] = begin, begin + length
        at, begin = at + -(-length // LANES) * LANES, begin + length
    table, own = Array(rows), not packed
    step = {"n_tokens": 0 if own else n, "n_own_0": n if own else 0, "rows": table.address, "threads": threads}
    common = {"count": count_of("n_own_0" if own else "n_tokens"), "head_bytes": 4 * places * head_dim}
    value_bytes = 4 * places * value_dim
    given = {"x": k.address, "y": grouped.address, "stride": 4 * n_head_kv * head_dim, "n_head": n_head_kv}
    machine.run(GroupKeys(head_dim, packed), {**given, **common}, **step)
    given = {"x": v.address, "y": own_values.address, "stride": 4 * n_head_kv * value_dim, "n_head": n_head_kv}
    machine.run(GroupValues(value_dim, packed), {**common, **given, "head_bytes": value_bytes}, **step)
    room = room_of(max(lengths))
    scratch = poisoned(threads, room // 4)
    given = {"q": q.address, "keys": grouped.address, "values": own_values.address, "y": y.address}
    given |= {
        "q_stride": 4 * n_head * head_dim,
        "value_bytes": value_bytes,
        "n_head": n_head,
        "y_stride": 4 * y.values.shape[1],
    }
    given |= {"scale": 0.3, "bias": 0, "bias_bytes": 0, "bias_zero": 0, "scratch": scratch.address, "room": room}
    if bias is not None:
        tables = BiasTables(lambda name: BUCKETS)
        found = tables.table(bias, 400)
        given |= {"bias": found.address, "bias_bytes": found.row_bytes, "bias_zero": found.zero}
    spec = TextAttention(head_dim, value_dim, n_head // n_head_kv, packed, bias is not None)
    machine.run(spec, {**given, **common}, **step)
    assert all(array.intact() for array in (grouped, own_values, y, scratch))
    return np.array(y.values)


BUCKETS = np.random.default_rng(3).standard_normal((32, 6)).astype(np.float32)


def inputs(n: int, shape: tuple[int, ...], seed: int) -> list[np.ndarray]:
    head_dim, value_dim, n_head, n_head_kv = shape
    rng = np.random.default_rng(seed)
    widths = (n_head * head_dim, n_head_kv * head_dim, n_head_kv * value_dim)
    return [rng.standard_normal((n, width)).astype(np.float32) for width in widths]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("packed", [True, False])
def test_equals_float64(machine: Machine, shape: tuple[int, ...], packed: bool) -> None:
    lengths = [1, 37, 16, 3, 290] if packed else [37]
    values = inputs(sum(lengths), shape, 1)
    found, at = attention(machine, lengths, values, shape, threads=2, packed=packed), 0
    for length in lengths:
        q, k, v = (one[at : at + length].astype(np.float64) for one in values)
        none = np.zeros((shape[2], length, length))
        expected = attend(q.reshape(length, shape[2], -1), k, v, shape[3], 0.3, none)
        assert np.abs(found[at : at + length] - expected).max() < 2e-6
        at += length


@pytest.mark.parametrize(
    "bias",
    [
        g.PositionBias(6, g.Tensor("buckets", (32, 6)), both_ways=True),
        g.PositionBias(6, g.Tensor("buckets", (32, 6))),
        g.PositionBias(6, largest=8.0),
    ],
)
def test_bias(machine: Machine, bias: g.PositionBias) -> None:
    shape, n = SHAPES[1], 150
    values = inputs(n, shape, 2)
    found = attention(machine, [n], values, shape, bias=bias)
    distance = np.arange(n) - np.arange(n)[:, None]
    added = bias_by_distance(bias, BUCKETS if bias.buckets else None, n)[:, distance + n]
    q, k, v = (one.astype(np.float64) for one in values)
    expected = attend(q.reshape(n, shape[2], -1), k, v, shape[3], 0.3, added)
    assert np.abs(found - expected).max() < 2e-6


def test_alone_and_together(machine: Machine) -> None:
    shape, lengths = SHAPES[0], [5, 300, 2, 64, 17]
    values = inputs(sum(lengths), shape, 4)
    values[1][5] = np.nan  # a text's trouble is its own
    together = [attention(machine, lengths, values, shape, threads=threads) for threads in (1, 2, 3)]
    assert together[0].tobytes() == together[1].tobytes() == together[2].tobytes()
    at = 0
    for length in lengths:
        some = [one[at : at + length] for one in values]
        assert attention(machine, [length], some, shape).tobytes() == together[0][at : at + length].tobytes()
        at += length
    assert np.isfinite(np.delete(together[0], slice(5, 305), axis=0)).all()
