"""SmolLM 3 and StarCoder 2: Llama's names with small differences."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.families.llama import ATTENTION, ENDS, FEED_FORWARD, NORMS, TURNED_ATTENTION, heads
from llamachat.prepare.convert.family import GELU, SILU, Family, Settings
from llamachat.prepare.convert.settings import LLM

FORWARD: Final = """
model.layers.*.mlp.c_fc                     blk.*.ffn_up
model.layers.*.mlp.c_proj                   blk.*.ffn_down
"""


def smollm3(config: Config, settings: Settings) -> Settings:
    """Every fourth layer turns nothing. Raises Unsupported for another pattern, and for windows."""
    config.must("use_sliding_window", (False,))
    config.must("no_rope_layer_interval", (4,))
    turning = config.first(("no_rope_layers",))
    if turning and [bool(one) for one in turning] != [(n + 1) % 4 != 0 for n in range(len(turning))]:
        raise config.refuse("no_rope_layers", "only every fourth layer without rotation is supported")
    return heads(config, settings)


FAMILY: Final = Family(
    {"SmolLM3ForCausalLM": "smollm3"},
    ENDS + NORMS + TURNED_ATTENTION + FEED_FORWARD,
    only=SILU,
    more=smollm3,
    without_effect="sliding_window max_window_layers layer_types",
    pre=("llama-bpe", "smaug-bpe"),
)

STARCODER2: Final = Family(
    {"Starcoder2ForCausalLM": "starcoder2"},
    ENDS + NORMS + ATTENTION + FORWARD,
    LLM.replace("rms_norm_eps|norm_eps", "rms_norm_eps") + "attention.layer_norm_epsilon norm_epsilon",
    only={"hidden_act": GELU},
    without_effect="sliding_window",
    pre=("starcoder", "refact"),
)
