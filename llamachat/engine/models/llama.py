"""Llama 1 to 3 and what shares its form (Mistral, SmolLM, Yi, ...): Touvron et al. 2023, arXiv 2302.13971.

Pre-norm RMS, rotary embedding of adjacent pairs, grouped queries, SwiGLU. Experts (Mixtral) are refused by name.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models.params import check_heads, even_share, key, rows_of
from llamachat.engine.models.rotary import check_rope, rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class LlamaParams:
    """Hyperparameters of the `llama` architecture."""

    n_vocab: int = key("vocab_size", rows_of("token_embd.weight"))
    n_embd: int = key("embedding_length")
    n_layer: int = key("block_count")
    n_ff: int = key("feed_forward_length")
    n_head: int = key("attention.head_count")
    n_head_kv: int = key("attention.head_count_kv", "n_head")
    head_dim: int = key("attention.key_length", even_share("n_embd", "n_head"))
    value_dim: int = key("attention.value_length", "head_dim")
    context_length: int = key("context_length")
    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)
    n_rot: int = key("rope.dimension_count", "head_dim")
    rope_base: float = key("rope.freq_base", 10_000.0, low=1.001, high=1e15)
    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear", "yarn"))
    rope_scale_v2: float = key("rope.scale_linear", 1.0, low=1e-6, high=1e9)  # the factor's name until GGUF v2
    rope_scale: float = key("rope.scaling.factor", "rope_scale_v2", low=1e-6, high=1e9)
    rope_attn_factor: float = key("rope.scaling.attn_factor", 1.0, high=1e9)
    yarn_original: int = key("rope.scaling.original_context_length", 0, low=0)
    yarn_beta_fast: float = key("rope.scaling.yarn_beta_fast", 32.0, low=1e-6, high=1e9)
    yarn_beta_slow: float = key("rope.scaling.yarn_beta_slow", 1.0, low=1e-6, high=1e9)
    n_expert: int = key("expert_count", 0, low=0, only=(0,))

    def __post_init__(self) -> None:
        """The rules between fields; ModelFileError."""
        check_heads(self)
        check_rope(self)


TENSORS: Final = """
token_embd.weight           n_vocab n_embd
output_norm.weight          n_embd
output.weight?              n_vocab n_embd                # absent: tied to token_embd
rope_freqs.weight?          n_rot/2                       # Llama 3: what the angle of each pair is divided by
blk.*.attn_norm.weight      n_embd
blk.*.attn_q.weight         n_head*head_dim n_embd
blk.*.attn_q.bias?          n_head*head_dim
blk.*.attn_k.weight         n_head_kv*head_dim n_embd
blk.*.attn_k.bias?          n_head_kv*head_dim
blk.*.attn_v.weight         n_head_kv*head_dim n_embd
blk.*.attn_v.bias?          n_head_kv*head_dim
blk.*.attn_output.weight    n_embd n_head*head_dim
blk.*.attn_output.bias?     n_embd
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_gate.weight       n_ff n_embd
blk.*.ffn_gate.bias?        n_ff
blk.*.ffn_up.weight         n_ff n_embd
blk.*.ffn_up.bias?          n_ff
blk.*.ffn_down.weight       n_embd n_ff
blk.*.ffn_down.bias?        n_embd
"""


def forward(g: Graph, p: LlamaParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", w.rope_freqs)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        q, k, v = g.linear(h, b.attn_q), g.linear(h, b.attn_k), g.linear(h, b.attn_v)
        shape = {"layer": layer, "n_head": p.n_head, "n_head_kv": p.n_head_kv}
        h = g.attention(q, k, v, **shape, scale=p.head_dim**-0.5, rope=rope)
        x = g.add(x, g.linear(h, b.attn_output))
        h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
        h = g.glu(g.linear(h, b.ffn_gate), g.linear(h, b.ffn_up), "silu")
        x = g.add(x, g.linear(h, b.ffn_down))
    return g.linear(g.rms_norm(x, w.output_norm, p.norm_eps), w.output or w.token_embd)


ARCHITECTURE: Final = Architecture(
    LlamaParams,
    TENSORS,
    forward,
    without_effect={
        "tensor_data_layout": "the converter's note about the row order, which GGUF fixes",
        "rope.scaling.finetuned": "says how the model was trained",
        "attention.layer_norm_epsilon": "all norms are RMS norms",
        "expert_used_count": "there are no experts",
        "pooling_type": "is about sentence embeddings",
    },
)
