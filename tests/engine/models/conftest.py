"""Tiny models as plain mappings: what `describe` takes, written by hand and not by the tables under test."""

from dataclasses import dataclass, field

import pytest


@dataclass(frozen=True)
class Shape:
    """A tensor of which only the shape is known."""

    shape: tuple[int, ...]


@dataclass
class TinyModel:
    """A file's metadata and tensors; `set` and `drop` change them for one test."""

    metadata: dict[str, object] = field(default_factory=dict)
    tensors: dict[str, Shape] = field(default_factory=dict)

    def copy(self) -> "TinyModel":
        return TinyModel(dict(self.metadata), dict(self.tensors))


COUNTS = {
    "context_length": 256,
    "embedding_length": 64,
    "block_count": 2,
    "feed_forward_length": 48,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
OF_THE_FILE = {"token_embd.weight": (80, 64), "output_norm.weight": (64,)}
OF_A_LAYER = {
    "attn_norm.weight": (64,),
    "attn_q.weight": (64, 64),
    "attn_k.weight": (32, 64),
    "attn_v.weight": (32, 64),
    "attn_output.weight": (64, 64),
    "ffn_norm.weight": (64,),
    "ffn_gate.weight": (48, 64),
    "ffn_up.weight": (48, 64),
    "ffn_down.weight": (64, 48),
}
OF_A_GEMMA_LAYER = {
    "attn_q_norm.weight": (16,),
    "attn_k_norm.weight": (16,),
    "post_attention_norm.weight": (64,),
    "post_ffw_norm.weight": (64,),
}


def tiny(architecture: str, n_layer: int, of_a_layer: dict[str, tuple[int, ...]]) -> TinyModel:
    metadata: dict[str, object] = {f"{architecture}.{name}": value for name, value in COUNTS.items()}
    metadata |= {"general.architecture": architecture, f"{architecture}.block_count": n_layer}
    tensors = {name: Shape(shape) for name, shape in OF_THE_FILE.items()}
    for layer in range(n_layer):
        tensors |= {f"blk.{layer}.{name}": Shape(shape) for name, shape in of_a_layer.items()}
    return TinyModel(metadata, tensors)


@pytest.fixture
def tiny_llama() -> TinyModel:
    """Two layers, tied output, 4 heads of 16 sharing 2."""
    return tiny("llama", 2, OF_A_LAYER)


@pytest.fixture
def tiny_gemma3() -> TinyModel:
    """Seven layers, of which the sixth is full once there is a window."""
    return tiny("gemma3", 7, OF_A_LAYER | OF_A_GEMMA_LAYER)
