"""Qwen 2 to 3, dense and with experts: halves turn, so that nothing is permuted."""

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
)
from llamachat.prepare.convert.family import SILU, Family, Settings
from llamachat.prepare.convert.settings import EXPERTS, LLM

DENSE: Final = ENDS + NORMS + ATTENTION + FEED_FORWARD
WINDOW: Final = "sliding_window max_window_layers layer_types"
PRE: Final = ("qwen2",)

SHARED_EXPERT: Final = """
model.layers.*.mlp.shared_expert.gate_proj      blk.*.ffn_gate_shexp
model.layers.*.mlp.shared_expert.up_proj        blk.*.ffn_up_shexp
model.layers.*.mlp.shared_expert.down_proj      blk.*.ffn_down_shexp
model.layers.*.mlp.shared_expert_gate           blk.*.ffn_gate_inp_shexp
"""


def no_windows(config: Config, settings: Settings) -> Settings:
    """Raises Unsupported where layers have windows, which these architectures do not know."""
    config.must("use_sliding_window", (False,))
    return {}


def experts(config: Config, settings: Settings) -> Settings:
    """Raises Unsupported for a mixture of dense layers and experts, or shares that are normed otherwise."""
    config.must("decoder_sparse_step", (1,))
    config.must("mlp_only_layers", ([],))
    config.must("norm_topk_prob", (settings.pop("normed"),))
    return no_windows(config, settings)


def qwen2moe(config: Config, settings: Settings) -> Settings:
    """Shares are as the softmax gives them."""
    return experts(config, settings | {"normed": False})


def qwen3moe(config: Config, settings: Settings) -> Settings:
    """Shares of the chosen experts are normed."""
    return experts(config, settings | {"normed": True})


FAMILY: Final = Family(
    {"Qwen2ForCausalLM": "qwen2", "Qwen2Model": "qwen2"},
    DENSE,
    only=SILU,
    more=no_windows,
    without_effect=WINDOW,
    pre=(*PRE, "deepseek-r1-qwen"),
)

QWEN2MOE: Final = Family(
    {"Qwen2MoeForCausalLM": "qwen2moe"},
    ENDS + NORMS + ATTENTION + EXPERT_FEED_FORWARD + SHARED_EXPERT,
    LLM + EXPERTS + "expert_shared_feed_forward_length shared_expert_intermediate_size",
    only=SILU,
    more=qwen2moe,
    without_effect=WINDOW,
    pre=PRE,
)

QWEN3: Final = Family(
    {"Qwen3ForCausalLM": "qwen3", "Qwen3Model": "qwen3"},
    DENSE + HEAD_NORMS,
    only=SILU,
    more=no_windows,
    without_effect=WINDOW,
    pre=PRE,
)

QWEN3MOE: Final = Family(
    {"Qwen3MoeForCausalLM": "qwen3moe"},
    ENDS + NORMS + ATTENTION + HEAD_NORMS + EXPERT_FEED_FORWARD,
    LLM + EXPERTS,
    only=SILU,
    more=qwen3moe,
    without_effect=WINDOW,
    pre=PRE,
)
