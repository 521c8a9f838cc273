"""Forms that real files of a family have and its golden model has not: the same weights, so the same bits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from golden_models import file_of, logits, nmse, results

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.model import Model
from llamachat.errors import ModelFileError, Unsupported

Tensors = dict[str, np.ndarray]


def rewritten(name: str, path: Path, change: Callable[[Tensors], None]) -> Path:
    """A golden model's file with its tensors changed."""
    file = open_gguf(file_of(name))
    tensors = {one.name: np.asarray(one.data).view(np.float32).reshape(one.shape) for one in file.tensors.values()}
    change(tensors)
    entries = [
        (one, "F32", values.shape, np.ascontiguousarray(values).view(np.uint8)) for one, values in tensors.items()
    ]
    write_gguf(path, dict(file.metadata.items()), entries)
    return path


def fuse(tensors: Tensors) -> None:
    """Queries, keys and values below one another."""
    for name in [one for one in tensors if ".attn_q." in one]:
        parts = [tensors.pop(name.replace("attn_q", part)) for part in ("attn_q", "attn_k", "attn_v")]
        tensors[name.replace("attn_q", "attn_qkv")] = np.concatenate(parts)


def part(tensors: Tensors) -> None:
    """The same apart; a third each."""
    for name in [one for one in tensors if ".attn_qkv." in one]:
        values = np.split(tensors.pop(name), 3)
        tensors |= {
            name.replace("attn_qkv", own): one for own, one in zip(("attn_q", "attn_k", "attn_v"), values, strict=True)
        }


def halve(tensors: Tensors) -> None:
    """Every matrix of a layer twice as large, and scales that say so."""
    for name in [one for one in tensors if one.startswith("blk.") and tensors[one].ndim == 2]:
        tensors[name] = tensors[name] * 2
        tensors[name.replace("weight", "scale")] = np.full(1, 0.5, np.float32)
        tensors[name.replace("weight", "input_scale")] = np.full(1, 123, np.float32)


def move(tensors: Tensors) -> None:
    """Embeddings that are the output matrix only."""
    tensors["output.weight"] = tensors.pop("token_embd.weight")


def evaluate(path: Path, tokens: list[int]) -> np.ndarray:
    with Model(path, 2) as model:
        return model.context(len(tokens), "f32").eval(tokens, "all")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("llama-bias", fuse), ("qwen2", fuse), ("qwen3", fuse), ("stablelm-12b", fuse), ("glm4", fuse)),
        *(("starcoder2", fuse), ("nemotron", fuse), ("granite", fuse), ("llama-hd", fuse)),
        *(("gptneox", part), ("gpt2", part), ("qwen", part)),
        *(("llama-tied", halve), ("qwen2", halve), ("qwen3", halve)),
    ],
)
def test_another_form_of_a_model_gives_its_bits(name: str, change: Callable[[Tensors], None], tmp_path: Path) -> None:
    found = results(name)
    tokens = found["tokens"].tolist()
    other = evaluate(rewritten(name, tmp_path / "other.gguf", change), tokens)
    np.testing.assert_array_equal(other, evaluate(file_of(name), tokens))
    assert nmse(other, logits(found)) <= 1e-8


def test_an_output_matrix_may_be_the_embedding(tmp_path: Path) -> None:
    """CodeShell's files have it once, under the other name."""
    tokens = results("codeshell")["tokens"].tolist()

    def tie(tensors: Tensors) -> None:
        del tensors["output.weight"]

    tied = evaluate(rewritten("codeshell", tmp_path / "tied.gguf", tie), tokens)
    both = lambda tensors: (tie(tensors), move(tensors))  # noqa: E731
    np.testing.assert_array_equal(evaluate(rewritten("codeshell", tmp_path / "moved.gguf", both), tokens), tied)


def test_a_file_with_some_of_both_forms_is_refused(tmp_path: Path) -> None:
    def one(tensors: Tensors) -> None:
        fused = {name: tensors[name] for name in ("blk.1.attn_q.weight", "blk.1.attn_k.weight", "blk.1.attn_v.weight")}
        fuse(tensors)
        del tensors["blk.1.attn_qkv.weight"]
        tensors |= fused

    with pytest.raises(ModelFileError, match=r"blk\.1\.attn_qkv\.weight: this tensor is missing"):
        Model(rewritten("llama", tmp_path / "mixed.gguf", one), 1)


def test_a_bias_that_belongs_to_no_matrix_is_refused(tmp_path: Path) -> None:
    def alone(tensors: Tensors) -> None:
        tensors["blk.0.attn_qkv.bias"] = np.zeros(128, np.float32)

    with pytest.raises(Unsupported, match=r"attn_qkv\.bias"):
        Model(rewritten("llama", tmp_path / "bias.gguf", alone), 1)


@pytest.mark.parametrize("stray", ["output.bias", "blk.0.ffn_gate.scale"])
def test_what_belongs_to_a_matrix_that_is_missing_is_refused(stray: str, tmp_path: Path) -> None:
    name, size = ("qwen2", 80) if stray == "output.bias" else ("llama-moe", 1)

    def add(tensors: Tensors) -> None:
        tensors[stray] = np.ones(size, np.float32)

    with pytest.raises(ModelFileError, match=r"belongs to .*weight, which is missing"):
        Model(rewritten(name, tmp_path / "stray.gguf", add), 1)
