"""Products of low rank beside a matrix's, against float64 and to the bit between instruction sets."""

from dataclasses import dataclass
from math import prod

import numpy as np
import pytest
from machine import Array, Machine, poisoned

from llamachat.engine.backend.cpu.beside import Packed, pack_beside
from llamachat.engine.backend.cpu.jit.kernel import count_of
from llamachat.engine.backend.cpu.kernels.low_rank import AddDirection, Down, Up, chunks_of, padded_rank
from llamachat.engine.backend.cpu.kernels.rows import ROWS, whole_rows
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.gguf import BY_NAME, TensorInfo
from llamachat.engine.graph import Node, Role, Tensor, Use

SHAPES = [(1, 8, 3, 40), (4, 64, 5, 64), (16, 600, 7, 33), (17, 1500, 9, 100), (40, 512, 4, 32)]
"""(rank, n_in, tokens, n_out): less than a register, odd sizes, several stretches, no whole group of tokens."""

FOUND: dict[tuple[object, ...], np.ndarray] = {}


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def tensors_of(arrays: dict[str, np.ndarray]) -> dict[str, TensorInfo]:
    kinds = {np.dtype(np.float32): "F32", np.dtype(np.float16): "F16"}
    return {
        name: TensorInfo(
            name, BY_NAME[kinds[x.dtype]], x.shape, x.nbytes, np.ascontiguousarray(x).reshape(-1).view("u1")
        )
        for name, x in arrays.items()
    }


@dataclass(frozen=True, eq=False)
class Reads(Node):
    found: tuple[Use, ...]

    @property
    def weights(self) -> tuple[Use, ...]:
        return self.found


def packed_as_used(**arrays: np.ndarray) -> dict[str, Packed]:
    roles = {"a": Role.DOWN, "b": Role.UP, "f": Role.BESIDE}
    used = tuple(Use(Tensor(name, x.shape), roles[name]) for name, x in arrays.items())
    return pack_beside([Reads(1, used)], tensors_of(arrays))


def run(
    machine: Machine, shape: tuple[int, ...], dtype: type, threads: int, tokens: int, experts: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """What the kernels give, and float64 of the same."""
    rank, n_in, n, n_out = shape
    lead = (experts,) if experts else ()
    down, up = normal(*lead, rank, n_in).astype(dtype), normal(*lead, n_out, rank, seed=1).astype(dtype)
    factors, each = normal(rank, seed=2), 2 if experts else 1
    packed = packed_as_used(a=down, b=up, f=factors)
    x, base = (
        Array(np.pad(normal(n, n_in), ((0, 0), (0, 8)), constant_values=np.nan)),
        normal(n * each, whole_rows(n_out)),
    )
    y, chosen = Array(base), Array(np.zeros((n * each, 3), np.int32))
    chosen.values[:, 0] = np.random.default_rng(n).integers(0, max(experts, 1), n * each)
    parts, scratch = poisoned(n * each, chunks_of(n_in), padded_rank(rank)), poisoned(threads, padded_rank(rank))
    name, count = "F16" if dtype is np.float16 else "F32", count_of("n_tokens", each)
    both = {"chosen": chosen.address, "chosen_row": 12, "parts": parts.address, "count": count}
    both |= {"chunks": chunks_of(n_in), "rank": padded_rank(rank)}
    sizes = {"x": x.address, "width": n_in, "stride": 4 * (n_in + 8), "each": each}
    of = packed["a"]
    machine.run(
        Down(name, tokens, bool(experts)),
        {**both, **sizes, "down": of.address, "expert_bytes": of.expert_bytes},
        threads,
        n_tokens=n,
    )
    of = packed["b"]
    sizes = {"units": whole_rows(n_out) // ROWS, "n_rank": rank, "stride": 4 * whole_rows(n_out)}
    places = {"other": y.address, "y": y.address, "factors": packed["f"].address, "up": of.address}
    places |= {"scratch": scratch.address, "room": 4 * padded_rank(rank), "expert_bytes": of.expert_bytes}
    machine.run(Up(name, bool(experts)), {**both, **sizes, **places}, threads, n_tokens=n)
    assert all(one.intact() for one in (x, y, parts, scratch, chosen))
    wide, who = np.repeat(x.values[:, :n_in].astype(float), each, axis=0), chosen.values[:, 0]
    matrices = [np.broadcast_to(m.astype(float), (max(experts, 1), *m.shape[-2:]))[who] for m in (down, up)]
    inner = np.einsum("pri,pi->pr", matrices[0], wide) * factors
    return y.values[:, :n_out], base[:, :n_out] + np.einsum("por,pr->po", matrices[1], inner)


@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=["f32", "f16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_what_the_formula_says(machine: Machine, shape: tuple[int, ...], dtype: type) -> None:
    for threads in (1, 2, 3):
        for tokens in (1, 4):
            found, exact = run(machine, shape, dtype, threads, tokens)
            np.testing.assert_allclose(found, exact, rtol=1e-4, atol=2e-5 * prod(shape[:2]) ** 0.5)
            assert (FOUND.setdefault((shape, dtype), found) == found).all()  # on every instruction set


def test_rows_have_experts_of_their_own(machine: Machine) -> None:
    for shape in SHAPES:
        for threads in (1, 3):
            found, exact = run(machine, shape, np.float32, threads, 1, experts=5)
            np.testing.assert_allclose(found, exact, rtol=1e-4, atol=2e-5 * prod(shape[:2]) ** 0.5)
            assert (FOUND.setdefault((shape, "experts"), found) == found).all()


def test_a_direction_is_added_to_every_row(machine: Machine) -> None:
    x, direction, y = Array(normal(5, 64)), Array(normal(64, seed=1)), poisoned(5, 64)
    places = {"x": x.address, "direction": direction.address, "y": y.address}
    machine.run(AddDirection(), {**places, "count": Step.offset("n_tokens"), "stride": 256}, 2, n_tokens=5)
    np.testing.assert_array_equal(y.values, x.values + direction.values)
    assert y.intact()
