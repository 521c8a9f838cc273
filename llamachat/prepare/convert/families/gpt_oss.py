"""gpt-oss: experts stay in MXFP4; rows of gates and values lie by turns."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.families.llama import ATTENTION, ENDS
from llamachat.prepare.convert.family import Family, Settings
from llamachat.prepare.convert.settings import EXPERTS, LLM

BLOCKS: Final = "model.layers.*.mlp.experts.{0}_blocks+model.layers.*.mlp.experts.{0}_scales"
TENSORS: Final = f"""
model.layers.*.input_layernorm                  blk.*.attn_norm
model.layers.*.post_attention_layernorm         blk.*.post_attention_norm
model.layers.*.self_attn.sinks                  blk.*.attn_sinks.weight
model.layers.*.mlp.router                       blk.*.ffn_gate_inp
model.layers.*.mlp.experts.gate_up_proj         blk.*.ffn_gate_exps.weight  transposed every_other:0
model.layers.*.mlp.experts.gate_up_proj         blk.*.ffn_up_exps.weight    transposed every_other:1
model.layers.*.mlp.experts.down_proj            blk.*.ffn_down_exps.weight  transposed
model.layers.*.mlp.experts.gate_up_proj_bias    blk.*.ffn_gate_exps.bias    every_other_column:0
model.layers.*.mlp.experts.gate_up_proj_bias    blk.*.ffn_up_exps.bias      every_other_column:1
model.layers.*.mlp.experts.down_proj_bias       blk.*.ffn_down_exps.bias
{BLOCKS.format("gate_up_proj")}                 blk.*.ffn_gate_exps.weight  rows_by_turns:0 mxfp4
{BLOCKS.format("gate_up_proj")}                 blk.*.ffn_up_exps.weight    rows_by_turns:1 mxfp4
{BLOCKS.format("down_proj")}                    blk.*.ffn_down_exps.weight  mxfp4
"""


def gpt_oss(config: Config, settings: Settings) -> Settings:
    """Windows. Raises Unsupported for an activation with other limits."""
    config.must("swiglu_limit", (7.0,))
    config.must("swiglu_alpha", (1.702,))
    kinds = config.first(("layer_types",))
    if kinds is not None and [kind == "sliding_attention" for kind in kinds] != [n % 2 == 0 for n in range(len(kinds))]:
        raise config.refuse("layer_types", "only windows in every other layer are supported")
    return {
        "attention.sliding_window": config.need("sliding_window"),
        "expert_feed_forward_length": config.need("intermediate_size"),
        "rope.dimension_count": config.first(("head_dim",), 64),
    }


FAMILY: Final = Family(
    {"GptOssForCausalLM": "gpt-oss"},
    ENDS + ATTENTION + TENSORS,
    LLM + EXPERTS,
    only={"hidden_act": ("silu",)},
    more=gpt_oss,
    without_effect="experts_per_token initial_context_length",
    pre=("gpt-4o",),
)
