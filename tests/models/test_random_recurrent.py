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
    "qwen35moe": [1.14725, -1.20737, -0.17623, -1.19364, 0.51538, -0.38729, -0.049, -0.37589],
    "qwen3next": [-0.16784, 0.41386, 0.8546, -1.6506, -0.33178, -0.22631, -1.22408, -1.28797],
    "qwen3next, older": [0.04916, 1.453, -2.17206, -0.61377, -0.63753, -1.82735, 0.33838, 1.90681],
    "lfm2moe": [-0.95417, -2.11564, -0.90686, 2.67943, 1.96471, 0.96493, -3.27701, -1.6083],
    "granitehybrid": [0.03786, 0.21646, 0.45003, -0.12518, -0.27125, 0.06424, 0.02313, 0.02008],
    "granitehybrid, experts": [-0.43027, 0.6256, 0.34598, -0.6959, -0.05229, -0.28276, -0.13953, 0.30994],
    "nemotron_h": [1.03097, -2.64098, 0.64293, 0.7462, -1.04199, -0.79294, -0.40247, 0.93952],
    "nemotron_h_moe": [-0.13375, 1.44602, -1.72672, 2.47512, -0.47993, 1.04247, 1.21416, 2.47846],
    "arwkv7": [0.86536, -0.43975, 0.66696, 0.43146, 0.55385, 0.85742, -1.04466, 1.54674],
    "rwkv6qwen2": [-1.18151, -0.22106, -1.57772, -0.84325, 0.3337, 0.61732, 1.74697, -2.55428],
}
"""The first logits after the last token, of llama-cpp-python 0.3.36 with an F32 cache (NMSE of all: 2e-11 at most)."""


@pytest.mark.parametrize("name", TINY)
def test_logits_are_those_of_llama_cpp_and_of_the_reference_in_every_way(name: str, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny.gguf", name)
    tensors = {one.name: np.asarray(one.data).view(np.float32) for one in open_gguf(path).tensors.values()}
    with Model(path, 1) as model, Model(path, 3, isa="generic") as other:
        found = model.context(64, "f32").eval(TOKENS, "all")
        np.testing.assert_allclose(found[-1][:8], LLAMA_CPP[name], atol=1e-4)
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
