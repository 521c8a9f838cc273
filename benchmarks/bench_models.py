"""Models with random weights in the shapes of real ones: only their speed means anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from blocks import random_rows

from llamachat.catalog import resolve
from llamachat.engine.gguf import open_gguf
from llamachat.engine.gguf.types import BY_NAME
from llamachat.engine.gguf.writer import Entry, write_gguf

VOCABULARY = "smollm2"
"""The model whose tokenizer they have."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a llama model. experts: how many networks of `hidden` there are, of which a token uses some; 0: one."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    experts: int = 0
    used: int = 0


SHAPES = {
    "135m": Shape(576, 30, 9, 3, 64, 1536),  # SmolLM2 135M
    "500m": Shape(896, 24, 14, 2, 64, 4864),  # Qwen2.5 0.5B
    "1b": Shape(2048, 16, 32, 8, 64, 8192),  # Llama 3.2 1B
    "3b": Shape(3072, 28, 24, 8, 128, 8192),  # Llama 3.2 3B
    "7b": Shape(4096, 32, 32, 8, 128, 14336),  # Mistral 7B
    "moe": Shape(2048, 8, 16, 4, 128, 1024, 64, 8),
    "moe-dense": Shape(2048, 8, 16, 4, 128, 8192),  # as much work for a token
}

Q4_K_M = "Q4_K_M"
"""A mixture, no type: Q4_K, but Q6_K for the output matrix and, in half of the layers, values and down projections."""


def make(path: Path, shape: Shape, layers: int, kind: str) -> None:
    """Writes a model of that many layers whose matrices have a type of `blocks.KNOWN`, or are mixed as Q4_K_M.

    The token embeddings are Q8_0. Raises LlamaChatError where the tokenizer's model is not there, and UsageError for
    rows that are not whole blocks.
    """
    source = open_gguf(resolve(VOCABULARY)).metadata
    tokenizer = {key: source[key] for key in source if key.startswith("tokenizer.")}
    tokens = tokenizer["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    metadata = {
        "general.architecture": "llama",
        "general.name": f"bench {kind}",
        "llama.context_length": 8192,
        "llama.embedding_length": shape.width,
        "llama.block_count": layers,
        "llama.feed_forward_length": shape.hidden,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": shape.head_dim,
        "llama.rope.freq_base": 10000.0,
        **tokenizer,
    }
    if shape.experts:
        metadata |= {"llama.expert_count": shape.experts, "llama.expert_used_count": shape.used}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_gguf(path, metadata, _tensors(shape, layers, kind, len(tokens)))


def _tensors(shape: Shape, layers: int, kind: str, n_vocab: int) -> list[Entry]:
    low, high = ("Q4_K", "Q6_K") if kind == Q4_K_M else (kind, kind)
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    tensors = [
        _matrix("token_embd", n_vocab, shape.width, "Q8_0"),
        _norm("output_norm", shape.width),
        _matrix("output", n_vocab, shape.width, high),
    ]
    for i in range(layers):
        some = high if i % 2 else low
        tensors += [
            _norm(f"blk.{i}.attn_norm", shape.width),
            _matrix(f"blk.{i}.attn_q", queries, shape.width, low),
            _matrix(f"blk.{i}.attn_k", keys, shape.width, low),
            _matrix(f"blk.{i}.attn_v", keys, shape.width, some),
            _matrix(f"blk.{i}.attn_output", shape.width, queries, low),
            _norm(f"blk.{i}.ffn_norm", shape.width),
            *_feed_forward(f"blk.{i}.ffn", shape, low, some),
        ]
    return tensors


def _feed_forward(name: str, shape: Shape, low: str, some: str) -> list[Entry]:
    sizes = {"gate": (shape.hidden, shape.width, low), "up": (shape.hidden, shape.width, low)}
    sizes["down"] = (shape.width, shape.hidden, some)
    if not shape.experts:
        return [_matrix(f"{name}_{part}", *size) for part, size in sizes.items()]
    router = np.random.default_rng(0).standard_normal((shape.experts, shape.width), np.float32) / shape.width**0.5
    experts = [_matrix(f"{name}_{part}_exps", *size, shape.experts) for part, size in sizes.items()]
    return [(f"{name}_gate_inp.weight", "F32", router.shape, router), *experts]


def _norm(name: str, width: int) -> Entry:
    return f"{name}.weight", "F32", (width,), np.ones(width, np.float32)


def _matrix(name: str, n_rows: int, n_columns: int, kind: str, n_experts: int = 0) -> Entry:
    count = n_rows * max(1, n_experts)
    data: Callable[[], np.ndarray] = lambda: random_rows(BY_NAME[kind].name, count, n_columns)  # noqa: E731
    return f"{name}.weight", kind, (n_experts, n_rows, n_columns) if n_experts else (n_rows, n_columns), data
