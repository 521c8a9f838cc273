"""Phi 3, 3.5 and 4: fused projections stay fused; long contexts have factors of their own."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.families.llama import ENDS, NORMS, heads
from llamachat.prepare.convert.family import SILU, Family, Settings
from llamachat.prepare.convert.rotation import long_attention_factor, long_factors, rotation
from llamachat.prepare.convert.source import Floats

TENSORS: Final = """
model.layers.*.self_attn.qkv_proj           blk.*.attn_qkv
model.layers.*.self_attn.o_proj             blk.*.attn_output
model.layers.*.mlp.gate_up_proj             blk.*.ffn_up
model.layers.*.mlp.down_proj                blk.*.ffn_down
"""


def phi3(config: Config, settings: Settings) -> Settings:
    """The context that was trained first, and what attention is multiplied by beyond it."""
    found: Settings = heads(config, settings) | {"attention.sliding_window": config.first(("sliding_window",), 0)}
    trained = config.first(("original_max_position_embeddings",))
    if trained is not None:
        found["rope.scaling.original_context_length"] = int(trained)
    parameters = rotation(config)
    if parameters["rope_type"] == "longrope":
        trained = int(parameters.get("original_max_position_embeddings", trained or 4096))
        factor = long_attention_factor(parameters, config.need("max_position_embeddings"), trained)
        found |= {"rope.scaling.original_context_length": trained, "rope.scaling.attn_factor": factor}
    return found


def factors(config: Config, settings: Settings) -> dict[str, Floats]:
    """Those of LongRoPE: float32 [n_rot / 2] each."""
    parameters, n_rot = rotation(config), settings["rope.dimension_count"]
    assert isinstance(n_rot, int)
    return long_factors(config, parameters, n_rot) if parameters["rope_type"] == "longrope" else {}


FAMILY: Final = Family(
    {"Phi3ForCausalLM": "phi3"},
    ENDS + NORMS + TENSORS,
    only=SILU,
    more=phi3,
    made=factors,
    pre=("gpt-4o", "dbrx", "default"),
)
