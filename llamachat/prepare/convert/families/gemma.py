"""Gemma 1 to 3: norms are kept as differences from one, and the output head is the embedding."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.families.llama import ATTENTION, FEED_FORWARD
from llamachat.prepare.convert.family import Family, Settings
from llamachat.prepare.convert.rotation import rotation

ENDS: Final = """
model.embed_tokens                              token_embd
model.norm                                      output_norm                     plus_one
lm_head                                         -
model.layers.*.self_attn.rotary_emb.inv_freq    -
model.layers.*.input_layernorm                  blk.*.attn_norm                 plus_one
"""

FOUR_NORMS: Final = """
model.layers.*.post_attention_layernorm         blk.*.post_attention_norm       plus_one
model.layers.*.pre_feedforward_layernorm        blk.*.ffn_norm                  plus_one
model.layers.*.post_feedforward_layernorm       blk.*.post_ffw_norm             plus_one
"""

GELU: Final = {"hidden_act": ("gelu", "gelu_pytorch_tanh"), "hidden_activation": ("gelu_pytorch_tanh",)}
HEAD: Final = {"head_dim": 256}


def gemma2(config: Config, settings: Settings) -> Settings:
    """Windows and caps. The scale of scores is known by the number of layers, as llama.cpp knows it."""
    n_layer, n_embd, n_head = config["num_hidden_layers"], config["hidden_size"], config["num_attention_heads"]
    _check_scale(config, n_embd // n_head if n_layer == 46 else config["head_dim"])
    return {
        "attention.sliding_window": config.need("sliding_window"),
        "attn_logit_softcapping": config.first(("attn_logit_softcapping",), 0.0),
        "final_logit_softcapping": config.first(("final_logit_softcapping",), 0.0),
    }


def gemma3(config: Config, settings: Settings) -> Settings:
    """Windows with a base of their own."""
    config.must("attn_logit_softcapping", (0.0,))
    config.must("use_bidirectional_attention", (False,))
    n_layer, n_embd, n_head = config["num_hidden_layers"], config["hidden_size"], config["num_attention_heads"]
    _check_scale(config, n_embd // n_head if n_layer == 62 else config["head_dim"])
    found: Settings = {
        "attention.sliding_window": config.need("sliding_window"),
        "final_logit_softcapping": config.first(("final_logit_softcapping",), None),
        "rope.freq_base": float(rotation(config).get("rope_theta", 1e6)),
    }
    period = config.first(("sliding_window_pattern", "_sliding_window_pattern"), 6)
    kinds = config.first(("layer_types",))
    if kinds is not None:
        flags = [kind == "sliding_attention" for kind in kinds]
        if flags != [number % 6 != 5 for number in range(len(flags))]:
            found["attention.sliding_window_pattern"] = flags
    elif period != 6:
        found["attention.sliding_window_pattern"] = period
    return found


def _check_scale(config: Config, wanted: int) -> None:
    """Raises Unsupported for a scale that the architecture does not compute with."""
    config.must("query_pre_attn_scalar", (wanted, float(wanted)))


FAMILY: Final = Family(
    {"GemmaForCausalLM": "gemma"},
    ENDS + ATTENTION + FEED_FORWARD + "model.layers.*.post_attention_layernorm blk.*.ffn_norm plus_one",
    only=GELU,
    defaults=HEAD,
    tied=True,
    pre=("default",),
)

GEMMA2: Final = Family(
    {"Gemma2ForCausalLM": "gemma2"},
    ENDS + ATTENTION + FEED_FORWARD + FOUR_NORMS,
    only=GELU,
    defaults=HEAD | {"sliding_window": 4096, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    more=gemma2,
    without_effect="layer_types sliding_window_size use_bidirectional_attention",
    tied=True,
)

GEMMA3: Final = Family(
    {"Gemma3ForCausalLM": "gemma3", "Gemma3ForConditionalGeneration": "gemma3"},
    ENDS
    + ATTENTION
    + FEED_FORWARD
    + FOUR_NORMS
    + """
model.layers.*.self_attn.q_norm                 blk.*.attn_q_norm               plus_one
model.layers.*.self_attn.k_norm                 blk.*.attn_k_norm               plus_one
""",
    only=GELU,
    defaults=HEAD
    | {"num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 131072, "rms_norm_eps": 1e-6}
    | {"rope_local_base_freq": 10000.0, "vocab_size": 262208},
    more=gemma3,
    tied=True,
)
