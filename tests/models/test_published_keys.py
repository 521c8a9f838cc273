"""Metadata that converters write for published models, and golden files do not have."""

import re

import pytest
from golden_models import file_of

from llamachat.engine.gguf import open_gguf
from llamachat.engine.models import ModelSpec, describe
from llamachat.errors import LlamaChatError

SCORINGS = {"deepseek": 1, "qwen3moe": 1, "llama-moe": 1, "gemma4-moe": 1, "llama4": 2, "gpt-oss": 3}


def described(name: str, *without: str, **changes: object) -> ModelSpec:
    """The golden model with other metadata, without the tensors whose names these patterns match."""
    file = open_gguf(file_of(name))
    architecture = file.metadata["general.architecture"]
    metadata = {**dict(file.metadata.items()), **{f"{architecture}.{key}": value for key, value in changes.items()}}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    tensors = {key: one for key, one in file.tensors.items() if not any(re.search(text, key) for text in without)}
    return describe(metadata, tensors)


@pytest.mark.parametrize("name", SCORINGS)
def test_the_scoring_that_a_family_has_may_be_said_and_another_is_refused(name: str) -> None:
    """DeepSeekMoE's configuration has `scoring_func`, which the converter writes for every family."""
    described(name, expert_gating_func=SCORINGS[name])
    for other in {1, 2, 3} - {SCORINGS[name]}:
        with pytest.raises(LlamaChatError, match="expert_gating_func"):
            described(name, expert_gating_func=other)


@pytest.mark.parametrize("name", ["llama", "deepseek", "qwen3moe", "ernie4_5-moe"])
def test_one_group_of_experts_is_none(name: str) -> None:
    described(name, expert_group_count=1, expert_group_used_count=1)
    with pytest.raises(LlamaChatError, match="expert_group_count"):
        described(name, expert_group_count=2)


@pytest.mark.parametrize("name", ["llama-moe", "gemma4-moe", "jamba", "deepseek2", "deepseek2-v3"])
@pytest.mark.parametrize(("scale", "wanted"), [(2.5, 2.5), (0.0, 1.0)])
def test_the_scale_of_weights_counts_in_every_mixture(name: str, scale: float, wanted: float) -> None:
    nodes = described(name, expert_weights_scale=scale).graph().nodes
    scales = {node.routing.scale for node in nodes if hasattr(node, "routing")}
    assert scales == {wanted}


def test_latent_attention_without_shared_experts_and_without_any() -> None:
    """Youtu-LLM is deepseek2 with dense layers alone."""
    described("deepseek2", "_shexp", expert_shared_count=0).graph()
    with pytest.raises(LlamaChatError, match="expert_count"):
        described("deepseek2", "_shexp", expert_count=None, expert_used_count=None, expert_shared_count=0)
    dense: dict[str, object] = {"expert_count": None, "expert_used_count": None, "expert_shared_count": 0}
    described("deepseek2", r"blk\.[1-9]", block_count=1, leading_dense_block_count=1, **dense).graph()
