"""GGUF files of architectures that tests define: random weights in the shapes that a table of tensors asks for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from llamachat.engine.gguf import write_gguf

Encode = Callable[[str, np.ndarray], tuple[str, np.ndarray]]
"""(name of a tensor, its values float32) to (its type, its bytes)."""


def floats(_name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """F32."""
    return "F32", values.view(np.uint8).ravel()


def write_random(
    path: Path,
    architecture: str,
    parameters: Mapping[str, object],
    shapes: Mapping[str, Sequence[int]],
    encode: Encode = floats,
    seed: int = 0,
) -> Path:
    """A file with these parameters (metadata keys without the architecture's prefix) and tensors.

    Matrices are N(0, 1) / sqrt(columns), vectors lie between 0.5 and 1.
    """
    rng = np.random.default_rng(seed)
    entries = []
    for name, shape in shapes.items():
        values = rng.standard_normal(shape) / np.sqrt(shape[-1]) if len(shape) > 1 else rng.uniform(0.5, 1, shape)
        kind, data = encode(name, values.astype(np.float32))
        entries.append((name, kind, tuple(shape), data))
    metadata = {f"{architecture}.{key}": value for key, value in parameters.items()}
    write_gguf(path, {"general.architecture": architecture, **metadata}, entries)
    return path


def llama_shapes(n_vocab: int, n_embd: int, n_ff: int, n_layer: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a Llama-shaped model without grouped heads, its output tied to its embedding."""
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (n_vocab, n_embd), "output_norm.weight": (n_embd,)}
    for layer in range(n_layer):
        own = f"blk.{layer}."
        shapes |= {f"{own}attn_norm.weight": (n_embd,), f"{own}ffn_norm.weight": (n_embd,)}
        shapes |= {f"{own}attn_{part}.weight": (n_embd, n_embd) for part in ("q", "k", "v", "output")}
        shapes |= {f"{own}ffn_{part}.weight": (n_ff, n_embd) for part in ("gate", "up")}
        shapes[f"{own}ffn_down.weight"] = (n_embd, n_ff)
    return shapes
