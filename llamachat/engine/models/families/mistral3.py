"""Ministral 3 and Devstral 2 (Mistral AI 2025, model cards): as Llama, and queries grow with their positions.

YaRN's factor of angles is divided by what `yarn_log_multiplier` says. Some models have experts.
"""

from dataclasses import dataclass
from typing import Any, Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.families.llama import TENSORS, LlamaParams
from llamachat.engine.models.params import key, require
from llamachat.engine.models.rotary import rope_spec, temperature_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Mistral3Params(LlamaParams):
    """Hyperparameters of the `mistral3` architecture."""

    attention_scale: float = key("attention.scale", 0.0, high=1e9)  # 0: 1/sqrt(head_dim)
    temperature_scale: float = key("attention.temperature_scale", 0.0, high=1e9)
    yarn_log_multiplier: float = key("rope.scaling.yarn_log_multiplier", 0.0, high=100.0)

    def __post_init__(self) -> None:
        """Also raises ModelFileError for a temperature that grows from nowhere."""
        super().__post_init__()
        known = self.yarn_original > 0 or not self.temperature_scale
        require(known, "is 0: from there on queries grow", "rope.scaling.original_context_length")


def forward(g: Graph, p: Mistral3Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", w.rope_freqs, log_multiplier=p.yarn_log_multiplier)
    temperature = temperature_spec(p.temperature_scale, p.yarn_original)
    special: dict[str, Any] = {"temperature": temperature, "scale": p.attention_scale or p.head_dim**-0.5}
    routing = p.routing(normalised=True)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope, **special))
        h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
        x = g.add(x, mixture.mixture(g, b, h, routing) if p.n_expert else parts.gated_feed_forward(g, b, h, "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"mistral3": "Ministral 3, Devstral 2 and other Mistral models since late 2025"},
    Mistral3Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
