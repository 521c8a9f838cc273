"""The engine on tiny models of every architecture: llama.cpp's logits, and the same bits however tokens are cut."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden_models import NAMES, nmse

from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.model import Model

PIECES = (1, 7, 30, 1, 25)


def evaluate(model: Model, tokens: list[int], pieces: tuple[int, ...], cache_type: str = "f32") -> np.ndarray:
    """Logits of every token, evaluated in pieces of these sizes."""
    assert sum(pieces) == len(tokens)
    context = model.context(len(tokens), cache_type)
    return np.concatenate([context.eval(tokens[context.n_past : context.n_past + n], "all") for n in pieces])


class Golden:
    """A tiny model's file, its tokens and the logits that it must give."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / "archs" / f"{name}.gguf"
        data = np.load(folder / "archs" / f"{name}.npz")
        self.tokens = data["tokens"].tolist()
        self.logits = data["logits_exact" if "logits_exact" in data else "logits"]

    def evaluate(
        self, threads: int = 1, pieces: tuple[int, ...] = (64,), isa: str | None = None, cache_type: str = "f32"
    ) -> np.ndarray:
        with Model(self.path, threads, isa=isa) as model:
            return evaluate(model, self.tokens, pieces, cache_type)


@pytest.fixture(params=NAMES)
def tiny(request: pytest.FixtureRequest, golden: Path) -> Golden:
    return Golden(golden, request.param)


@pytest.fixture(params=["llama", "gemma3-27b"])
def one_of_each(request: pytest.FixtureRequest, golden: Path) -> Golden:
    return Golden(golden, request.param)


@pytest.fixture(params=usable_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param


def test_logits_are_those_of_exact_arithmetic(tiny: Golden, isa: str) -> None:
    assert nmse(tiny.evaluate(isa=isa), tiny.logits) <= 1e-8


@pytest.mark.parametrize(
    "pieces",
    [pytest.param(PIECES, id="uneven pieces"), pytest.param((1,) * 64, id="token by token")],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_neither_pieces_nor_threads_change_a_bit(tiny: Golden, threads: int, pieces: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(tiny.evaluate(threads, pieces), tiny.evaluate())


@pytest.mark.parametrize("cache_type", ["f32", "f16"])
def test_every_instruction_set_keeps_its_bits(one_of_each: Golden, isa: str, cache_type: str) -> None:
    whole = one_of_each.evaluate(1, (64,), isa, cache_type)
    for threads, pieces in ((2, PIECES), (3, (1,) * 64)):
        np.testing.assert_array_equal(one_of_each.evaluate(threads, pieces, isa, cache_type), whole)


def test_every_instruction_set_gives_the_same_bits(tiny: Golden) -> None:
    first, *others = (tiny.evaluate(isa=isa) for isa in usable_isas())
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_a_cache_of_halves_stays_close(tiny: Golden) -> None:
    assert 0 < nmse(tiny.evaluate(cache_type="f16"), tiny.logits) <= 1e-4


def test_the_last_logits_are_the_last_row_of_all(tiny: Golden) -> None:
    with Model(tiny.path, 2) as model:
        last = model.context(64, "f32").eval(tiny.tokens)
    assert last.shape == (len(tiny.logits[0]),)
    np.testing.assert_array_equal(last, tiny.evaluate()[-1])
