"""The engine on an emulated AArch64 processor: whole models have the bits that they have here."""

from pathlib import Path

import numpy as np
import pytest
from emulated_arm import PROCESSORS, arm_machine, needed
from mixed_file import N_VOCAB, write_mixed

from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.model import Model


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needed()
    return write_mixed(tmp_path_factory.mktemp("mixed") / "mixed.gguf")


def logits(path: Path, isa: str, cache_types: tuple[str, ...]) -> np.ndarray:
    """A prompt at once, and the rest token by token, for each type of cache."""
    tokens, found = [(7 * i) % N_VOCAB for i in range(40)], []
    with Model(path, 2, isa=isa) as model:
        for cache_type in cache_types:
            context = model.context(64, cache_type)
            found += [context.eval(tokens[:37], "all"), *(context.eval([token])[None] for token in tokens[37:])]
    return np.concatenate(found)


@pytest.mark.parametrize("isa", ["neon", "neon-i8mm"])
def test_block_formats_and_caches_give_the_same_bits(mixed: Path, tmp_path: Path, isa: str) -> None:
    types = ("q8_0", "f16", "q4_0") if isa == "neon" else ("q8_0",)
    wanted = logits(mixed, usable_isas()[0], types)
    with arm_machine(tmp_path, isa):
        found = logits(mixed, isa, types)
    assert np.isfinite(wanted).all()
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("isa", PROCESSORS)
def test_a_golden_model_gives_the_same_bits(golden: Path, tmp_path: Path, isa: str) -> None:
    path = golden / "archs" / "gemma3.gguf"
    wanted = logits(path, usable_isas()[0], ("f16",))
    with arm_machine(tmp_path, isa):
        np.testing.assert_array_equal(logits(path, isa, ("f16",)), wanted)
