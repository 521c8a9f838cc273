"""GPT-2 and what shares its form: matrices are [n_in, n_out] there."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.family import Family, Settings

TENSORS: Final = """
transformer.wte                     token_embd
transformer.wpe                     position_embd
transformer.ln_f                    output_norm
lm_head                             output
transformer.h.*.ln_1                blk.*.attn_norm
transformer.h.*.attn.c_attn         blk.*.attn_qkv          transposed
transformer.h.*.attn.c_proj         blk.*.attn_output       transposed
transformer.h.*.attn.bias           -
transformer.h.*.attn.masked_bias    -
transformer.h.*.ln_2                blk.*.ffn_norm
transformer.h.*.mlp.c_fc            blk.*.ffn_up            transposed
transformer.h.*.mlp.c_proj          blk.*.ffn_down          transposed
"""

ACTIVATIONS: Final = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast")
SUMMARIES: Final = "summary_activation summary_first_dropout summary_proj_to_labels summary_type summary_use_proj"


def gpt2(config: Config, settings: Settings) -> Settings:
    """The width of the network between, which is mostly left out."""
    config.must("scale_attn_by_inverse_layer_idx", (False,))
    config.must("scale_attn_weights", (True,))
    found: Settings = {}
    if "feed_forward_length" not in settings:
        found["feed_forward_length"] = 4 * int(config.first(("n_embd", "hidden_size")))
    if config.first(("multi_query",)):
        found["attention.head_count_kv"] = 1
    return found


FAMILY: Final = Family(
    {"GPT2LMHeadModel": "gpt2", "GPT2Model": "gpt2"},
    TENSORS + TENSORS.replace("transformer.", ""),
    only={"activation_function": ACTIVATIONS},
    more=gpt2,
    without_effect=f"{SUMMARIES} reorder_and_upcast_attn",
    pre=("gpt-2",),
    rope=False,
    tied=True,
)

STARCODER: Final = Family(
    {"GPTBigCodeForCausalLM": "starcoder"},
    TENSORS.replace("transposed", ""),
    only={"activation_function": ACTIVATIONS},
    more=gpt2,
    without_effect=f"{SUMMARIES} attention_softmax_in_fp32 scale_attention_softmax_in_fp32 inference_runner"
    " pad_key_length pre_allocate_kv_cache max_batch_size max_sequence_length validate_runner_input",
    pre=("starcoder", "refact"),
    rope=False,
    tied=True,
)
