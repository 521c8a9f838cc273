"""convert-lora and merge-lora: an adapter in the weights is the adapter beside them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints_written import write_checkpoint, write_safetensors
from golden_data import GOLDEN, needed
from golden_models import file_of, nmse
from unconverted import checkpoint

from llamachat.engine.gguf import open_gguf
from llamachat.engine.models import describe
from llamachat.engine.quants import FORMATS
from llamachat.engine.reference import evaluate
from llamachat.errors import ModelFileError, Unsupported, UsageError
from llamachat.prepare.convert import convert
from llamachat.prepare.convert.lora import convert_lora
from llamachat.prepare.merge_lora import Adapter, merge_lora

CONFIG: dict[str, Any] = {"peft_type": "LORA", "lora_alpha": 8, "r": 4, "bias": "none"}
NAMES = ("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.k_proj", "model.layers.1.mlp.up_proj")


def weights(path: Path) -> dict[str, np.ndarray]:
    return {n: FORMATS[t.type.name].decode(t.rows).reshape(t.shape) for n, t in open_gguf(path).tensors.items()}


def logits(path: Path, tokens: np.ndarray) -> np.ndarray:
    tensors = weights(path)
    found = evaluate(describe(open_gguf(path).metadata, tensors).graph(), tensors.__getitem__, tokens)
    return np.asarray(found)


@pytest.mark.parametrize(("scale", "key"), [(1.0, "a_1"), (0.5, "a_half"), (-0.25, "a_minus")])
def test_a_merged_adapter_gives_the_golden_logits(scale: float, key: str, tmp_path: Path) -> None:
    with np.load(needed(GOLDEN / "adapters" / "llama.npz")) as file:
        tokens, wanted = file["tokens"], file[key]
    target = tmp_path / "merged.gguf"
    merge_lora(file_of("llama"), [Adapter(needed(GOLDEN / "adapters" / "llama-a.gguf"), scale)], target, n_threads=1)
    assert nmse(logits(target, tokens), wanted) <= 1e-7


def adapter(folder: Path, **changes: Any) -> tuple[Path, dict[str, np.ndarray]]:
    """A PEFT adapter for the golden `llama`, and what it adds to each matrix of the checkpoint."""
    _, tensors, _ = checkpoint("llama")
    random = np.random.default_rng(5)
    parts, added = {}, {}
    for name in NAMES:
        n_out, n_in = tensors[f"{name}.weight"].shape
        down, up = (random.normal(0, 0.1, size).astype(np.float32) for size in ((4, n_in), (n_out, 4)))
        parts[f"base_model.model.{name}.lora_A.weight"] = down
        parts[f"base_model.model.{name}.lora_B.weight"] = up
        added[f"{name}.weight"] = 2 * up @ down
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | changes))
    write_safetensors(folder / "adapter_model.safetensors", parts)
    return folder, added


def test_an_adapter_merged_is_the_checkpoint_with_its_matrices_added(tmp_path: Path) -> None:
    folder, added = adapter(tmp_path / "adapter")
    config, tensors, _ = checkpoint("llama")
    base = write_checkpoint(tmp_path / "base", config, tensors)
    whole = write_checkpoint(tmp_path / "whole", config, {n: x + added.get(n, 0) for n, x in tensors.items()})
    for name, path in (("model", base), ("wanted", whole)):
        convert(path, tmp_path / f"{name}.gguf")
    convert_lora(folder, tmp_path / "model.gguf", tmp_path / "a.gguf")
    convert_lora(folder, base, tmp_path / "b.gguf")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    n_changed = merge_lora(
        tmp_path / "model.gguf", [Adapter(tmp_path / "a.gguf")], tmp_path / "merged.gguf", n_threads=1
    )
    found, wanted, plain = (weights(tmp_path / f"{name}.gguf") for name in ("merged", "wanted", "model"))
    assert n_changed == 3
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    assert sum(not np.array_equal(found[name], plain[name]) for name in found) == 3


def test_types_are_kept(tmp_path: Path) -> None:
    config, tensors, _ = checkpoint("llama")
    convert(write_checkpoint(tmp_path / "base", config, tensors), tmp_path / "q8.gguf", "q8_0")
    convert_lora(adapter(tmp_path / "adapter")[0], tmp_path / "base", tmp_path / "a.gguf")
    merge_lora(tmp_path / "q8.gguf", [Adapter(tmp_path / "a.gguf")], tmp_path / "merged.gguf", n_threads=1)
    before, after = open_gguf(tmp_path / "q8.gguf"), open_gguf(tmp_path / "merged.gguf")
    assert {n: t.type for n, t in before.tensors.items()} == {n: t.type for n, t in after.tensors.items()}
    assert list(before.metadata) == list(after.metadata)
    same = [n for n, t in before.tensors.items() if np.array_equal(t.rows, after.tensors[n].rows)]
    assert len(before.tensors) - len(same) == 3


def test_alpha_of_rank_stabilised_adapters(tmp_path: Path) -> None:
    folder, _ = adapter(tmp_path / "adapter", use_rslora=True)
    made = convert_lora(folder, file_of("llama"), tmp_path / "a.gguf")
    assert made["adapter.lora.alpha"] == 16  # 8 * sqrt(4): alpha / rank is then 8 / sqrt(4)


@pytest.mark.parametrize(
    "changes", [{"use_dora": True}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}, {"alpha_pattern": {"q": 4}}]
)
def test_other_kinds_of_adapters_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    folder, _ = adapter(tmp_path / "adapter", **changes)
    with pytest.raises(Unsupported, match=next(iter(changes))):
        convert_lora(folder, file_of("llama"), tmp_path / "a.gguf")
    assert not (tmp_path / "a.gguf").exists()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="adapter_config"):
        convert_lora(tmp_path, file_of("llama"), tmp_path / "a.gguf")
    with pytest.raises(UsageError, match="is the file that is read"):
        merge_lora(file_of("llama"), [], file_of("llama"), overwrite=True)
    other = needed(GOLDEN / "adapters" / "llama-a.gguf")
    with pytest.raises(Unsupported, match="another model"):
        merge_lora(file_of("gpt2"), [Adapter(other)], tmp_path / "x.gguf")
