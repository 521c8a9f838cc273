"""OLMo 1 and 2, and OLMoE."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.families.llama import (
    ATTENTION,
    ENDS,
    EXPERT_FEED_FORWARD,
    FEED_FORWARD,
    HEAD_NORMS,
    NORMS,
    TURNED_ATTENTION,
)
from llamachat.prepare.convert.family import SILU, Family, Settings
from llamachat.prepare.convert.settings import EXPERTS, LLM

BEHIND: Final = """
model.layers.*.post_attention_layernorm     blk.*.post_attention_norm
model.layers.*.post_feedforward_layernorm   blk.*.post_ffw_norm
"""


def olmo(config: Config, settings: Settings) -> Settings:
    """Norms without weights, and queries, keys and values that are cut at a size."""
    return {
        "attention.layer_norm_epsilon": 1e-5,
        "attention.clamp_kqv": config.first(("clip_qkv",)),
        "attention.head_count_kv": config.first(("num_key_value_heads",), settings["attention.head_count"]),
    }


def olmoe(config: Config, settings: Settings) -> Settings:
    """Raises Unsupported for shares that are normed, and cut projections."""
    config.must("norm_topk_prob", (False,))
    config.must("clip_qkv", ())
    return {}


FAMILY: Final = Family(
    {"Olmo2ForCausalLM": "olmo2"},
    ENDS + ATTENTION + HEAD_NORMS + FEED_FORWARD + BEHIND,
    only=SILU,
    pre=("dbrx", "olmo"),
)

OLMO: Final = Family(
    {"OlmoForCausalLM": "olmo", "OLMoForCausalLM": "olmo"},
    ENDS + TURNED_ATTENTION + FEED_FORWARD,
    only=SILU,
    more=olmo,
    pre=("olmo",),
)

OLMOE: Final = Family(
    {"OlmoeForCausalLM": "olmoe"},
    ENDS + NORMS + ATTENTION + HEAD_NORMS + EXPERT_FEED_FORWARD,
    LLM + EXPERTS,
    only=SILU,
    more=olmoe,
    pre=("olmo",),
)
