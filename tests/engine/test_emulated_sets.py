"""Whole models on instruction sets that this processor may lack: emulated, they give the bits of those here."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from emulated import SETS, known_sets
from mixed_file import FEW, N_VOCAB, write_mixed

from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.model import Model


@pytest.fixture(autouse=True)
def sets() -> Iterator[None]:
    with known_sets():
        yield


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed(tmp_path_factory.mktemp("mixed") / "mixed.gguf", FEW)


def logits(path: Path, isa: str | None = None) -> np.ndarray:
    """A prompt at once, and the rest token by token, with the cache in 8 bits."""
    tokens = [(7 * i) % N_VOCAB for i in range(20)]
    with Model(path, 2, isa=isa) as model:
        context = model.context(64, "q8_0")
        found = [context.eval(tokens[:18], "all"), *(context.eval([token])[None] for token in tokens[18:])]
    return np.concatenate(found)


LOGIC = ("avx512amx", "avx512", "avxvnni")
"""Those whose kernels differ; the words of the others are tested one by one."""


@pytest.mark.parametrize("isa", [name for name in SETS if name.removesuffix("-emulated") in LOGIC])
def test_block_formats_give_the_same_bits(mixed: Path, isa: str) -> None:
    wanted = logits(mixed, usable_isas()[0])
    assert np.isfinite(wanted).all()
    assert wanted.std() > 0
    np.testing.assert_array_equal(logits(mixed, isa), wanted)
