"""Metadata keys that are known to change a model's results: left unread they make a wrong answer, so they are refused.

The names are those of the GGUF specification and of llama.cpp's key table (`llama-arch.cpp`), without the prefix of
the architecture. What an architecture reads, or knows to be without effect, is not asked here.
"""

from collections.abc import Mapping
from typing import Final

FAMILIES: Final = (
    "altup.",
    "attention.",
    "convnext.",
    "expert_",
    "experts_",
    "kda.",
    "posnet.",
    "rope.",
    "shortconv.",
    "ssm.",
    "swiglu_",
    "time_",
    "wkv.",
)
"""Every key that begins so changes results."""

SINGLE: Final = frozenset(
    {
        "activation_sparsity_scale",
        "attn_logit_softcapping",
        "decoder_block_count",
        "decoder_start_token_id",
        "embedding_length_out",
        "embedding_length_per_layer_input",
        "embedding_scale",
        "final_logit_softcapping",
        "full_attention_interval",
        "hidden_activation",
        "interleave_moe_layer_step",
        "leading_dense_block_count",
        "logit_scale",
        "moe_every_n_layers",
        "moe_latent_size",
        "n_deepstack_layers",
        "nextn_predict_layers",
        "rescale_every_n_layers",
        "residual_scale",
        "router_logit_softcapping",
        "swin_norm",
        "token_shift_count",
        "use_parallel_residual",
    }
)

NEUTRAL: Final[Mapping[str, tuple[object, ...]]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0,),
    "attention.max_alibi_bias": (0,),
    "attention.scale": (0,),
    "attention.shared_kv_layers": (0,),
    "attention.sliding_window": (0,),
    "attn_logit_softcapping": (0,),
    "embedding_scale": (0, 1),
    "expert_count": (0,),
    "expert_group_count": (0, 1),
    "expert_group_used_count": (0, 1),
    "expert_shared_count": (0,),
    "expert_used_count": (0,),
    "final_logit_softcapping": (0,),
    "full_attention_interval": (0,),
    "leading_dense_block_count": (0,),
    "logit_scale": (0, 1),
    "moe_every_n_layers": (0,),
    "n_deepstack_layers": (0,),
    "nextn_predict_layers": (0,),
    "residual_scale": (0, 1),
    "rope.scale_linear": (1,),
    "rope.scaling.attn_factor": (1,),
    "rope.scaling.yarn_log_multiplier": (0,),
    "router_logit_softcapping": (0,),
    "use_parallel_residual": (False,),
}
"""Values with which such a key changes nothing."""


def changes_results(name: str) -> bool:
    """Whether a metadata key (without the architecture's prefix) is one of those that change a model's results."""
    return name in SINGLE or name.startswith(FAMILIES)


def is_neutral(name: str, value: object) -> bool:
    """Whether a key that changes results does not with this value."""
    return isinstance(value, int | float) and value in NEUTRAL.get(name, ())
