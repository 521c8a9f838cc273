"""Llama, Mistral, Mixtral: names that most families share, q and k turned to adjacent pairs."""

from __future__ import annotations

from typing import Final

from llamachat.errors import ModelFileError
from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.family import SILU, Family, Settings
from llamachat.prepare.convert.rotation import llama3_factors, rotation
from llamachat.prepare.convert.settings import EXPERTS, LLM
from llamachat.prepare.convert.source import Floats

ENDS: Final = """
model.embed_tokens                          token_embd
model.norm                                  output_norm
lm_head                                     output
model.layers.*.self_attn.rotary_emb.inv_freq  -
"""

NORMS: Final = """
model.layers.*.input_layernorm              blk.*.attn_norm
model.layers.*.post_attention_layernorm     blk.*.ffn_norm
"""

ATTENTION: Final = """
model.layers.*.self_attn.q_proj             blk.*.attn_q
model.layers.*.self_attn.k_proj             blk.*.attn_k
model.layers.*.self_attn.v_proj             blk.*.attn_v
model.layers.*.self_attn.o_proj             blk.*.attn_output
"""

TURNED_ATTENTION: Final = """
model.layers.*.self_attn.q_proj             blk.*.attn_q        turned:attention.head_count
model.layers.*.self_attn.k_proj             blk.*.attn_k        turned:attention.head_count_kv
model.layers.*.self_attn.v_proj             blk.*.attn_v
model.layers.*.self_attn.o_proj             blk.*.attn_output
"""

HEAD_NORMS: Final = """
model.layers.*.self_attn.q_norm             blk.*.attn_q_norm
model.layers.*.self_attn.k_norm             blk.*.attn_k_norm
"""

FEED_FORWARD: Final = """
model.layers.*.mlp.gate_proj                blk.*.ffn_gate
model.layers.*.mlp.up_proj                  blk.*.ffn_up
model.layers.*.mlp.down_proj                blk.*.ffn_down
"""

MIXTRAL_EXPERTS: Final = """
model.layers.*.block_sparse_moe.gate            blk.*.ffn_gate_inp
model.layers.*.block_sparse_moe.experts.#.w1    blk.*.ffn_gate_exps
model.layers.*.block_sparse_moe.experts.#.w2    blk.*.ffn_down_exps
model.layers.*.block_sparse_moe.experts.#.w3    blk.*.ffn_up_exps
"""

EXPERT_FEED_FORWARD: Final = """
model.layers.*.mlp.gate                         blk.*.ffn_gate_inp
model.layers.*.mlp.experts.#.gate_proj          blk.*.ffn_gate_exps
model.layers.*.mlp.experts.#.up_proj            blk.*.ffn_up_exps
model.layers.*.mlp.experts.#.down_proj          blk.*.ffn_down_exps
model.layers.*.mlp.experts.gate_up_proj         blk.*.ffn_gate_exps.weight  half:0
model.layers.*.mlp.experts.gate_up_proj         blk.*.ffn_up_exps.weight    half:1
model.layers.*.mlp.experts.down_proj            blk.*.ffn_down_exps.weight
"""


def heads(config: Config, settings: Settings) -> Settings:
    """How many dimensions turn, and how many heads of keys there are where config.json leaves that out.

    Raises ModelFileError for a count that is none.
    """
    n_head = settings["attention.head_count"]
    if not isinstance(n_head, int) or n_head < 1:
        raise ModelFileError(f"is {n_head!r:.40}, must be a whole number", config.path, "num_attention_heads")
    found: Settings = {"rope.dimension_count": n_rot(config, settings)}
    if "attention.head_count_kv" not in settings:
        found["attention.head_count_kv"] = n_head
    return found


def n_rot(config: Config, settings: Settings) -> int:
    """The dimensions of a head, or those of them that turn."""
    size = settings.get("attention.key_length")
    n_embd, n_head = settings["embedding_length"], settings["attention.head_count"]
    head = size if isinstance(size, int) else int(n_embd) // int(n_head)  # type: ignore[call-overload]
    share = config.first(("partial_rotary_factor", "rotary_pct", "rope_pct"))
    if share is None:
        share = rotation(config).get("partial_rotary_factor", 1.0)
    return int(head * float(share))


def llama3(config: Config, settings: Settings) -> dict[str, Floats]:
    """The factors of Llama 3.1's scaling: float32 [n_rot / 2]."""
    found = rotation(config)
    if found["rope_type"] != "llama3":
        return {}
    size = settings["rope.dimension_count"]
    assert isinstance(size, int)
    return {"rope_freqs.weight": llama3_factors(config, found, size)}


FAMILY: Final = Family(
    {"LlamaForCausalLM": "llama", "LLaMAForCausalLM": "llama", "LlamaModel": "llama", "MistralForCausalLM": "llama",
     "MistralModel": "llama"},
    ENDS + NORMS + TURNED_ATTENTION + FEED_FORWARD,
    only=SILU,
    more=heads,
    made=llama3,
    without_effect="sliding_window max_window_layers layer_types use_sliding_window",
    pre=("llama-bpe", "smollm", "tekken", "default"),
)  # fmt: skip

MIXTRAL: Final = Family(
    {"MixtralForCausalLM": "llama"},
    ENDS + NORMS + TURNED_ATTENTION + MIXTRAL_EXPERTS + EXPERT_FEED_FORWARD,
    LLM + EXPERTS,
    only=SILU,
    more=heads,
    made=llama3,
    without_effect="sliding_window",
    pre=FAMILY.pre,
)
