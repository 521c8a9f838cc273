"""DeepSeek V2 and V3: the matrix that expands latents becomes one for keys, transposed, and one for values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.families.llama import ENDS, EXPERT_FEED_FORWARD, FEED_FORWARD, NORMS
from llamachat.prepare.convert.family import SILU, Family, Settings
from llamachat.prepare.convert.rotation import rotation
from llamachat.prepare.convert.settings import GATINGS
from llamachat.prepare.convert.source import Source

KEPT: Final = "attention.key_length_mla-rope.dimension_count"
ATTENTION: Final = f"""
model.layers.*.self_attn.q_proj                 blk.*.attn_q
model.layers.*.self_attn.q_a_proj               blk.*.attn_q_a
model.layers.*.self_attn.q_a_layernorm          blk.*.attn_q_a_norm
model.layers.*.self_attn.q_b_proj               blk.*.attn_q_b
model.layers.*.self_attn.kv_a_proj_with_mqa     blk.*.attn_kv_a_mqa
model.layers.*.self_attn.kv_a_layernorm         blk.*.attn_kv_a_norm
model.layers.*.self_attn.kv_b_proj  blk.*.attn_k_b  rows_of_heads:attention.head_count:0:{KEPT} transposed
model.layers.*.self_attn.kv_b_proj  blk.*.attn_v_b  rows_of_heads:attention.head_count:{KEPT}:attention.value_length_mla
model.layers.*.self_attn.o_proj                 blk.*.attn_output
"""

SHARED: Final = """
model.layers.*.mlp.shared_experts.gate_proj     blk.*.ffn_gate_shexp
model.layers.*.mlp.shared_experts.up_proj       blk.*.ffn_up_shexp
model.layers.*.mlp.shared_experts.down_proj     blk.*.ffn_down_shexp
model.layers.*.mlp.gate.e_score_correction_bias blk.*.exp_probs_b.bias
"""

SETTINGS: Final = """
vocab_size                          vocab_size
block_count                         num_hidden_layers
context_length                      max_position_embeddings
embedding_length                    hidden_size
feed_forward_length                 intermediate_size
attention.head_count                num_attention_heads
attention.layer_norm_rms_epsilon    rms_norm_eps
attention.q_lora_rank?              q_lora_rank
attention.kv_lora_rank              kv_lora_rank
attention.value_length              kv_lora_rank
attention.value_length_mla          v_head_dim
rope.dimension_count                qk_rope_head_dim
leading_dense_block_count?          first_k_dense_replace
expert_count?                       n_routed_experts
expert_used_count?                  num_experts_per_tok
expert_feed_forward_length?         moe_intermediate_size
expert_shared_count?                n_shared_experts
expert_weights_scale?               routed_scaling_factor
expert_group_count?                 n_group
expert_group_used_count?            topk_group
"""

NOTHING: Final = "ep_size num_nextn_predict_layers head_dim qk_head_dim rope_interleave topk_method num_key_value_heads"


def deepseek2(config: Config, settings: Settings) -> Settings:
    """Attention is described as that of one key of latents. Raises Unsupported for other ways to choose experts."""
    config.must("moe_layer_freq", (1,))
    config.must("topk_method", ("greedy", "group_limited_greedy", "noaux_tc"))
    n_turned, n_kept = config.need("qk_rope_head_dim"), config.need("qk_nope_head_dim")
    method, is_v3 = config.first(("topk_method",)), "DeepseekV3ForCausalLM" in config.first(("architectures",), [])
    scores = config.first(("scoring_func",), "sigmoid" if is_v3 else "softmax")
    if scores not in GATINGS:
        raise config.refuse("scoring_func", "only softmax and sigmoid are supported")
    found: Settings = {
        "attention.head_count_kv": 1,
        "attention.key_length": config["kv_lora_rank"] + n_turned,
        "attention.key_length_mla": n_kept + n_turned,
        "expert_gating_func": GATINGS[scores],
        "leading_dense_block_count": settings.get("leading_dense_block_count", 0),
    }
    if config.first(("norm_topk_prob",)):
        found["expert_weights_norm"] = True
    if method == "greedy":
        found |= {"expert_group_count": None, "expert_group_used_count": None}
    log = rotation(config).get("mscale_all_dim")
    if log is not None:
        found["rope.scaling.yarn_log_multiplier"] = 0.1 * float(log)
    return found


def layers(config: Config, tensors: Mapping[str, Source]) -> Mapping[str, Source]:
    """Without the layers behind the last one, which guess several tokens."""
    count = config.need("num_hidden_layers")
    numbers = {name: re.match(r"model\.layers\.(\d+)\.", name) for name in tensors}
    return {name: tensors[name] for name, found in numbers.items() if found is None or int(found[1]) < count}


FAMILY: Final = Family(
    {"DeepseekV2ForCausalLM": "deepseek2", "DeepseekV3ForCausalLM": "deepseek2"},
    ENDS + NORMS + ATTENTION + FEED_FORWARD + EXPERT_FEED_FORWARD + SHARED,
    SETTINGS,
    only=SILU,
    more=deepseek2,
    chosen=layers,
    without_effect=NOTHING,
    pre=("deepseek-v3", "deepseek-llm"),
)
