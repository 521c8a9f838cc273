"""Headers of models in which mixes tell tensors apart: heads that share keys, experts, joined matrices, many layers."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Model:
    """Sizes of a model; the width is 256. fused: one matrix of queries, keys and values. tied: no output matrix."""

    architecture: str
    n_layers: int
    n_key_heads: int = 8
    n_experts: int = 0
    fused: bool = False
    tied: bool = False

    @property
    def title(self) -> str:
        """What it is called."""
        said = [f"{self.architecture} of {self.n_layers} layers", f"{8 // self.n_key_heads} heads a key"]
        said += [f"{self.n_experts} experts"] * (self.n_experts > 0) + ["tied"] * self.tied
        return ", ".join(said)

    def metadata(self) -> dict[str, object]:
        """Its hyperparameters."""
        values: dict[str, object] = {"block_count": self.n_layers, "context_length": 512, "embedding_length": 256}
        values |= {"feed_forward_length": 512, "rope.dimension_count": 32, "attention.head_count": 8}
        values |= {"attention.layer_norm_rms_epsilon": 1e-5, "attention.layer_norm_epsilon": 1e-5}
        values |= {"attention.head_count_kv": self.n_key_heads, "attention.sliding_window": 0}
        if self.n_experts:
            values |= {"expert_count": self.n_experts, "expert_used_count": 2, "expert_feed_forward_length": 256}
        if self.architecture == "deepseek2":
            values |= {"leading_dense_block_count": 1, "attention.kv_lora_rank": 256, "expert_shared_count": 1}
        name = self.architecture
        return {"general.architecture": name, **{f"{name}.{key}": value for key, value in values.items()}}

    def shapes(self) -> Shapes:
        """Its tensors, rows first."""
        found: Shapes = {"token_embd.weight": (64, 256), "output_norm.weight": (256,)}
        found |= {} if self.tied else {"output.weight": (64, 256)}
        for i in range(self.n_layers):
            found |= {f"blk.{i}.{name}": shape for name, shape in self._block(i)}
        return found

    def _block(self, i: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        names = ("attn_qkv",) if self.fused else ("attn_q", "attn_k", "attn_v")
        if self.architecture == "deepseek2":
            names = ("attn_q", "attn_kv_a_mqa", "attn_kv_b", "attn_k_b", "attn_v_b")
        for name in (*names, "attn_output"):
            yield f"{name}.weight", (16, 256)
        yield "attn_norm.weight", (256,)
        stack: tuple[int, ...] = (self.n_experts,) if self.n_experts else ()
        if stack:
            yield "ffn_gate_inp.weight", (self.n_experts, 256)
            yield "ffn_down_shexp.weight", (16, 256)
        for name in ("ffn_up", "ffn_gate", "ffn_down"):
            n_columns = 320 if name == "ffn_down" and i % 5 == 0 else 256
            yield f"{name}{'_exps' if stack else ''}.weight", (*stack, 16, n_columns)


MODELS = (
    Model("llama", 32),
    Model("llama", 32, 2, tied=True),
    Model("llama", 40, 1),
    Model("llama", 80, 1),
    Model("llama", 80),
    Model("qwen2", 80),
    Model("llama", 32, 2, n_experts=8),
    Model("qwen2moe", 24, 2, n_experts=4),
    Model("qwen3moe", 17, n_experts=8, tied=True),
    Model("falcon", 33, 1, fused=True),
    Model("phi3", 36, fused=True),
    Model("llama", 7),
    Model("llama", 80, 1, n_experts=8),
    Model("falcon", 33, 1, n_experts=8, fused=True),
    Model("deepseek2", 27, 4, n_experts=60),
)


def digest(types: Mapping[str, str]) -> str:
    """What stands for the types of all tensors."""
    lines = "".join(f"{name} {kind}\n" for name, kind in sorted(types.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]
