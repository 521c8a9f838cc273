"""A block format and an instruction set that are defined here alone: a model in the one runs on the other."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse
from own_files import llama_shapes, write_random

from llamachat.engine.backend.cpu.jit import isa as isas
from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.backend.cpu.jit.host import processor_features
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.gguf import BY_NAME, GgmlType, open_gguf, register_type, unregister_type
from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.quants import FORMATS, register, unregister
from llamachat.engine.quants.format import BlockFormat, block_format
from llamachat.engine.quants.trees import Bits, Join, Lookup, Num, Table, Trits
from llamachat.engine.reference import evaluate
from llamachat.errors import LlamaChatError, Unsupported, UsageError

TYPE = GgmlType(901, "THREE", 64, 32)
D, M = ("d", "<f2"), ("m", "<f2")
LAYOUT = [D, M, ("scales", "u1", 4), ("low", "u1", 16), ("high", "u1", 8)]
TOKENS = np.random.default_rng(1).integers(0, 64, 40).tolist()
SIZES = {
    "context_length": 512,
    "embedding_length": 128,
    "block_count": 2,
    "feed_forward_length": 192,
    "attention.head_count": 4,
    "attention.layer_norm_rms_epsilon": 1e-5,
}


def three_bits(bias: int = 4) -> BlockFormat:
    """64 weights of 3 bits in 32 bytes, 16 of which share a scale of 8 bits; all share a float16 offset."""
    q = (Bits("low", 2, 16) | Bits("high", 1, 8) << 2) - bias
    return block_format("THREE", LAYOUT, 64, 16, q=q, scale=Num("d") * Num("scales"), offset=Num("m"))


def one_scale() -> BlockFormat:
    """The same block with one scale for all of its weights."""
    return replace(three_bits(), group=64, scale=Num("d") * 100)


class Odd(Generic):
    """Registers of 8 lanes, three columns at a time, five query rows."""

    name = "odd"
    rows = 8
    registers = 12
    columns = 3
    query_rows = 5


class Broad(Generic):
    """Registers of 16 lanes, two columns at a time, and more instructions than `Generic` asks for."""

    name = "broad"
    rows = 16
    registers = 32
    columns = 2
    query_rows = 4
    features = "+sse3" if "sse3" in processor_features() else ""


class Absent(Odd):
    name = "absent"
    needs = ("teleportation",)


@pytest.fixture
def own_type() -> Iterator[None]:
    register_type(TYPE)
    yield
    unregister_type("THREE")


@pytest.fixture(params=[Odd, Broad], ids=lambda kind: kind.name)
def odd(request: pytest.FixtureRequest) -> Iterator[str]:
    isas.register(request.param)
    yield request.param.name
    isas.unregister(request.param.name)


@pytest.fixture
def file(tmp_path: Path, own_type: None) -> Path:
    rng = np.random.default_rng(3)

    def encode(_name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
        if values.ndim == 1:
            return "F32", values.view(np.uint8)
        blocks = np.zeros(values.size // 64, three_bits().layout)
        for field in ("scales", "low", "high"):
            blocks[field] = rng.integers(0, 256, blocks[field].shape)
        blocks["d"], blocks["m"] = rng.uniform(1e-4, 4e-4, len(blocks)), rng.uniform(-0.05, 0.05, len(blocks))
        return "THREE", blocks.view(np.uint8)

    return write_random(tmp_path / "three.gguf", "llama", SIZES, llama_shapes(96, 128, 192, 2), encode)


def run(path: Path, isa: str | None = None) -> np.ndarray:
    """A prompt at once, then token by token."""
    with Model(path, 2, isa=isa) as model:
        context = model.context(512, "f32")
        found = [context.eval(TOKENS[:33], "all"), *(context.eval([token])[None] for token in TOKENS[33:])]
    return np.concatenate(found)


def reference(path: Path) -> np.ndarray:
    file = open_gguf(path)
    decoded = {name: FORMATS[tensor.type.name].decode(tensor.data) for name, tensor in file.tensors.items()}
    return evaluate(describe(file.metadata, file.tensors).graph(), decoded.__getitem__, TOKENS)


def two_scales() -> BlockFormat:
    """The same block with two scales, and with minima beside them."""
    numbers = Num("scales")
    scale, offset = Num("d") * numbers[0:2], Num("m") * numbers[2:4] * -0.01
    return replace(three_bits(), group=32, scale=scale, offset=offset)


@pytest.mark.parametrize("fmt", [three_bits, one_scale, two_scales])
def test_a_model_in_a_format_of_our_own_runs(file: Path, fmt: Callable[[], BlockFormat]) -> None:
    register(fmt())
    try:
        found, wanted = run(file), reference(file)
        assert nmse(found, wanted) <= 1e-3  # activations are rounded to 127 steps
        for isa in usable_isas():
            np.testing.assert_array_equal(run(file, isa), found)
    finally:
        unregister("THREE")
    with pytest.raises(Unsupported, match="block type THREE cannot be computed with yet"):
        run(file)


def test_a_format_of_the_same_name_that_means_something_else_gets_code_of_its_own(file: Path) -> None:
    for bias in (4, 3):  # in one object cache
        register(three_bits(bias))
        try:
            assert nmse(run(file, "generic"), reference(file)) <= 1e-3
        finally:
            unregister("THREE")


def test_an_instruction_set_of_our_own_gives_the_same_bits(golden: Path, file: Path, odd: str) -> None:
    assert odd in usable_isas()
    register(three_bits())
    try:
        np.testing.assert_array_equal(run(file, odd), run(file))
    finally:
        unregister("THREE")
    for name in ("llama", "gemma3"):
        path = golden / "archs" / f"{name}.gguf"
        np.testing.assert_array_equal(run(path, odd), run(path))


def test_an_instruction_set_of_our_own_is_used_only_where_it_is_asked_for(odd: str) -> None:
    assert usable_isas()[0] != odd


def test_an_instruction_set_that_the_processor_lacks_is_refused(file: Path) -> None:
    isas.register(Absent)
    try:
        with pytest.raises(UsageError, match="this processor does not have absent"):
            run(file, "absent")
    finally:
        isas.unregister("absent")


CHANGES: list[tuple[Callable[[BlockFormat], BlockFormat], str]] = [
    (lambda fmt: replace(fmt, group=8, scale=Join(Num("scales"), Num("scales"), 4)), "a scale serves 16 or a multiple"),
    (lambda fmt: replace(fmt, q=Trits("low", 16, 4) - 1), "codes are signed bytes, bits of bytes"),
    (lambda fmt: replace(fmt, q=Lookup(Trits("low", 16, 4), Table.of("T", (-1, 0, 1)))), "codes are signed bytes"),
    (lambda fmt: replace(fmt, scale=Num("d") * Trits("scales", 4, 1)), "integer scales are bits, or integers"),
    (lambda fmt: replace(fmt, scale=Num("d") * (Num("scales") << 8)), "scales must lie in -256 .. 255"),
    (lambda fmt: replace(fmt, offset=Num("d") * (Num("scales") << 8)), "minima in -32768 .. 32767"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_what_no_kernel_can_be_written_for_is_refused(
    file: Path, change: Callable[[BlockFormat], BlockFormat], words: str
) -> None:
    register(change(three_bits()))
    try:
        with pytest.raises(Unsupported, match=words):
            run(file)
    finally:
        unregister("THREE")


class Narrow(Odd):
    name = "narrow"
    rows = 2


class Empty(Odd):
    name = "empty"
    columns = 0


class Again(Odd):
    name = "generic"


REFUSED = [
    pytest.param(lambda: register(FORMATS["Q4_0"]), "Q4_0 is known already", id="a format's name"),  # type: ignore[arg-type]
    pytest.param(lambda: register_type(GgmlType(2, "MINE", 32, 8)), r"known already: Q4_0 \(2\)", id="a type's number"),
    pytest.param(lambda: register_type(GgmlType(902, "F32", 1, 4)), r"known already: F32 \(0\)", id="a type's name"),
    pytest.param(lambda: register_type(GgmlType(902, "MINE", 0, 4)), "sizes must be positive", id="a type's size"),
    pytest.param(lambda: isas.register(Again), "generic is known already", id="an instruction set's name"),
    pytest.param(lambda: isas.register(Narrow), "registers of 2 lanes", id="two lanes"),
    pytest.param(lambda: isas.register(Empty), "at least one column", id="no columns"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_what_cannot_be_registered_is_refused_and_changes_nothing(call: Callable[[], None], words: str) -> None:
    before = [*BY_NAME], [*FORMATS], [*isas.ISAS]
    with pytest.raises(LlamaChatError, match=words) as error:
        call()
    assert error.type is UsageError
    assert ([*BY_NAME], [*FORMATS], [*isas.ISAS]) == before
