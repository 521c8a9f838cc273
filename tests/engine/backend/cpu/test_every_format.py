"""No type of ggml's is left out, and none has a slow path: each has its kernels, and works in a model."""

from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse
from own_files import llama_shapes, write_random

from llamachat.engine.backend.cpu.kernels.embed import Embed
from llamachat.engine.backend.cpu.kernels.float_product import FloatProduct
from llamachat.engine.backend.cpu.kernels.product import Product
from llamachat.engine.backend.cpu.kernels.tile import check_kernels
from llamachat.engine.backend.cpu.weights import packed
from llamachat.engine.gguf import BY_NAME, TYPES, TensorInfo, open_gguf
from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.quants import BLOCK_FORMATS, DATA, FORMATS, STORED
from llamachat.engine.quants.encoding import encode
from llamachat.engine.reference import evaluate

SIZES = {
    "context_length": 64,
    "embedding_length": 256,
    "block_count": 4,
    "feed_forward_length": 256,
    "attention.head_count": 4,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
TOKENS = np.random.default_rng(1).integers(0, 48, 9).tolist()


def test_every_type_is_computed_with_or_read_as_a_vector() -> None:
    assert {kind.name for kind in TYPES.values()} <= FORMATS.keys() | DATA.keys()
    assert len(FORMATS) == 31
    assert STORED.keys() == BLOCK_FORMATS.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_products_its_embedding_and_matrices_of_experts(name: str) -> None:
    kind = BY_NAME[name]
    n_bytes = 3 * 40 * 512 // kind.block * kind.bytes
    matrix = packed(TensorInfo("experts", kind, (3, 40, 512), n_bytes, np.zeros(n_bytes, np.uint8)))
    assert (matrix.n_experts, matrix.n_rows, matrix.blocks) == (3, 40, 512 // kind.block)
    assert Embed(name).format == name
    if name in BLOCK_FORMATS:
        check_kernels(STORED[name])
        assert {type(matrix.product(1, True)), type(matrix.product(4, False))} == {Product}
    else:
        assert {type(matrix.product(1, True)), type(matrix.product(4, False))} == {FloatProduct}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of four layers, each of whose 28 matrices is of another block format."""
    left = list(BLOCK_FORMATS)

    def encoded(_name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
        if values.ndim == 1:
            return "F32", values.view(np.uint8)
        kind = left.pop() if left and "blk" in _name else "Q6_K"
        some = encode(FORMATS[kind], values[:8], search=False)  # the same eight rows again and again
        return kind, np.tile(some, len(values) // 8)

    path = tmp_path_factory.mktemp("mixed") / "mixed.gguf"
    write_random(path, "llama", SIZES, llama_shapes(48, 256, 256, 4), encoded)
    assert not left
    return path


def test_a_file_of_all_formats_is_loaded_and_evaluated(mixed: Path) -> None:
    with Model(mixed, 2) as model:
        at_once = model.context(32, "f32").eval(TOKENS, "all")
        context = model.context(32, "f32")
        one_by_one = np.concatenate([context.eval([token])[None] for token in TOKENS])
    np.testing.assert_array_equal(one_by_one, at_once)
    file = open_gguf(mixed)
    decoded = {name: FORMATS[tensor.type.name].decode(tensor.data) for name, tensor in file.tensors.items()}
    reference = evaluate(describe(file.metadata, file.tensors).graph(), decoded.__getitem__, TOKENS)
    assert nmse(at_once, reference) <= 5e-3  # activations are rounded to 127 steps; the rows repeat, and so do errors
