"""Granite, dense and with experts: Llama's names, and constants."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.families.llama import ENDS, FEED_FORWARD, NORMS, TURNED_ATTENTION, heads
from llamachat.prepare.convert.family import SILU, Family
from llamachat.prepare.convert.settings import EXPERTS, LLM

CONSTANTS: Final = """
attention.scale?       attention_multiplier
embedding_scale?       embedding_multiplier
residual_scale?        residual_multiplier
logit_scale?           logits_scaling
"""

MOE: Final = """
model.layers.*.block_sparse_moe.router.layer    blk.*.ffn_gate_inp
model.layers.*.block_sparse_moe.input_linear    blk.*.ffn_gate_exps     half:0
model.layers.*.block_sparse_moe.input_linear    blk.*.ffn_up_exps       half:1
model.layers.*.block_sparse_moe.output_linear   blk.*.ffn_down_exps
model.layers.*.shared_mlp.input_linear          blk.*.ffn_gate_shexp    half:0
model.layers.*.shared_mlp.input_linear          blk.*.ffn_up_shexp      half:1
model.layers.*.shared_mlp.output_linear         blk.*.ffn_down_shexp
"""

FAMILY: Final = Family(
    {"GraniteForCausalLM": "granite"},
    ENDS + NORMS + TURNED_ATTENTION + FEED_FORWARD,
    LLM + CONSTANTS,
    only=SILU,
    more=heads,
    pre=("refact", "dbrx"),
)

GRANITEMOE: Final = Family(
    {"GraniteMoeForCausalLM": "granitemoe", "GraniteMoeSharedForCausalLM": "granitemoe"},
    ENDS + NORMS + TURNED_ATTENTION + MOE,
    LLM + CONSTANTS + EXPERTS + "expert_shared_feed_forward_length? shared_intermediate_size",
    only=SILU,
    more=heads,
    pre=FAMILY.pre,
)
