"""StableLM: layer norms, of which some models have one for each head."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.families.llama import ATTENTION, ENDS, FEED_FORWARD, NORMS, n_rot
from llamachat.prepare.convert.family import SILU, Family, Settings

HEAD_NORMS: Final = """
model.layers.*.self_attn.q_layernorm.norms.#    blk.*.attn_q_norm
model.layers.*.self_attn.k_layernorm.norms.#    blk.*.attn_k_norm
"""


def stablelm(config: Config, settings: Settings) -> Settings:
    """What turns, and whether both branches read the same value."""
    config.first(("qk_layernorm",))
    return {
        "rope.dimension_count": n_rot(config, settings),
        "use_parallel_residual": config.first(("use_parallel_residual",), True),
        "attention.layer_norm_epsilon": config.first(("layer_norm_eps", "norm_eps"), 1e-5),
    }


FAMILY: Final = Family(
    {"StableLmForCausalLM": "stablelm", "StableLMEpochForCausalLM": "stablelm"},
    ENDS + NORMS + ATTENTION + FEED_FORWARD + HEAD_NORMS,
    only=SILU,
    more=stablelm,
    pre=("stablelm2", "olmo"),
)
