"""Recurrent and hybrid architectures without golden files: tiny random ones against what llama.cpp makes of them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse
from random_models import TINY, VOCABULARY, write_tiny

from llamachat.engine.gguf import open_gguf
from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.reference import evaluate
from llamachat.errors import ModelFileError

TOKENS = [int(token) for token in np.random.default_rng(3).integers(1, VOCABULARY, 48)]

LLAMA_CPP: Mapping[str, list[float]] = {
    "qwen35moe": [-0.53159, -0.34534, -0.92945, 0.77017, -0.16574, -0.49327, -0.06611, 0.05181],
    "qwen3next": [0.3802, 0.15665, -0.05622, 0.39575, -0.4611, -0.09088, 0.30126, 0.10436],
    "qwen3next, older": [0.58014, 0.72017, 0.2725, 0.75883, -0.116, 0.06803, -0.8006, 0.32495],
    "lfm2moe": [-0.80552, -0.26897, 0.3776, 0.03135, -0.53127, 0.6909, 1.22812, 0.29474],
    "granitehybrid": [-9e-05, 0.07669, 0.16325, -0.01106, 0.07378, -0.1591, -0.0022, -0.06977],
    "granitehybrid, experts": [-0.00843, 0.03941, 0.04163, 0.01154, 0.06739, -0.06754, 0.01853, -0.07639],
    "nemotron_h": [0.27721, -0.27994, -0.49347, -1.05382, 0.66755, -0.08536, 0.89832, 0.21537],
    "nemotron_h_moe": [-0.01178, -0.09065, 0.42638, -0.24788, 0.18378, 0.11251, 0.68662, 0.30197],
    "arwkv7": [-0.07822, -4.24097, 1.19678, -0.65386, -0.18832, -0.24045, -0.03836, -1.97277],
    "rwkv6qwen2": [-0.13807, 1.28515, -0.40708, 0.12412, -0.34729, 1.89398, -2.59959, 1.23697],
}
"""The first logits after the last token, of llama-cpp-python 0.3.36 with an F32 cache (NMSE of all: 7e-11 at most)."""


@pytest.mark.parametrize("name", TINY)
def test_logits_are_those_of_llama_cpp_and_of_the_reference_in_every_way(name: str, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny.gguf", name)
    tensors = {one.name: np.asarray(one.data).view(np.float32) for one in open_gguf(path).tensors.values()}
    with Model(path, 1) as model, Model(path, 3, isa="generic") as other:
        found = model.context(64, "f32").eval(TOKENS, "all")
        np.testing.assert_allclose(found[-1][:8], LLAMA_CPP[name], atol=5e-5)
        assert nmse(found, evaluate(model.spec.graph(), tensors.__getitem__, TOKENS)) <= 1e-9
        context = other.context(64, "f32")
        pieces = [context.eval(TOKENS[context.n_past : context.n_past + n], "all") for n in (1, 30, 2, 1, 14)]
        np.testing.assert_array_equal(np.concatenate(pieces), found)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("nemotron_h", "ssm.conv_kernel", 1 << 30),
        ("nemotron_h", "ssm.state_size", 1 << 20),
        ("nemotron_h", "ssm.time_step_rank", 7),
        ("nemotron_h", "ssm.group_count", 3),
        ("nemotron_h", "attention.head_count_kv", np.array([1, 2, 3, 4], np.int32)),
        ("nemotron_h", "attention.head_count_kv", -1),
        ("nemotron_h", "feed_forward_length", np.array([0, 48, 48, 48], np.int32)),
        ("lfm2moe", "shortconv.l_cache", 1000),
        ("qwen35moe", "ssm.time_step_rank", 5),
        ("qwen35moe", "ssm.group_count", 3),
        ("qwen35moe", "nextn_predict_layers", 4),
        ("qwen35moe", "attention.recurrent_layers", "all"),
        ("arwkv7", "wkv.head_size", 1 << 20),
        ("arwkv7", "wkv.head_size", 24),
        ("rwkv6qwen2", "attention.head_count_kv", 3),
    ],
)
def test_sizes_that_make_no_sense_are_refused_by_name(name: str, key: str, value: object, tmp_path: Path) -> None:
    file = open_gguf(write_tiny(tmp_path / "tiny.gguf", name))
    metadata = dict(file.metadata.items()) | {f"{name}.{key}": value}
    with pytest.raises(ModelFileError, match=key.replace(".", r"\.")):
        describe(metadata, file.tensors)


@pytest.mark.parametrize("name", ["qwen3next", "granitehybrid, experts"])
def test_a_missing_tensor_is_named(name: str, tmp_path: Path) -> None:
    file = open_gguf(write_tiny(tmp_path / "tiny.gguf", name))
    metadata, tensors = dict(file.metadata.items()), dict(file.tensors)
    missing = "blk.0.attn_gate.weight" if name == "qwen3next" else "blk.0.ffn_up_exps.weight"
    del tensors[missing]
    with pytest.raises(ModelFileError, match=missing.replace(".", r"\.")):
        describe(metadata, tensors).graph()
