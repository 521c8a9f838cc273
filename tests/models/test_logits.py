"""Tiny models of every architecture: llama.cpp's logits, and the same bits however tokens are cut or computed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden_models import DECODERS, FOLDER, distance, logits, nmse, results

from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.model import Model

PIECES = (1, 7, 30, 1, 25)
BEST = usable_isas()[0]


def evaluate(model: Model, tokens: list[int], pieces: tuple[int, ...], cache_type: str = "f32") -> np.ndarray:
    """Logits of every token, evaluated in pieces of these sizes."""
    assert sum(pieces) == len(tokens)
    context = model.context(len(tokens), cache_type)
    return np.concatenate([context.eval(tokens[context.n_past : context.n_past + n], "all") for n in pieces])


class Golden:
    """A tiny model's file, its tokens, the logits that it must give, and those that it gives in one batch."""

    def __init__(self, name: str) -> None:
        self.path: Path = FOLDER / f"{name}.gguf"
        found = results(name)
        self.tokens = found["tokens"].tolist()
        self.logits = logits(found)
        self.whole = self.evaluate(1, (len(self.tokens),))

    def evaluate(
        self, threads: int, pieces: tuple[int, ...], isa: str | None = None, cache_type: str = "f32"
    ) -> np.ndarray:
        with Model(self.path, threads, isa=isa) as model:
            return evaluate(model, self.tokens, pieces, cache_type)


@pytest.fixture(scope="module", params=DECODERS)
def tiny(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


@pytest.fixture(scope="module", params=["llama", "gemma3-27b"])
def one_of_each(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


@pytest.fixture(params=usable_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param


def test_logits_are_those_of_exact_arithmetic(tiny: Golden) -> None:
    assert nmse(tiny.whole, tiny.logits) <= 1e-8


@pytest.mark.parametrize("other", usable_isas()[1:])
def test_every_instruction_set_gives_the_same_bits(tiny: Golden, other: str) -> None:
    np.testing.assert_array_equal(tiny.evaluate(1, (len(tiny.tokens),), other), tiny.whole)


@pytest.mark.parametrize(
    ("threads", "pieces"),
    [
        pytest.param(2, PIECES, id="uneven pieces on two threads"),
        pytest.param(3, (1,) * 64, id="token by token on three threads"),
        pytest.param(1, (13, 51), id="two pieces"),
    ],
)
def test_neither_pieces_nor_threads_change_a_bit(tiny: Golden, threads: int, pieces: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(tiny.evaluate(threads, pieces), tiny.whole)


def test_beside_others_a_sequence_gives_the_same_bits(tiny: Golden) -> None:
    with Model(tiny.path, 2) as model:
        lengths = (3, 40, 17, 61)
        contexts = [model.context(64, "f32") for _ in lengths]
        for context, n in zip(contexts, lengths, strict=True):
            context.eval(tiny.tokens[:n])
        rows = BatchDecoder().eval(contexts, [[tiny.tokens[n]] for n in lengths])
    np.testing.assert_array_equal(rows, tiny.whole[list(lengths)])


@pytest.mark.parametrize("cache_type", ["f32", "f16"])
def test_every_instruction_set_keeps_its_bits(one_of_each: Golden, isa: str, cache_type: str) -> None:
    whole = one_of_each.evaluate(1, (64,), isa, cache_type)
    for threads, pieces in ((2, PIECES), (3, (1,) * 64)):
        np.testing.assert_array_equal(one_of_each.evaluate(threads, pieces, isa, cache_type), whole)


def test_a_cache_of_halves_stays_close(tiny: Golden) -> None:
    most = 1e-3 if tiny.path.stem == "deepseek2-lite" else 1e-4  # its 27 layers make a thousand times more of noise
    assert distance(tiny.path.stem, tiny.evaluate(1, (64,), cache_type="f16"), tiny.logits) <= most


def test_the_last_logits_are_the_last_row_of_all(tiny: Golden) -> None:
    with Model(tiny.path, 2) as model:
        last = model.context(64, "f32").eval(tiny.tokens)
    np.testing.assert_array_equal(last, tiny.whole[-1])
