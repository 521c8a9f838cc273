"""Mamba 1 and 2, FalconMamba: a scan's steps decay with -exp(A_log)."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.family import Family, Settings
from llamachat.prepare.convert.settings import parse_settings

CONTEXT: Final = 1 << 20
"""Tokens: there is no limit."""

ENDS: Final = """
backbone.embeddings                 token_embd
backbone.embedding                  token_embd
backbone.norm_f                     output_norm
lm_head                             output
backbone.layers.*.norm              blk.*.attn_norm
backbone.layers.*.mixer.in_proj     blk.*.ssm_in
backbone.layers.*.mixer.conv1d      blk.*.ssm_conv1d        squeezed
backbone.layers.*.mixer.out_proj    blk.*.ssm_out
"""

SCAN: Final = """
backbone.layers.*.mixer.A_log       blk.*.ssm_a             minus_exp
backbone.layers.*.mixer.D           blk.*.ssm_d
backbone.layers.*.mixer.x_proj      blk.*.ssm_x
backbone.layers.*.mixer.dt_proj     blk.*.ssm_dt
"""

SCAN_OF_HEADS: Final = """
backbone.layers.*.mixer.A_log       blk.*.ssm_a             minus_exp column
backbone.layers.*.mixer.D           blk.*.ssm_d             column
backbone.layers.*.mixer.dt_bias     blk.*.ssm_dt.bias
backbone.layers.*.mixer.norm        blk.*.ssm_norm          grouped:ssm.group_count
"""

SETTINGS: Final = """
vocab_size?                         vocab_size
block_count                         num_hidden_layers|n_layer
embedding_length                    hidden_size|d_model
ssm.conv_kernel?                    conv_kernel|d_conv
ssm.state_size?                     state_size|d_state
attention.layer_norm_rms_epsilon?   layer_norm_epsilon|rms_norm_eps
"""

NOTHING: Final = "time_step_scale time_step_init_scheme time_step_floor time_step_min time_step_max residual_in_fp32 " \
    "rms_norm fused_add_norm ssm_cfg use_mambapy chunk_size intermediate_size d_inner use_associative_scan"  # fmt: skip


def common(config: Config, n_state: int) -> Settings:
    """What every Mamba has. n_state: where config.json leaves it out."""
    config.must("use_conv_bias", (True,))
    config.must("norm_before_gate", (False, True))
    return {"context_length": CONTEXT, "feed_forward_length": 0, "attention.head_count": 0} | {
        "ssm.conv_kernel": config.first(("conv_kernel", "d_conv"), 4),
        "ssm.state_size": config.first(("state_size", "d_state"), n_state),
        "attention.layer_norm_rms_epsilon": config.first(("layer_norm_epsilon", "rms_norm_eps"), 1e-5),
    }


def mamba(config: Config, settings: Settings) -> Settings:
    """Sizes of the scan; FalconMamba norms its steps."""
    n_embd = int(parse_settings("embedding_length hidden_size|d_model", config)["embedding_length"])  # type: ignore[call-overload]
    inner = config.first(("intermediate_size", "d_inner"), int(config.first(("expand",), 2)) * n_embd)
    rank = config.first(("time_step_rank", "dt_rank"), "auto")
    names = config.first(("architectures",), [])
    return common(config, 16) | {
        "ssm.inner_size": inner,
        "ssm.time_step_rank": -(-n_embd // 16) if rank == "auto" else rank,
        "ssm.dt_b_c_rms": "FalconMambaForCausalLM" in names,
    }


def mamba2(config: Config, settings: Settings) -> Settings:
    """Sizes of the scan and its heads. Raises Unsupported for steps that are cut off."""
    n_embd = int(config.first(("hidden_size", "d_model")))
    inner = int(config.first(("expand",), 2)) * n_embd
    head = int(config.first(("head_dim", "headdim"), 64))
    config.first(("num_heads",))
    limits = config.first(("time_step_limit",))
    if limits is not None and not (float(limits[0]) == 0 and _is_infinite(limits[1])):
        raise config.refuse("time_step_limit", "steps that are cut off are not supported")
    groups = config.first(("n_groups", "ngroups"), 1)
    return common(config, 128) | {
        "ssm.inner_size": inner,
        "ssm.time_step_rank": inner // head,
        "ssm.group_count": groups,
    }


def _is_infinite(value: object) -> bool:
    """Also as newer files write it, in an object."""
    text = value.get("__float__") if isinstance(value, dict) else value
    return str(text).lower() in ("infinity", "inf")


ACTIVATION: Final = {"hidden_act": ("silu",), "use_bias": (False,)}

FAMILY: Final = Family(
    {"MambaForCausalLM": "mamba", "MambaLMHeadModel": "mamba", "FalconMambaForCausalLM": "mamba"},
    ENDS + SCAN,
    SETTINGS,
    only=ACTIVATION,
    more=mamba,
    without_effect=f"{NOTHING} mixer_rms_eps",
    pre=("olmo", "gpt-2"),
    rope=False,
    tied=False,
)

HEADED: Final = ENDS + SCAN_OF_HEADS

MAMBA2: Final = Family(
    {"Mamba2ForCausalLM": "mamba2"},
    ENDS
    + SCAN_OF_HEADS
    + (ENDS + SCAN_OF_HEADS).replace("backbone", "model.backbone").replace("lm_head", "model.lm_head"),
    SETTINGS,
    only=ACTIVATION,
    more=mamba2,
    without_effect=f"{NOTHING} norm_before_gate time_step_rank",
    pre=("olmo", "gpt-2"),
    rope=False,
)
