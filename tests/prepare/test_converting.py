"""Conversion: golden models, turned back into checkpoints, come out as they were, to the bit; all else is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints_written import write_checkpoint, write_safetensors
from golden_models import file_of
from unconverted import checkpoint

from llamachat.engine.gguf import open_gguf
from llamachat.engine.models import describe
from llamachat.engine.quants import FORMATS
from llamachat.engine.tokenizers.tokenizer import Tokenizer
from llamachat.errors import ModelFileError, Unsupported, UsageError
from llamachat.prepare.convert import convert

NAMES = ("llama", "llama-bias", "llama-tied", "llama-moe", "gemma3", "gpt2", "bert", "mamba2")
INEXACT = ("ssm_a", "norm.weight")
"""Ends of names whose numbers are computed: their last digit may differ."""


def converted(tmp_path: Path, name: str, **options: Any) -> tuple[Path, dict[str, np.ndarray]]:
    config, tensors, golden = checkpoint(name)
    folder = write_checkpoint(tmp_path / name, config, tensors)
    target = tmp_path / f"{name}.gguf"
    convert(folder, target, **options)
    return target, golden


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_model_comes_out_as_it_was(name: str, tmp_path: Path) -> None:
    target, golden = converted(tmp_path, name)
    file = open_gguf(target)
    assert file.tensors.keys() == golden.keys()
    for tensor, values in golden.items():
        found = file.tensors[tensor].rows.view(np.float32).reshape(file.tensors[tensor].shape)
        if tensor.endswith(INEXACT):
            np.testing.assert_allclose(found, values, rtol=1e-6, atol=2e-7, err_msg=tensor)
        else:
            assert np.array_equal(found, values), tensor


@pytest.mark.parametrize("name", NAMES)
def test_its_settings_mean_the_same(name: str, tmp_path: Path) -> None:
    target, _ = converted(tmp_path, name)
    found, wanted = (describe(one.metadata, one.tensors) for one in (open_gguf(target), open_gguf(file_of(name))))
    assert found.unknown_keys == ()
    assert found.params == wanted.params


def test_the_scaling_of_llama_3_1(tmp_path: Path) -> None:
    config, tensors, _ = checkpoint("llama")
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    config |= {"rope_theta": 500000.0, "rope_scaling": scaling | {"original_max_position_embeddings": 8192}}
    convert(write_checkpoint(tmp_path / "m", config, tensors), tmp_path / "x.gguf")
    found = open_gguf(tmp_path / "x.gguf").tensors["rope_freqs.weight"].rows.view(np.float32)
    length = 2 * np.pi * 500000**0.5  # of the fifth pair of eight: neither short nor long
    share = (8192 / length - 1) / 3
    assert found[:4].tolist() == [1.0] * 4
    assert found[4] == pytest.approx(1 / ((1 - share) / 8 + share), rel=1e-5)
    assert found[5:].tolist() == [8.0] * 3


def test_the_types_of_matrices(tmp_path: Path) -> None:
    for kind, wanted in (("f16", "F16"), ("bf16", "BF16"), ("q8_0", "Q8_0"), ("f32", "F32"), ("auto", "F32")):
        target, golden = converted(tmp_path / kind, "llama", kind=kind)
        tensors = open_gguf(target).tensors
        assert tensors["blk.0.attn_norm.weight"].type.name == "F32"
        one = tensors["blk.0.ffn_up.weight"]
        assert one.type.name == wanted
        near = FORMATS[wanted].decode(one.rows).reshape(one.shape)
        np.testing.assert_allclose(near, golden[one.name], atol=0.02)
        # 48 numbers a row are no whole blocks of Q8_0.
        assert tensors["blk.0.ffn_down.weight"].type.name == ("F16" if kind == "q8_0" else wanted)


def test_auto_is_what_the_checkpoint_has(tmp_path: Path) -> None:
    config, tensors, golden = checkpoint("llama")
    bits = {name: (values.view(np.uint32) >> 16).astype(np.uint16) for name, values in tensors.items()}
    target = tmp_path / "bf16.gguf"
    convert(write_checkpoint(tmp_path / "bf16", config, bits), target)
    one = open_gguf(target).tensors["blk.0.ffn_up.weight"]
    assert one.type.name == "BF16"
    assert np.array_equal(one.rows.view(np.uint16), (golden[one.name].view(np.uint32) >> 16).astype(np.uint16).ravel())


def test_an_8_bit_checkpoint_is_multiplied_by_its_scales(tmp_path: Path) -> None:
    config, tensors, _ = checkpoint("llama")
    name = "model.layers.0.mlp.up_proj.weight"
    codes = np.full((48, 64), 0x38, np.int8)  # 1.0 in e4m3
    scales = np.arange(6, dtype=np.float32).reshape(3, 2) + 1
    own: dict[str, Any] = {**tensors, name: codes, f"{name}_scale_inv": scales}
    folder = write_checkpoint(tmp_path / "m", {**config, "quantization_config": PACKED}, own)
    convert(folder, tmp_path / "x.gguf", "f32")
    found = open_gguf(tmp_path / "x.gguf").tensors["blk.0.ffn_up.weight"].rows.view(np.float32).reshape(48, 64)
    assert np.array_equal(found, np.kron(scales, np.ones((16, 32), np.float32)))


PACKED = {"quant_method": "fp8", "weight_block_size": [16, 32]}


def refused(tmp_path: Path, change: Any, error: type[Exception], words: str, **options: Any) -> None:
    config, tensors, _ = checkpoint("llama")
    change(config, tensors)
    folder = write_checkpoint(tmp_path / "m", config, tensors)
    with pytest.raises(error, match=words):
        convert(folder, tmp_path / "out.gguf", **options)
    assert not (tmp_path / "out.gguf").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


UP = "model.layers.0.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda c, t: t.update({"model.extra.weight": t[UP]}), Unsupported, "model.extra.weight: .*not known"),
        (lambda c, t: t.pop(UP), ModelFileError, "blk.0.ffn_up.weight: this tensor is missing"),
        (lambda c, t: t.update({UP: t[UP][:, :32].copy()}), ModelFileError, "ffn_up.weight: the shape is"),
        (lambda c, t: c.update(architectures=["NobodyForCausalLM"]), Unsupported, "NobodyForCausalLM"),
        (lambda c, t: c.update(hidden_act="relu"), Unsupported, "hidden_act: is relu: only silu"),
        (lambda c, t: c.update(secret_scale=2.0), Unsupported, "secret_scale: is 2.0: this setting is not known"),
        (lambda c, t: c.update(rope_scaling={"type": "odd"}), Unsupported, "rope_scaling"),
        (lambda c, t: c.update(quantization_config={"quant_method": "gptq"}), Unsupported, "quantization_config"),
        (lambda c, t: c.pop("max_position_embeddings"), ModelFileError, "max_position_embeddings: .*missing"),
        (lambda c, t: c.update(num_attention_heads="4"), ModelFileError, "num_attention_heads"),
    ],
)
def test_what_is_not_known_is_refused_by_name(change: Any, error: Any, words: str, tmp_path: Path) -> None:
    refused(tmp_path, change, error, words)


def test_an_unknown_setting_can_be_accepted(tmp_path: Path) -> None:
    config, tensors, _ = checkpoint("llama")
    folder = write_checkpoint(tmp_path / "m", {**config, "secret_scale": 2.0}, tensors)
    convert(folder, tmp_path / "out.gguf", accepted=["secret_scale"])
    assert (tmp_path / "out.gguf").exists()


def test_a_window_that_is_left_out_is_told(tmp_path: Path) -> None:
    config, tensors, _ = checkpoint("llama")
    own = {"architectures": ["MistralForCausalLM"], "sliding_window": config["max_position_embeddings"] // 2}
    for change, n_notes in ((own, 1), (own | {"sliding_window": None}, 0), (own | {"use_sliding_window": False}, 0)):
        folder = write_checkpoint(tmp_path / str(change), config | change, tensors)
        assert len(convert(folder, tmp_path / "x.gguf", overwrite=True).notes) == n_notes


def test_a_source_is_never_written_over(tmp_path: Path) -> None:
    config, tensors, _ = checkpoint("llama")
    folder = write_checkpoint(tmp_path / "m", config, tensors)
    with pytest.raises(UsageError, match="is the file that is read"):
        convert(folder, folder / "config.json", overwrite=True)


def test_broken_weights_are_errors_of_one_sentence(tmp_path: Path) -> None:
    config, tensors, _ = checkpoint("llama")
    folder = write_checkpoint(tmp_path / "m", config, tensors)
    part = next(folder.glob("*1-of-00002.safetensors"))
    whole = part.read_bytes()
    header = whole[8 : 8 + int.from_bytes(whole[:8], "little")]
    for raw, words in (
        (whole[:-4], "ends beyond the file"),
        (whole[:6], "no safetensors"),
        (b"\xff" * 16, "no safetensors"),
        (whole.replace(b"F32", b"X32"), "type X32"),
        (whole.replace(b'"shape": [64]', b'"shape": [65]'), "are not F32 of shape"),
        (whole.replace(header, b"[" + b" " * (len(header) - 2) + b"]"), "no object"),
    ):
        part.write_bytes(raw)
        with pytest.raises(ModelFileError, match=words):
            convert(folder, tmp_path / "out.gguf")
    part.unlink()
    with pytest.raises(ModelFileError, match="missing: fetch it"):
        convert(folder, tmp_path / "out.gguf")


def test_a_file_that_the_index_names_leads_nowhere_else(tmp_path: Path) -> None:
    config, tensors, _ = checkpoint("llama")
    folder = write_checkpoint(tmp_path / "m", config, tensors)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../other.safetensors"}}))
    with pytest.raises(ModelFileError, match="weight_map"):
        convert(folder, tmp_path / "out.gguf")


def test_vocabulary_and_template_are_in_the_file(tmp_path: Path) -> None:
    config, tensors, _ = checkpoint("llama")
    folder = write_checkpoint(tmp_path / "m", config, tensors)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "generation_config.json").write_text(
        json.dumps({"temperature": 0.6, "top_k": 20, "eos_token_id": [1, 5]})
    )
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Model")
    convert(folder, tmp_path / "out.gguf")
    metadata = dict(open_gguf(tmp_path / "out.gguf").metadata)
    tokenizer = Tokenizer(tmp_path / "out.gguf")
    assert tokenizer.encode("CAB") == [34, 32, 33]
    assert (tokenizer.bos, tokenizer.eos, tokenizer.eot) == (0, 1, 5)
    assert metadata["tokenizer.chat_template"] == "{{ messages }}"
    assert metadata["general.sampling.top_k"] == 20
    assert metadata["general.sampling.temp"] == pytest.approx(0.6)
    assert metadata["general.license"] == "apache-2.0"


def test_one_file_without_an_index(tmp_path: Path) -> None:
    config, tensors, golden = checkpoint("llama")
    folder = write_checkpoint(tmp_path / "m", config, tensors)
    for path in folder.glob("model*"):
        path.unlink()
    write_safetensors(folder / "model.safetensors", tensors)
    convert(folder, tmp_path / "out.gguf")
    assert open_gguf(tmp_path / "out.gguf").tensors.keys() == golden.keys()
