"""What is said of files of the families with special attention that make no sense, and what some settings mean."""

from collections.abc import Mapping
from typing import Any

import pytest
from golden_models import file_of

from llamachat.engine.gguf import open_gguf
from llamachat.engine.graph import Attention, Graph, Rope, Temperature
from llamachat.engine.graph.node import states
from llamachat.engine.models import describe
from llamachat.errors import ModelFileError


def graph_of(name: str, changes: Mapping[str, object] = {}, without: str = "") -> Graph:
    file = open_gguf(file_of(name))
    metadata = dict(file.metadata.items())
    prefix = metadata["general.architecture"]
    metadata |= {f"{prefix}.{key}": value for key, value in changes.items()}
    return describe(metadata, {key: one for key, one in file.tensors.items() if key != without}).graph()


def attentions(name: str, **changes: Any) -> list[Attention]:
    return [node for node in graph_of(name, **changes).nodes if isinstance(node, Attention)]


@pytest.mark.parametrize(
    ("name", "changes", "without", "words"),
    [
        pytest.param("gemma4", {}, "blk.0.attn_k.weight", r"blk\.0\.attn_k\.weight: .*missing", id="no keys"),
        pytest.param("gemma4", {}, "blk.1.attn_k_norm.weight", r"blk\.1\.attn_k\.weight: .*missing", id="no norm"),
        pytest.param("gemma4", {"attention.shared_kv_layers": 6}, "", "finds no layer of its kind", id="all shared"),
        pytest.param("gemma4", {"attention.shared_kv_layers": 4}, "", "layer 2 finds no layer", id="of another kind"),
        pytest.param("gemma4", {"attention.value_length": 16}, "", "equally wide", id="values of another width"),
        pytest.param("gemma4", {"rope.dimension_count_swa": 18}, "", "must be even and at most 16", id="turning more"),
        pytest.param("gemma4", {"attention.head_count_kv": 3}, "", "cannot share keys evenly", id="three of four"),
        pytest.param("gemma4", {"attention.sliding_window_pattern": 2}, "", "true or false", id="a number"),
        pytest.param("gemma4-moe", {}, "blk.0.ffn_gate_up_exps.weight", "ffn_gate_up_exps.weight: .*missing", id="moe"),
        pytest.param(
            "mistral3",
            {"rope.scaling.type": "linear", "rope.scaling.original_context_length": 0},
            "",
            "original_context_length: is 0",
            id="a temperature from nowhere",
        ),
        pytest.param("gemma2", {"attn_logit_softcapping": -1.0}, "", "must be a number from 0", id="a negative cap"),
        pytest.param("mpt", {"attention.max_alibi_bias": 1e6}, "", "must be a number from 0 to 1000", id="steep"),
        pytest.param("cohere2", {}, "blk.3.ffn_gate.weight", r"blk\.3\.ffn_gate\.weight", id="no gate"),
    ],
)
def test_files_that_make_no_sense_are_refused_by_name(
    name: str, changes: dict[str, object], without: str, words: str
) -> None:
    with pytest.raises(ModelFileError, match=words):
        graph_of(name, changes, without)


def test_the_last_layers_of_gemma4_read_what_the_last_of_their_kind_keeps() -> None:
    found = attentions("gemma4")
    assert [(node.layer, node.stores) for node in found] == [(i, True) for i in range(3)] + [
        (1, False),
        (1, False),
        (2, False),
    ]
    assert [state.layer for state in states(graph_of("gemma4").nodes)] == [0, 1, 2]
    assert [node.head_dim for node in found] == [16, 16, 24, 16, 16, 24]
    assert [node.window for node in found] == [16, 16, 0, 16, 16, 0]


def test_only_the_largest_exaone4_has_windows_and_layers_that_do_not_turn() -> None:
    assert {(node.window, node.rotation is None) for node in attentions("exaone4")} == {(0, False)}
    found = [(node.window, node.rotation is None) for node in attentions("exaone4-32b")]
    assert found == [*[(16, False)] * 3, (0, True)] * 16


def test_a_base_of_its_own_turns_layers_with_a_window() -> None:
    for name in ("gemma2", "cohere2", "exaone4-32b"):
        nodes = attentions(name, changes={"rope.freq_base_swa": 777.0})
        turning = {node.rotation.base for node in nodes if node.window and node.rotation is not None}
        assert turning == {777.0}


def test_without_a_bias_mpt_has_no_slopes_and_without_a_scale_mistral3_no_temperature() -> None:
    assert {node.slopes for node in attentions("mpt", changes={"attention.max_alibi_bias": 0.0})} == {()}
    nodes = graph_of("mistral3", {"attention.temperature_scale": 0.0}).nodes
    assert not any(isinstance(node, Temperature) for node in nodes)


def test_long_factors_count_from_the_trained_context_where_a_file_says_no_other() -> None:
    file = open_gguf(file_of("phi3-longrope"))
    metadata = dict(file.metadata.items())
    del metadata["phi3.rope.scaling.original_context_length"]
    specs = {node.spec for node in describe(metadata, file.tensors).graph().nodes if isinstance(node, Rope)}
    assert {spec.long_above for spec in specs} == {2048}
    (spec,) = specs
    assert spec.in_context(2048).factors == spec.factors
    assert spec.in_context(2049).factors == spec.long_factors
