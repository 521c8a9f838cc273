"""GPT-NeoX and Pythia: q, k and v of each head lie together."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.families.llama import n_rot
from llamachat.prepare.convert.family import GELU, Family, Settings

TENSORS: Final = """
gpt_neox.embed_in                               token_embd
gpt_neox.final_layer_norm                       output_norm
embed_out                                       output
lm_head                                         output
gpt_neox.layers.*.input_layernorm               blk.*.attn_norm
gpt_neox.layers.*.post_attention_layernorm      blk.*.ffn_norm
gpt_neox.layers.*.attention.query_key_value     blk.*.attn_qkv      q_k_v_of_heads:attention.head_count
gpt_neox.layers.*.attention.dense               blk.*.attn_output
gpt_neox.layers.*.attention.bias                -
gpt_neox.layers.*.attention.masked_bias         -
gpt_neox.layers.*.attention.rotary_emb.inv_freq -
gpt_neox.layers.*.mlp.dense_h_to_4h             blk.*.ffn_up
gpt_neox.layers.*.mlp.dense_4h_to_h             blk.*.ffn_down
"""


def gptneox(config: Config, settings: Settings) -> Settings:
    """What turns, and whether both branches read the same value."""
    return {
        "rope.dimension_count": n_rot(config, settings),
        "use_parallel_residual": config.first(("use_parallel_residual",), True),
    }


FAMILY: Final = Family(
    {"GPTNeoXForCausalLM": "gptneox"},
    TENSORS,
    only={"hidden_act": GELU},
    more=gptneox,
    pre=("olmo", "gpt-2"),
)
