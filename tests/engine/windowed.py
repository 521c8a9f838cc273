"""A small gemma3 model whose first and last layer have a window, and contexts of it that keep all or only rings."""

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import pytest

from llamachat.engine.context import Context
from llamachat.engine.model import Model
from llamachat.engine.state import windows

N_VOCAB, N_EMBD, N_FF, N_HEAD, N_HEAD_KV, HEAD_DIM = 96, 64, 96, 4, 2, 32
TOKENS: list[int] = np.random.default_rng(1).integers(0, N_VOCAB, 4000).tolist()
NO_MARGIN = 0
ALL = 1 << 20
"""A margin that keeps every token."""


def windowed_gguf(
    path: Path, window: int, flags: Sequence[bool] = (True, False, True), value_dim: int = HEAD_DIM
) -> Path:
    """Writes it; flags: which layers have the window; value_dim: of a head's values."""
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_context_length(8192)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(len(flags))
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEAD)
    writer.add_head_count_kv(N_HEAD_KV)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(value_dim)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_sliding_window(window)
    writer.add_array("gemma3.attention.sliding_window_pattern", list(flags))
    rng = np.random.default_rng(0)

    def tensor(name: str, *shape: int) -> None:
        values = rng.standard_normal(shape) / np.sqrt(shape[-1]) if len(shape) > 1 else rng.uniform(0.5, 2, shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))

    tensor("token_embd", N_VOCAB, N_EMBD)
    tensor("output_norm", N_EMBD)
    for layer in range(len(flags)):
        for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            tensor(f"blk.{layer}.{name}", N_EMBD)
        for name, rows in (("q", N_HEAD * HEAD_DIM), ("k", N_HEAD_KV * HEAD_DIM), ("v", N_HEAD_KV * value_dim)):
            tensor(f"blk.{layer}.attn_{name}", rows, N_EMBD)
        for name in ("q", "k"):
            tensor(f"blk.{layer}.attn_{name}_norm", HEAD_DIM)
        tensor(f"blk.{layer}.attn_output", N_EMBD, N_HEAD * value_dim)
        for name in ("gate", "up"):
            tensor(f"blk.{layer}.ffn_{name}", N_FF, N_EMBD)
        tensor(f"blk.{layer}.ffn_down", N_EMBD, N_FF)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def another(context: Context) -> Context:
    """An empty one of the same shape."""
    return Context(context._forward, context._plan, context.n_ctx)


def pair(model: Model, n_ctx: int, margin: int = NO_MARGIN, **options: object) -> tuple[Context, Context]:
    """(a context whose rings have that margin, one that keeps everything), both empty."""
    contexts = []
    for one in (margin, ALL):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(windows, "MARGIN", one)
            model._loaded._forwards.clear()  # type: ignore[attr-defined]
            contexts.append(model.context(n_ctx, **options))  # type: ignore[arg-type]
    return contexts[0], contexts[1]
