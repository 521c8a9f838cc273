"""Falcon: groups of queries lie with their key and value."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.family import GELU, Family, Settings

TENSORS: Final = """
transformer.word_embeddings                         token_embd
transformer.ln_f                                    output_norm
lm_head                                             output
transformer.h.*.input_layernorm                     blk.*.attn_norm
transformer.h.*.ln_mlp                              blk.*.attn_norm
transformer.h.*.ln_attn                             blk.*.attn_norm_2
transformer.h.*.self_attention.query_key_value      blk.*.attn_qkv  q_k_v_of_groups:attention.head_count:attention.head_count_kv
transformer.h.*.self_attention.dense                blk.*.attn_output
transformer.h.*.self_attention.rotary_emb.inv_freq  -
transformer.h.*.mlp.dense_h_to_4h                   blk.*.ffn_up
transformer.h.*.mlp.dense_4h_to_h                   blk.*.ffn_down
"""  # noqa: E501
CONTEXT: Final = 2048
"""Tokens; config.json does not say it."""


def falcon(config: Config, settings: Settings) -> Settings:
    """How many keys there are: one, unless the newer decoder has more. Raises Unsupported for other forms."""
    config.must("alibi", (False,))
    config.must("parallel_attn", (True,))
    many = config.first(("num_kv_heads", "n_head_kv"), 1)
    is_new, is_single = config.first(("new_decoder_architecture",), False), config.first(("multi_query",), True)
    n_head = settings["attention.head_count"]
    return {
        "context_length": CONTEXT,
        "feed_forward_length": config.first(("ffn_hidden_size",), 4 * config["hidden_size"]),
        "attention.head_count_kv": many if is_new else 1 if is_single else n_head,
        "tensor_data_layout": "jploski",
    }


FAMILY: Final = Family(
    {"FalconForCausalLM": "falcon", "RWForCausalLM": "falcon"},
    TENSORS,
    only={"activation": GELU},
    defaults={"max_position_embeddings": CONTEXT},
    more=falcon,
    without_effect="num_ln_in_parallel_attn apply_residual_connection_post_layernorm",
    pre=("falcon",),
    tied=True,
)
