"""Golden GGUF models turned back into checkpoints of Hugging Face, by tables of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from golden_models import file_of

from llamachat.engine.gguf import open_gguf

LLAMA = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_gate_inp": "block_sparse_moe.gate",
    "ffn_gate_exps": "block_sparse_moe.experts.{}.w1",
    "ffn_up_exps": "block_sparse_moe.experts.{}.w3",
    "ffn_down_exps": "block_sparse_moe.experts.{}.w2",
}
GEMMA3 = LLAMA | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
GPT2 = {
    "token_embd": "wte",
    "position_embd": "wpe",
    "output_norm": "ln_f",
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
BERT = {
    "token_embd": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}
MAMBA2 = {
    "token_embd": "backbone.embeddings",
    "output_norm": "backbone.norm_f",
    "attn_norm": "norm",
    "ssm_in": "mixer.in_proj",
    "ssm_conv1d": "mixer.conv1d",
    "ssm_norm": "mixer.norm",
    "ssm_out": "mixer.out_proj",
    "ssm_dt.bias": "mixer.dt_bias",
    "ssm_a": "mixer.A_log",
    "ssm_d": "mixer.D",
}
LAYERS = {"bert": "encoder.layer", "gpt2": "h", "mamba2": "backbone.layers"}

Undo = Callable[[np.ndarray], np.ndarray]


def halves(x: np.ndarray, n_head: int) -> np.ndarray:
    """Adjacent pairs of rows as halves: row 2i goes to i, row 2i + 1 to i + d/2."""
    size = len(x) // n_head
    result = np.empty_like(x)
    for head in range(n_head):
        own = x[head * size : (head + 1) * size]
        result[head * size : head * size + size // 2] = own[0::2]
        result[head * size + size // 2 : (head + 1) * size] = own[1::2]
    return result


def checkpoint(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(config.json, the checkpoint's tensors, the golden model's tensors) of a golden model."""
    file = open_gguf(file_of(name))
    architecture = str(file.metadata["general.architecture"])
    kind = "mixtral" if name == "llama-moe" else architecture
    numbers = {key.split(".", 1)[1]: value for key, value in file.metadata.items() if key.startswith(architecture)}
    golden = {one: t.rows.view(np.float32).reshape(t.shape) for one, t in file.tensors.items()}
    names = {"gemma3": GEMMA3, "gpt2": GPT2, "bert": BERT, "mamba2": MAMBA2}.get(kind, LLAMA)
    tensors: dict[str, np.ndarray] = {}
    for own, values in golden.items():
        _put(tensors, names, own, _undone(own, values, kind, numbers), LAYERS.get(kind, "model.layers"))
    return _config(kind, numbers), tensors, golden


def _put(tensors: dict[str, np.ndarray], names: Mapping[str, str], own: str, values: np.ndarray, layers: str) -> None:
    found = re.fullmatch(r"blk\.(\d+)\.(.+)", own)
    rest = found.group(2) if found else own
    stem, dot, leaf = (rest, "", "") if rest in names else rest.rpartition(".")
    other = (f"{layers}.{found.group(1)}." if found else "") + names[stem] + dot + leaf
    if "{}" in other:
        for expert, one in enumerate(values):
            tensors[other.format(expert)] = one
    else:
        tensors[other] = values


def _undone(own: str, values: np.ndarray, kind: str, numbers: Mapping[str, Any]) -> np.ndarray:
    """A tensor as the checkpoint has it."""
    if kind in ("llama", "mixtral") and re.search(r"attn_[qk]\.", own):
        return halves(values, numbers["attention.head_count" if "attn_q" in own else "attention.head_count_kv"])
    if kind == "gemma3" and own.endswith("norm.weight"):
        return (values.astype(np.float64) - 1).astype(np.float32)
    if kind == "gpt2" and re.search(r"(attn_qkv|attn_output|ffn_up|ffn_down)\.weight", own):
        return np.ascontiguousarray(values.T)
    if kind == "mamba2":
        return _undone_mamba(own, values)
    return values


def _undone_mamba(own: str, values: np.ndarray) -> np.ndarray:
    if own.endswith("ssm_a"):
        return np.log(-values.astype(np.float64)).astype(np.float32).reshape(-1)
    if own.endswith("conv1d.weight"):
        return values[:, None, :]
    return values.reshape(-1) if own.endswith(("ssm_d", "ssm_norm.weight")) else values


def _config(kind: str, n: Mapping[str, Any]) -> dict[str, Any]:
    common = {"vocab_size": n["vocab_size"], "torch_dtype": "float32", "attention_dropout": 0.0, "use_cache": True}
    common |= {"hidden_size": n["embedding_length"], "num_hidden_layers": n["block_count"]}
    return common | CONFIGS[kind](n)


def _heads(n: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "num_attention_heads": n["attention.head_count"],
        "num_key_value_heads": n["attention.head_count_kv"],
        "intermediate_size": n["feed_forward_length"],
        "max_position_embeddings": n["context_length"],
        "rms_norm_eps": round(n["attention.layer_norm_rms_epsilon"], 9),
        "rope_theta": n["rope.freq_base"],
    }


CONFIGS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "llama": lambda n: _heads(n) | {"architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "rope_scaling": None},
    "mixtral": lambda n: (
        _heads(n)
        | {"architectures": ["MixtralForCausalLM"], "hidden_act": "silu"}
        | {"num_local_experts": n["expert_count"], "num_experts_per_tok": n["expert_used_count"]}
    ),
    "gemma3": lambda n: (
        _heads(n)
        | {"architectures": ["Gemma3ForCausalLM"], "hidden_activation": "gelu_pytorch_tanh"}
        | {"head_dim": n["attention.key_length"], "query_pre_attn_scalar": n["attention.key_length"]}
        | {"sliding_window": n["attention.sliding_window"], "rope_local_base_freq": n["rope.freq_base_swa"]}
    ),
    "gpt2": lambda n: {
        "architectures": ["GPT2LMHeadModel"],
        "activation_function": "gelu_new",
        "n_embd": n["embedding_length"],
        "n_layer": n["block_count"],
        "n_head": n["attention.head_count"],
        "n_inner": n["feed_forward_length"],
        "n_positions": n["context_length"],
        "layer_norm_epsilon": 1e-5,
    },
    "bert": lambda n: {
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "num_attention_heads": n["attention.head_count"],
        "intermediate_size": n["feed_forward_length"],
        "max_position_embeddings": n["context_length"],
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute",
    },
    "mamba2": lambda n: {
        "architectures": ["Mamba2ForCausalLM"],
        "hidden_act": "silu",
        "conv_kernel": n["ssm.conv_kernel"],
        "state_size": n["ssm.state_size"],
        "num_heads": n["ssm.time_step_rank"],
        "head_dim": n["ssm.inner_size"] // n["ssm.time_step_rank"],
        "n_groups": n["ssm.group_count"],
        "expand": n["ssm.inner_size"] // n["embedding_length"],
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    },
}
