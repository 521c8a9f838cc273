"""Files from before April 2024 have a tensor for every expert: the same model, to the bit."""

from pathlib import Path

import numpy as np
import pytest
from golden_models import file_of, results

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.gguf.stamp import stamp
from llamachat.engine.model import Model
from llamachat.engine.quants import FORMATS
from llamachat.engine.quants.encoding import encode
from llamachat.engine.quants.tensors import decode, read
from llamachat.errors import ModelFileError, Unsupported

NAMES = ("llama-moe", "grok-nokeys")


def write(name: str, path: Path, *, apart: bool, kinds: tuple[str, ...] = ("Q8_0",), missing: str = "") -> Path:
    """A golden model with its experts as one tensor or apart, expert i of the type kinds[i % n] where rows allow."""
    file, tensors = open_gguf(file_of(name)), []
    for one in file.tensors.values():
        values = np.asarray(one.data).view(np.float32).reshape(one.shape)
        if "_exps." not in one.name:
            tensors.append((one.name, "F32", one.shape, values))
            continue
        stem = one.name.removesuffix("_exps.weight")
        whole = [(one.name, values)] if not apart else [(f"{stem}.{i}.weight", v) for i, v in enumerate(values)]
        for i, (tensor, part) in enumerate(whole):
            kind = kinds[i % len(kinds)] if part.shape[-1] % 32 == 0 else "F32"
            if tensor != missing:
                tensors.append((tensor, kind, part.shape, encode(FORMATS[kind], part)))
    write_gguf(path, dict(file.metadata.items()), tensors)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_are_those_of_one_tensor(name: str, tmp_path: Path) -> None:
    tokens, found = results(name)["tokens"].tolist(), []
    for apart in (False, True):
        with Model(write(name, tmp_path / f"{apart}.gguf", apart=apart), 2) as model:
            found.append(model.context(64).eval(tokens, "all"))
    np.testing.assert_array_equal(found[0], found[1])


def test_what_is_read_of_a_stack_is_what_its_pieces_hold(tmp_path: Path) -> None:
    one, other = (open_gguf(write("llama-moe", tmp_path / f"{apart}.gguf", apart=apart)) for apart in (False, True))
    assert sorted(one.tensors) == sorted(other.tensors)
    name = "blk.1.ffn_up_exps.weight"
    a, b = one.tensors[name], other.tensors[name]
    assert (a.shape, a.n_bytes, a.type, len(b.pieces)) == (b.shape, b.n_bytes, b.type, 4)
    np.testing.assert_array_equal(decode(a), decode(b))
    np.testing.assert_array_equal(decode(a), decode(b, read(other, b)))
    whole, part = read(one, a), np.empty(a.n_bytes // 2, np.uint8)
    other.read(b, 100, part)
    np.testing.assert_array_equal(part, whole[100 : 100 + len(part)])
    assert len(stamp(other)) == 64


def test_experts_of_different_types_are_refused_by_layer(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"blk\.0\.ffn_(gate|up): .*different block types"):
        open_gguf(write("llama-moe", tmp_path / "mixed.gguf", apart=True, kinds=("Q8_0", "Q4_0")))


@pytest.mark.parametrize("missing", ["blk.1.ffn_up.2.weight", "blk.0.ffn_down.3.weight"])
def test_a_missing_expert_is_named(missing: str, tmp_path: Path) -> None:
    path = write("llama-moe", tmp_path / "less.gguf", apart=True, missing=missing)
    with pytest.raises(ModelFileError, match=missing.rsplit(".", 2)[0].replace(".", r"\.")):
        Model(path, 1)
