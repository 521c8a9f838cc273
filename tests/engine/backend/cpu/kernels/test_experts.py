"""Routing, products over pairs and mixtures against float64 and against products of one matrix, on every set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from machine import Array, Machine, poisoned
from test_product import Packed, multiply, random_blocks

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.activations import CopyPanels, Quantize
from llamachat.engine.backend.cpu.kernels.experts import (
    Arrange,
    ClampedGlu,
    ExpertProduct,
    FloatExpertProduct,
    GatherPanels,
    Layout,
    Mix,
    ScaleRows,
)
from llamachat.engine.backend.cpu.kernels.many_columns import scratch_bytes
from llamachat.engine.backend.cpu.kernels.panel import panel_bytes
from llamachat.engine.backend.cpu.kernels.routing import CHOSEN, LOGITS, SIGMOID, SOFTMAX, Choose, Weigh
from llamachat.engine.backend.cpu.kernels.rows import MODES, whole_rows
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.reference import Evaluation, value

TOKENS = Step.offset("n_tokens")
SCORINGS = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "chosen": CHOSEN}
ROW = 4
"""Bytes from one pair's number or share to the next; in programs it is a unit of rows."""


def stands_for(width: int) -> g.Node:
    """A value that stands for itself."""
    return g.Given(width, "given", g.Rows("rows", most=1000))


def exactly(node: g.Node, values: Mapping[g.Node, np.ndarray], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the reference says of an operation on these values."""
    return value(node, Evaluation(weights.__getitem__, np.zeros(1, np.int64), dict(values)))


ROUTINGS = [
    pytest.param(5, g.Routing(2), False, id="softmax"),
    pytest.param(300, g.Routing(8, normalised=True, scale=2.5), True, id="biased"),
    pytest.param(1, g.Routing(1, "sigmoid"), False, id="one"),
    pytest.param(48, g.Routing(4, "sigmoid", True, 2.5, 6, 3), True, id="groups"),
    pytest.param(33, g.Routing(33, "chosen"), False, id="all of them"),
    pytest.param(17, g.Routing(4, "chosen"), False, id="softmax of the chosen"),
]


def route(
    machine: Machine, logits: np.ndarray, how: g.Routing, bias: np.ndarray | None, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and shares by the kernels, int32 and float32 [pairs]."""
    n, n_expert = logits.shape
    padded = np.full((n, whole_rows(n_expert)), np.nan, np.float32)
    padded[:, :n_expert] = logits
    source = Array(padded)
    held = Array(np.pad(bias, (0, 32)).astype(np.float32)) if bias is not None else None
    chosen, shares = Array(np.full(n * how.n_used, -1, np.int32)), poisoned(n * how.n_used)
    plain = how.scoring == "chosen" or (bias is None and how.n_group == 1)
    sizes = {"n_expert": n_expert, "n_used": how.n_used, "stride": padded.strides[0], "row": ROW, "count": TOKENS}
    shared = {"logits": source.address, "chosen": chosen.address, **sizes}
    groups = {"groups": how.n_group, "groups_used": how.n_group_used, "bias": held.address if held else 0}
    scoring = LOGITS if plain else SCORINGS[how.scoring]
    machine.run(Choose(), {**shared, **groups, "scoring": scoring}, threads, n_tokens=n)
    weighed = {"scoring": SCORINGS[how.scoring], "normalised": int(how.normalised), "scale": how.scale}
    machine.run(Weigh(), {**shared, **weighed, "y": shares.address}, threads, n_tokens=n)
    assert chosen.intact()
    assert shares.intact()
    return chosen.values.copy(), shares.values.copy()


@pytest.mark.parametrize(("n_expert", "how", "biased"), ROUTINGS)
def test_experts_are_chosen_and_weighed_as_in_float64(
    machine: Machine, n_expert: int, how: g.Routing, biased: bool
) -> None:
    rng = np.random.default_rng(n_expert)
    logits = (3 * rng.standard_normal((13, n_expert))).astype(np.float32)
    bias = rng.standard_normal(n_expert).astype(np.float32) * 0.1 if biased else None
    node, weights = stands_for(n_expert), {"b": bias} if biased else {}
    choice = g.Choice(1, node, how, g.Tensor("b", (n_expert,)) if biased else None)
    wanted = exactly(choice, {node: logits.astype(np.float64)}, weights)
    shares = exactly(g.Share(1, node, choice, how), {node: logits.astype(np.float64), choice: wanted}, weights)
    one, three = (route(machine, logits, how, bias, threads) for threads in (1, 3))
    np.testing.assert_array_equal(one[0], wanted[:, 0])
    np.testing.assert_allclose(one[1], shares[:, 0], rtol=2e-6, atol=1e-9)
    assert all(np.array_equal(a, b) for a, b in zip(one, three, strict=True))


@pytest.mark.parametrize("how", [g.Routing(3), g.Routing(3, "sigmoid", n_group=4, n_group_used=2)])
def test_what_is_no_number_chooses_experts_that_exist(machine: Machine, how: g.Routing) -> None:
    logits = np.random.default_rng(0).standard_normal((6, 20)).astype(np.float32)
    logits[0], logits[1], logits[2], logits[3, 5:] = np.nan, np.inf, -np.inf, np.nan
    sane = route(machine, logits[4:], how, np.zeros(20), 1)
    chosen, shares = route(machine, logits, how, np.zeros(20), 2)
    assert ((chosen >= 0) & (chosen < 20)).all()
    np.testing.assert_array_equal(chosen[12:], sane[0])  # rows do not look at each other
    np.testing.assert_array_equal(shares[12:], sane[1])


class Pairs:
    """Tokens with the experts that they chose, arranged for panels of some columns."""

    def __init__(self, machine: Machine, chosen: np.ndarray, n_expert: int, columns: int, used: int) -> None:
        self.chosen, self.used, self.n_expert, self.columns = chosen, used, n_expert, columns
        self.n = len(chosen)
        self.layout = Layout(n_expert, self.n, columns)
        self.order = Array(np.full(self.layout.bytes, 0xA5, np.uint8))
        held = Array(chosen.astype(np.int32))
        places = {"counts": self.layout.counts, "pairs": self.layout.pairs, "nobody": self.n}
        sizes = {"count": TOKENS, "n_used": used, "row": ROW, "n_expert": n_expert, "columns": columns}
        given = {"chosen": held.address, "order": self.order.address}
        for threads in (1, 3):
            one = self.n == used
            machine.run(Arrange(one), {**given, **places, **sizes}, threads, n_tokens=self.n // used)
        assert self.order.intact()

    def multiply(self, machine: Machine, matrices: list[Packed], x: np.ndarray, threads: int, **extra: Any) -> Any:
        """y [pairs, n_rows padded] of x, one row for a token or for a pair."""
        first, each = matrices[0], self.n // len(x)
        tiles = Array(np.concatenate([one.tiles.values for one in matrices]))
        source, n_tokens, quantised = Array(x), self.n // self.used, first.quantised
        width = x.shape[1]
        panels = Array(np.zeros(panel_bytes(width, max(len(x), self.layout.n_columns), self.columns), np.uint8))
        shared = {"x": source.address, "panels": panels.address, "width": width, "stride": 4 * width}
        if self.columns == 1:
            count = TOKENS | (len(x) // n_tokens - 1) << 16
            spec: Any = Quantize(1) if quantised else CopyPanels(1)
            machine.run(spec, {**shared, "count": count}, threads, n_tokens=n_tokens)
        else:
            more = {"order": self.order.address, "pairs": self.layout.pairs, "nobody": self.n, "each": each}
            machine.run(GatherPanels(self.columns, quantised), {**shared, **more}, threads, n_tokens=n_tokens)
        assert panels.intact()
        y = poisoned(self.n + 1, first.padded)
        room = scratch_bytes(first.name, width) if quantised else 0
        scratch = Array(np.zeros(max(1, room * threads), np.uint8))
        arguments: dict[str, Any] = {
            "tiles": tiles.address,
            "expert_bytes": first.tiles.values.nbytes,
            "x": panels.address,
            "y": y.address,
            "bias": 0,
            "bias_stride": 0,
            "scales": 0,
            "other": 0,
            "mode": 0,
            "order": self.order.address,
            "each": each,
            "pairs": self.layout.pairs,
            "units": first.units,
            "blocks": first.blocks,
            "stride": 4 * first.padded,
            "scratch": scratch.address,
            "room": room,
        }
        direct = self.columns <= 4
        kernel = (ExpertProduct if quantised else FloatExpertProduct)(
            first.name, self.columns, *((direct,) if quantised else ())
        )
        machine.run(kernel, {**arguments, **extra}, threads, n_tokens=n_tokens)
        assert y.intact()
        assert scratch.intact()
        return y.values[: self.n]


def matrices_of(machine: Machine, name: str, shape: tuple[int, int, int]) -> list[Packed]:
    rng = np.random.default_rng(3)
    n_expert, n_rows, n_columns = shape
    blocks = [random_blocks(name, n_rows, n_columns, rng) for _ in range(n_expert)]
    return [Packed(machine, name, n_rows, n_columns, rng, one) for one in blocks]


SIZES = [
    pytest.param(1, 5, 2, id="one token"),
    pytest.param(3, 70, 2, id="most experts have none"),
    pytest.param(29, 3, 2, id="every expert has many"),
    pytest.param(9, 1, 1, id="one expert"),
]


@pytest.mark.parametrize("name", ["F32", "Q8_0", "Q4_K"])
@pytest.mark.parametrize(("n_tokens", "n_expert", "used"), SIZES)
def test_a_pair_is_multiplied_as_by_its_expert_alone(
    machine: Machine, name: str, n_tokens: int, n_expert: int, used: int
) -> None:
    rng = np.random.default_rng(n_tokens)
    matrices = matrices_of(machine, name, (n_expert, 37, 256))
    chosen = np.stack([rng.permutation(n_expert)[:used] for _ in range(n_tokens)]).reshape(-1)
    x = rng.standard_normal((n_tokens, 256)).astype(np.float32)
    each = np.repeat(x, used, axis=0)
    wanted = np.stack([multiply(machine, matrices[e], each[i : i + 1], 1)[0] for i, e in enumerate(chosen)])
    exact = np.stack([matrices[e].exact @ each[i].astype(np.float64) for i, e in enumerate(chosen)])
    np.testing.assert_allclose(wanted[:, :37], exact, rtol=0, atol=0.02 * np.abs(exact).max())
    for columns in {1, 4, machine.isa.columns}:
        pairs = Pairs(machine, chosen, n_expert, columns, used)
        for threads in (1, 3):
            np.testing.assert_array_equal(pairs.multiply(machine, matrices, x, threads)[:, :37], wanted[:, :37])
        np.testing.assert_array_equal(pairs.multiply(machine, matrices, each, 2)[:, :37], wanted[:, :37])


@pytest.mark.parametrize("name", ["F32", "Q4_0"])
def test_each_expert_has_its_own_scale_and_bias_before_the_gate(machine: Machine, name: str) -> None:
    rng, used, n_expert, n_rows = np.random.default_rng(1), 2, 3, 40
    matrices, n_tokens = matrices_of(machine, name, (n_expert, n_rows, 64)), 11
    chosen = np.stack([rng.permutation(n_expert)[:used] for _ in range(n_tokens)]).reshape(-1)
    x = rng.standard_normal((n_tokens, 64)).astype(np.float32)
    table = rng.standard_normal((n_expert, n_rows)).astype(np.float32)
    bias, scales = Array(np.pad(table.ravel(), (0, 32))), Array(rng.standard_normal(n_expert).astype(np.float32))
    gate = Array(rng.standard_normal((len(chosen) + 1, matrices[0].padded)).astype(np.float32))
    for columns in (1, 4, machine.isa.columns):
        pairs = Pairs(machine, chosen, n_expert, columns, used)
        plain = pairs.multiply(machine, matrices, x, 1)[:, :n_rows].astype(np.float64)
        extra = {"bias": bias.address, "bias_stride": 4 * n_rows, "other": gate.address, "mode": MODES["silu"]}
        zeros = Array(np.zeros(matrices[0].padded, np.float32))
        scaled = pairs.multiply(machine, matrices, x, 2, scales=scales.address, bias=zeros.address)[:, :n_rows]
        np.testing.assert_allclose(scaled, plain * scales.values[chosen, None], rtol=1e-6)
        extra["scales"] = scales.address
        found = pairs.multiply(machine, matrices, x, 3, **extra)[:, :n_rows]
        z = gate.values[:-1, :n_rows].astype(np.float64)
        wanted = z / (1 + np.exp(-z)) * (plain * scales.values[chosen, None] + table[chosen])
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shared", [True, False], ids=["with shares", "without"])
def test_pairs_are_mixed_from_the_first_to_the_last(machine: Machine, shared: bool) -> None:
    rng, used, n = np.random.default_rng(5), 3, 7
    x = Array(rng.standard_normal((n * used, 64)).astype(np.float32))
    share, other = (Array(rng.standard_normal(shape).astype(np.float32)) for shape in ((n * used, 1), (n, 64)))
    found = []
    for threads in (1, 3):
        y = poisoned(n, 64)
        given = {"x": x.address, "share": share.address if shared else 0, "other": other.address, "y": y.address}
        sizes = {"count": TOKENS, "n_used": used, "stride": 256, "share_row": 4}
        machine.run(Mix(), {**given, **sizes}, threads, n_tokens=n)
        assert y.intact()
        found.append(y.values.copy())
    factor = share.values.astype(np.float64) if shared else 1.0
    wanted = (x.values * factor).reshape(n, used, 64).sum(1) + other.values
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[0], found[1])


def test_rows_of_tokens_are_scaled_for_each_pair(machine: Machine) -> None:
    rng, used, n = np.random.default_rng(6), 2, 5
    x = Array(rng.standard_normal((n, 32)).astype(np.float32))
    share, y = Array(rng.standard_normal((n * used, 1)).astype(np.float32)), poisoned(n * used, 32)
    given = {"x": x.address, "share": share.address, "y": y.address}
    count = TOKENS | (used - 1) << 16
    machine.run(
        ScaleRows(), {**given, "count": count, "each": used, "stride": 128, "share_row": 4}, threads=2, n_tokens=n
    )
    assert y.intact()
    np.testing.assert_array_equal(y.values, np.repeat(x.values, used, axis=0) * share.values)


def test_the_clamped_activation_is_that_of_float64(machine: Machine) -> None:
    rng, n = np.random.default_rng(7), 9
    gate, up = (Array((8 * rng.standard_normal((n, 64))).astype(np.float32)) for _ in range(2))
    y = poisoned(n, 64)
    given = {"gate": gate.address, "up": up.address, "y": y.address, "count": TOKENS, "stride": 256}
    machine.run(ClampedGlu(), {**given, "alpha": 1.702, "limit": 7.0}, threads=3, n_tokens=n)
    a, b = stands_for(64), stands_for(64)
    values = {a: gate.values.astype(np.float64), b: up.values.astype(np.float64)}
    wanted = exactly(g.ClampedGlu(64, a, b, 1.702, 7.0), values, {})
    np.testing.assert_allclose(y.values, wanted, rtol=3e-6, atol=1e-6)
    assert y.intact()
