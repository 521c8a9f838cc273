"""Whole models on instruction sets that this processor may lack: emulated, they give the bits of those here."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from emulated import SETS, known_sets
from golden_models import file_of
from mixed_file import FEW, write_mixed

from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.model import Model
from llamachat.engine.quants import FORMATS
from llamachat.engine.quants.encoding import encode
from llamachat.engine.state.cache_types import CacheType


@pytest.fixture(autouse=True)
def sets() -> Iterator[None]:
    with known_sets():
        yield


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed(tmp_path_factory.mktemp("mixed") / "mixed.gguf", FEW)


def logits(path: Path, isa: str | None = None, n: int = 20, cache_type: CacheType = "q8_0") -> np.ndarray:
    """A prompt at once, and the last two of n tokens one by one."""
    with Model(path, 2, isa=isa) as model:
        tokens, context = [(7 * i) % model.n_vocab for i in range(n)], model.context(64, cache_type)
        found = [context.eval(tokens[:-2], "all"), *(context.eval([token])[None] for token in tokens[-2:])]
    return np.concatenate(found)


LOGIC = ("avx512amx", "avx512", "avxvnni")
"""Those whose kernels differ; the words of the others are tested one by one."""


@pytest.mark.parametrize("isa", [name for name in SETS if name.removesuffix("-emulated") in LOGIC])
def test_block_formats_give_the_same_bits(mixed: Path, isa: str) -> None:
    wanted = logits(mixed, usable_isas()[0])
    assert np.isfinite(wanted).all()
    assert wanted.std() > 0
    np.testing.assert_array_equal(logits(mixed, isa), wanted)


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture of experts whose matrices are Q8_0 where rows are whole blocks."""
    file, tensors = open_gguf(file_of("llama-moe")), []
    for one in file.tensors.values():
        kind = "Q8_0" if len(one.shape) > 1 and one.shape[-1] % 32 == 0 and "gate_inp" not in one.name else "F32"
        values = np.asarray(one.data).view(np.float32).reshape(one.shape)
        tensors.append((one.name, kind, one.shape, encode(FORMATS[kind], values)))
    path = tmp_path_factory.mktemp("experts") / "experts.gguf"
    write_gguf(path, dict(file.metadata.items()), tensors)
    return path


@pytest.mark.parametrize("isa", [name for name in SETS if name == "avx512amx-emulated"])
def test_experts_give_the_same_bits(experts: Path, isa: str) -> None:
    found, wanted = (logits(experts, name, 62, "f16") for name in (isa, usable_isas()[0]))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["mamba", "rwkv7"])
def test_recurrences_give_the_same_bits(name: str) -> None:
    """Their sums are of sixteen lanes on every set."""
    path = file_of(name)
    np.testing.assert_array_equal(logits(path, "avx512-emulated", cache_type="f32"), logits(path, cache_type="f32"))
