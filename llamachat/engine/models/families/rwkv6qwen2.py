"""RWKV6-Qwen2, QRWKV (Recursal 2024): a Qwen 2 whose attention was replaced by gated linear attention of RWKV 6's form.

RMS norms, SwiGLU, biases of queries, keys and values; keys and values may have fewer heads.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts, rwkv
from llamachat.engine.models.params import key, quotient_of, require
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Rwkv6Qwen2Params(rwkv.Mixing6):
    """Hyperparameters of the `rwkv6qwen2` architecture."""

    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)
    n_shifts: int = key("token_shift_count", 2, only=(1,))
    n_head_kv: int = key("attention.head_count_kv", quotient_of("n_embd", "head_dim"))

    def __post_init__(self) -> None:
        """Also raises ModelFileError for heads that cannot be shared evenly."""
        super().__post_init__()
        sentence = f"is {self.n_head_kv}, which {self.n_embd // self.head_dim} heads cannot share evenly"
        require(self.n_embd // self.head_dim % self.n_head_kv == 0, sentence, "attention.head_count_kv")


TENSORS: Final = f"""
{parts.EMBEDDING}
output_norm.bias?                   n_embd
blk.*.attn_norm.weight              n_embd
blk.*.time_mix_receptance.weight    n_embd n_embd
blk.*.time_mix_receptance.bias?     n_embd
blk.*.time_mix_key.weight           n_head_kv*head_dim n_embd
blk.*.time_mix_key.bias?            n_head_kv*head_dim
blk.*.time_mix_value.weight         n_head_kv*head_dim n_embd
blk.*.time_mix_value.bias?          n_head_kv*head_dim
blk.*.time_mix_output.weight        n_embd n_embd
{rwkv.MIXING_6}{parts.GATED_FEED_FORWARD}
"""


def forward(g: Graph, p: Rwkv6Qwen2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, rwkv.mixing_6(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, p.n_head_kv))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"rwkv6qwen2": "RWKV6-Qwen2 and QRWKV6 0.5B to 32B"},
    Rwkv6Qwen2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | {"attention.head_count": "follows from the size of a head"},
)
