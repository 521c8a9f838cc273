"""Files of models with random weights that have another model's vocabulary, and so can chat."""

from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import numpy as np

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.models import family_of
from llamachat.engine.models.params import read_params
from llamachat.engine.models.tensors import declared_tensors

COMMON = {"embedding_length": 32, "block_count": 2, "context_length": 2048, "attention.layer_norm_rms_epsilon": 1e-5}
SCANS = {"ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16, "ssm.time_step_rank": 4}
HEADS = {"attention.head_count": 2, "attention.head_count_kv": 1, "feed_forward_length": 48}
RECURRENT: Mapping[str, Mapping[str, object]] = {
    "mamba": COMMON | SCANS | {"feed_forward_length": 0},
    "falcon-h1": COMMON | SCANS | HEADS | {"ssm.group_count": 2},
}
"""{architecture: hyperparameters of a tiny model}: one with recurrent state alone, and one with attention beside it."""


VOCABULARY = 80
SECTIONS = np.array([2, 1, 1, 0], np.int32)
_RMS = {"vocab_size": VOCABULARY, "context_length": 256, "attention.layer_norm_rms_epsilon": 1e-5}
_HEADS = {"embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": 2}
_DELTA = {
    "attention.key_length": 32,
    "attention.value_length": 32,
    "rope.dimension_count": 8,
    "rope.freq_base": 1e7,
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 64,
    "ssm.state_size": 16,
    "ssm.time_step_rank": 4,
    "ssm.group_count": 2,
    "block_count": 4,
    "full_attention_interval": 4,
}
_EXPERTS = {
    "expert_count": 4,
    "expert_used_count": 2,
    "expert_feed_forward_length": 24,
}
_SHARED = _EXPERTS | {"expert_shared_feed_forward_length": 40}
_MAMBA_2 = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 128,
    "ssm.state_size": 16,
    "ssm.time_step_rank": 8,
    "ssm.group_count": 2,
}
_GRANITE = {"embedding_scale": 12.0, "residual_scale": 0.22, "logit_scale": 6.0, "attention.scale": 0.1}
_ONE_KIND = {"attention.key_length": 16, "attention.value_length": 16, "attention.layer_norm_epsilon": 1e-5}
_WKV = {"block_count": 2, "feed_forward_length": 48, "attention.head_count": 4, "token_shift_count": 1}
_RANKS = {
    "attention.decay_lora_rank": 16,
    "attention.iclr_lora_rank": 8,
    "attention.gate_lora_rank": 12,
    "attention.value_residual_mix_lora_rank": 8,
}


def layers(*values: int) -> np.ndarray:
    """A value for each layer."""
    return np.array(values, np.int32)


TINY: Mapping[str, Mapping[str, object]] = {
    "qwen35moe": _RMS | _HEADS | _DELTA | _SHARED | {"feed_forward_length": 0, "rope.dimension_sections": SECTIONS},
    "qwen3next": _RMS | _HEADS | _DELTA | _SHARED | {"feed_forward_length": 48},
    "qwen3next, older": _RMS | _HEADS | _DELTA | _SHARED | {"feed_forward_length": 48},
    "lfm2moe": _RMS
    | _HEADS
    | _EXPERTS
    | {"attention.head_count_kv": layers(0, 0, 2, 0), "block_count": 4, "feed_forward_length": 48}
    | {"shortconv.l_cache": 3, "leading_dense_block_count": 1, "expert_gating_func": 2},
    "granitehybrid": _RMS
    | _HEADS
    | _MAMBA_2
    | _GRANITE
    | {"attention.head_count_kv": layers(0, 2, 0), "block_count": 3, "feed_forward_length": 48}
    | {"rope.scaling.finetuned": False},
    "granitehybrid, experts": _RMS
    | _HEADS
    | _MAMBA_2
    | _GRANITE
    | _SHARED
    | {"attention.head_count_kv": layers(0, 2, 0), "block_count": 3, "feed_forward_length": 24},
    "nemotron_h": _RMS
    | _HEADS
    | _MAMBA_2
    | _ONE_KIND
    | {"attention.head_count_kv": layers(0, 0, 2, 0), "block_count": 4, "feed_forward_length": layers(0, 48, 0, 48)},
    "nemotron_h_moe": _RMS
    | _HEADS
    | _MAMBA_2
    | _ONE_KIND
    | _SHARED
    | {"attention.head_count_kv": layers(0, 0, 2, 0), "block_count": 4, "feed_forward_length": layers(0, 48, 0, 48)}
    | {"expert_shared_count": 1, "expert_weights_norm": True, "expert_weights_scale": 2.5},
    "arwkv7": _RMS | _WKV | _RANKS | {"embedding_length": 128, "wkv.head_size": 64},
    "rwkv6qwen2": _RMS
    | _WKV
    | {"embedding_length": 64, "wkv.head_size": 16, "attention.head_count_kv": 2}
    | {"time_mix_extra_dim": 8, "time_decay_extra_dim": 16},
}
"""{name: hyperparameters of a tiny model}; the name begins with its architecture."""

_ENCODER = {"vocab_size": VOCABULARY, "context_length": 256, "embedding_length": 64, "attention.head_count": 4}
_ENCODER |= {"attention.layer_norm_epsilon": 1e-5, "attention.causal": False, "feed_forward_length": 48}
ENCODERS: Mapping[str, Mapping[str, object]] = {
    "jina-bert-v2": _ENCODER | {"block_count": 2, "attention.max_alibi_bias": 8.0},
    "jina-bert-v3": _ENCODER | {"block_count": 2, "rope.freq_base": 20000.0},
    "nomic-bert-moe": _ENCODER
    | {"block_count": 4, "expert_count": 4, "expert_used_count": 2, "moe_every_n_layers": 2, "rope.freq_base": 1e4},
    "modern-bert": _ENCODER
    | {"block_count": 4, "attention.sliding_window": 16, "rope.freq_base": 16e4, "rope.freq_base_swa": 1e4},
    "gemma-embedding": _ENCODER
    | {"block_count": 7, "attention.sliding_window": 16, "rope.freq_base": 1e6, "attention.head_count_kv": 2}
    | {"attention.key_length": 16, "attention.value_length": 16, "attention.layer_norm_rms_epsilon": 1e-6},
}
"""The same of encoders."""

_SCAN = ("ssm_conv1d.bias", "ssm_norm")
_BIASES = ("attn_qkv.bias", "attn_output.bias", "ffn_up.bias", "ffn_down.bias", "token_types")
OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "qwen3next": ("attn_qkv", "attn_gate"),
    "qwen3next, older": ("ssm_in.",),
    "jina-bert-v2": ("attn_q.bias", "attn_k.bias", "attn_v.bias", *_BIASES, "ffn_gate.weight"),
    "jina-bert-v3": _BIASES,
    "nomic-bert-moe": _BIASES,
    "granitehybrid": _SCAN,
    "granitehybrid, experts": _SCAN,
    "nemotron_h": (*_SCAN, "ffn_up.bias", "ffn_down.bias"),
    "nemotron_h_moe": (*_SCAN, "exp_probs_b"),
    "arwkv7": ("time_mix_ln", "blk.0.time_mix_v", "output.weight"),
    "rwkv6qwen2": (
        "output.weight",
        "lerp_fused",
        "time_mix_key.bias",
        "time_mix_value.bias",
        "time_mix_receptance.bias",
    ),
}
"""Parts of the names of tensors that a file has though it need not."""


def write_tiny(path: Path, name: str) -> Path:
    """A tiny model of TINY with random weights and no vocabulary."""
    architecture = name.partition(",")[0]
    metadata: dict[str, object] = {f"{architecture}.{key}": value for key, value in {**TINY, **ENCODERS}[name].items()}
    metadata |= {"general.architecture": architecture, "tokenizer.ggml.model": "no_vocab"}
    if name in ENCODERS:
        metadata["tokenizer.ggml.token_type_count"] = 1
    _, family = family_of(metadata)
    params = read_params(family.params, metadata, architecture, {})
    tensors = []
    for tensor, one in declared_tensors(family.tensors, params, family.stacks).items():
        if not one.optional or any(part in tensor for part in OPTIONAL.get(name, ())):
            tensors.append((tensor, "F32", one.shape, _values(tensor, one.shape)))
    write_gguf(path, metadata, tensors)
    return path


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers that depend on the name alone, and not on what else a table has."""
    values = np.random.default_rng(crc32(name.encode())).standard_normal(shape, np.float32)
    if "norm" in name or name.endswith("time_mix_ln.weight"):
        values = 1 + 0.2 * values
    elif name.endswith("ssm_a"):
        values = -np.abs(values) - 0.1
    elif len(shape) >= 2 and "lerp" not in name:
        values = values * (0.45 if name.startswith("token_embd") else 1.5) / np.sqrt(shape[-1])
    else:
        values = values * 0.3
    return values.astype(np.float32)


def write_random(path: Path, architecture: str, vocabulary: Path) -> Path:
    """A tiny model of an architecture of RECURRENT with the tokenizer and the chat template of another file."""
    source = open_gguf(vocabulary).metadata
    metadata = {key: source[key] for key in source if key.startswith("tokenizer.")}
    metadata |= {f"{architecture}.{key}": value for key, value in RECURRENT[architecture].items()}
    metadata |= {"general.architecture": architecture, "general.name": f"random {architecture}"}
    tokens = metadata["tokenizer.ggml.tokens"]
    _, family = family_of(metadata)
    params = read_params(family.params, metadata, architecture, {"token_embd.weight": len(tokens)})
    rng, tensors = np.random.default_rng(0), []
    for name, one in declared_tensors(family.tensors, params, family.stacks).items():
        values = rng.standard_normal(one.shape, np.float32) * (0.7 if name.startswith("token_embd") else 0.3)
        if "norm" in name:
            values = np.ones(one.shape, np.float32)
        elif name.endswith("ssm_a"):
            values = -np.abs(values) - 0.1
        if not one.optional:
            tensors.append((name, "F32", one.shape, values.astype(np.float32)))
    write_gguf(path, metadata, tensors)
    return path
