"""describe(): what a model file says is read, checked, and refused by name where it is not understood."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamachat.engine import models
from llamachat.engine.graph import Linear
from llamachat.engine.models import Architecture, architectures, describe
from llamachat.engine.models.spec import ModelSpec
from llamachat.errors import LlamaChatError, ModelFileError, ShapeError, Unsupported


@dataclass(frozen=True)
class Shape:
    shape: tuple[int, ...]


def test_a_llama_file_gives_its_counts(tiny_llama: Any) -> None:
    p = describe(tiny_llama.metadata, tiny_llama.tensors).params
    assert (p.n_vocab, p.n_embd, p.n_layer, p.n_ff) == (80, 64, 2, 48)
    assert (p.n_head, p.n_head_kv, p.head_dim, p.context_length) == (4, 2, 16, 256)


def test_the_last_node_of_the_graph_is_the_logits_of_a_tied_table(tiny_llama: Any) -> None:
    last = describe(tiny_llama.metadata, tiny_llama.tensors).graph().nodes[-1]
    assert isinstance(last, Linear)
    assert (last.width, last.weight.name) == (80, "token_embd.weight")


def test_a_file_with_an_output_tensor_uses_it(tiny_llama: Any) -> None:
    tiny_llama.tensors["output.weight"] = Shape((80, 64))
    last = describe(tiny_llama.metadata, tiny_llama.tensors).graph().nodes[-1]
    assert isinstance(last, Linear)
    assert last.weight.name == "output.weight"


def test_a_synonym_is_read_with_its_own_prefix(tiny_llama: Any) -> None:
    metadata = {key.replace("llama.", "mistral."): value for key, value in tiny_llama.metadata.items()}
    spec = describe({**metadata, "general.architecture": "mistral"}, tiny_llama.tensors)
    assert (spec.architecture, spec.params.n_embd) == ("mistral", 64)


def test_an_array_that_says_the_same_for_every_layer_is_read(tiny_llama: Any) -> None:
    tiny_llama.metadata["llama.attention.head_count_kv"] = np.array([2, 2], np.int32)
    assert describe(tiny_llama.metadata, tiny_llama.tensors).params.n_head_kv == 2


def test_keys_that_nobody_knows_are_listed_sorted(tiny_llama: Any) -> None:
    tiny_llama.metadata |= {"llama.zebra": 1, "llama.antelope": "x", "other.thing": 2}
    assert describe(tiny_llama.metadata, tiny_llama.tensors).unknown_keys == ("llama.antelope", "llama.zebra")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("attention.value_length", 16, id="read"),
        pytest.param("tensor_data_layout", "Meta AI original pth", id="known to be without effect"),
        pytest.param("rope.scaling.finetuned", True, id="without effect though its family has one"),
        pytest.param("expert_used_count", 0, id="no experts"),
        pytest.param("final_logit_softcapping", 0.0, id="a neutral value"),
        pytest.param("attention.causal", True, id="what the forward pass does anyway"),
    ],
)
def test_keys_of_real_files_pass_without_a_warning(tiny_llama: Any, name: str, value: object) -> None:
    tiny_llama.metadata[f"llama.{name}"] = value
    assert describe(tiny_llama.metadata, tiny_llama.tensors).unknown_keys == ()


@pytest.mark.parametrize("kind", [["model"], [1, 2], 3], ids=["texts", "numbers", "a number"])
def test_a_type_of_file_that_is_no_text_is_refused(tiny_llama: Any, kind: object) -> None:
    tiny_llama.metadata["general.type"] = np.array(kind) if isinstance(kind, list) else kind
    with pytest.raises(ModelFileError, match=r"general\.type: is .*, must be a text"):
        describe(tiny_llama.metadata, tiny_llama.tensors)


REFUSED_METADATA = [
    pytest.param({"general.architecture": "bert9"}, Unsupported, r"'bert9'.*supported", id="unknown architecture"),
    pytest.param({"general.architecture": 7}, ModelFileError, "general.architecture", id="architecture is a number"),
    pytest.param({"general.architecture": "params"}, Unsupported, "'params'", id="a module that is no architecture"),
    pytest.param({"general.architecture": "../llama"}, Unsupported, "is not supported", id="architecture is a path"),
    pytest.param({"general.type": "adapter"}, Unsupported, "general.type.*adapter", id="a LoRA adapter"),
    pytest.param({"llama.embedding_length": None}, ModelFileError, "embedding_length.*missing", id="missing key"),
    pytest.param({"llama.context_length": None}, ModelFileError, "context_length.*missing", id="missing context"),
    pytest.param({"llama.embedding_length": "64"}, ModelFileError, "'64'.*whole number", id="a text for a number"),
    pytest.param({"llama.embedding_length": 64.0}, ModelFileError, "whole number", id="a float for a count"),
    pytest.param({"llama.embedding_length": True}, ModelFileError, "whole number", id="a truth value for a count"),
    pytest.param({"llama.block_count": 0}, ModelFileError, "block_count.*is 0", id="no layers"),
    pytest.param({"llama.block_count": -2}, ModelFileError, "block_count.*is -2", id="negative layers"),
    pytest.param({"llama.block_count": 2**31 - 1}, ModelFileError, "2147483647 layers.*20 tensors", id="huge layers"),
    pytest.param({"llama.block_count": 2**32 - 1}, ModelFileError, "block_count", id="4 billion layers"),
    pytest.param({"llama.embedding_length": 2**31 - 64}, ModelFileError, "at most 1024", id="huge width"),
    pytest.param({"llama.embedding_length": 128}, ShapeError, "token_embd", id="wrong width"),
    pytest.param({"llama.block_count": 1}, Unsupported, "blk.1", id="more layers in the file than it says"),
    pytest.param({"llama.block_count": 3}, ModelFileError, "blk.2.attn_norm.*missing", id="fewer layers than it says"),
    pytest.param({"llama.vocab_size": 81}, ShapeError, r"token_embd.*\[80, 64\].*\[81, 64\]", id="wrong vocabulary"),
    pytest.param({"llama.attention.head_count": 7}, ModelFileError, "64 cannot be divided", id="heads do not divide"),
    pytest.param({"llama.attention.head_count_kv": 3}, ModelFileError, "cannot share 3", id="heads do not share"),
    pytest.param({"llama.attention.head_count_kv": [2, 1]}, Unsupported, "differs between", id="heads per layer"),
    pytest.param({"llama.attention.head_count_kv": []}, Unsupported, "differs between", id="empty array"),
    pytest.param({"llama.feed_forward_length": [[48]]}, Unsupported, "differs between", id="array of arrays"),
    pytest.param({"llama.attention.value_length": 8}, ShapeError, "attn_v", id="values of another size than they are"),
    pytest.param({"llama.attention.value_length": 2000}, ModelFileError, "heads of 2000", id="values too large"),
    pytest.param({"llama.rope.dimension_count": 15}, ModelFileError, "must be even", id="odd rope"),
    pytest.param({"llama.rope.dimension_count": 18}, ModelFileError, "only 16", id="rope larger than a head"),
    pytest.param({"llama.rope.freq_base": 0.0}, ModelFileError, "freq_base", id="rope base 0"),
    pytest.param({"llama.rope.freq_base": float("nan")}, ModelFileError, "freq_base.*nan", id="rope base NaN"),
    pytest.param({"llama.rope.scaling.factor": 0.0}, ModelFileError, "scaling.factor", id="rope factor 0"),
    pytest.param({"llama.rope.scaling.factor": float("inf")}, ModelFileError, "scaling.factor", id="rope factor inf"),
    pytest.param({"llama.rope.scaling.type": "other"}, Unsupported, "'other'.*yarn", id="unknown scaling"),
    pytest.param({"llama.rope.scaling.type": 3}, ModelFileError, "must be a text", id="scaling type is a number"),
    pytest.param(
        {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.original_context_length": 0},
        ModelFileError,
        "original_context",
        id="yarn of nothing",
    ),
    pytest.param({"llama.rope.scaling.yarn_log_multiplier": 0.1}, Unsupported, "yarn_log", id="yarn multiplier"),
    pytest.param({"llama.rope.future": 1}, Unsupported, "rope.future", id="an unknown key of a family"),
    pytest.param({"llama.attention.causal": 3}, ModelFileError, "attention.causal.*true or false", id="no truth value"),
    pytest.param({"llama.attention.sliding_window": 4096}, Unsupported, "sliding_window", id="a window"),
    pytest.param({"llama.logit_scale": 0.5}, Unsupported, "logit_scale", id="a logit scale"),
    pytest.param({"llama.ssm.state_size": [1]}, Unsupported, "ssm.state_size", id="an array nobody reads"),
    pytest.param({"llama.expert_count": 8, "llama.expert_used_count": 2}, ModelFileError, "ffn_gate_inp", id="experts"),
    pytest.param({"llama.expert_count": 8}, ModelFileError, "expert_used_count.*is 0", id="no experts used"),
    pytest.param(
        {"llama.expert_count": 8, "llama.expert_used_count": 9}, ModelFileError, "only 8 experts", id="too many used"
    ),
    pytest.param({"llama.expert_count": 10**6}, ModelFileError, "expert_count.*1024", id="too many experts"),
    pytest.param({"llama.attention.layer_norm_rms_epsilon": -1e-5}, ModelFileError, "epsilon", id="negative epsilon"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), REFUSED_METADATA)
def test_metadata_that_make_no_sense_are_refused_by_name(
    tiny_llama: Any, change: dict[str, object], error: type[ModelFileError], sentence: str
) -> None:
    metadata = {key: value for key, value in (tiny_llama.metadata | change).items() if value is not None}
    with pytest.raises(error, match=sentence) as raised:
        describe(metadata, tiny_llama.tensors)
    assert "\n" not in str(raised.value)


REFUSED_TENSORS = [
    pytest.param({"blk.0.attn_sinks.weight": (4,)}, Unsupported, "attn_sinks.*not known", id="undeclared"),
    pytest.param({"evil\x1b[31m\n": (4,)}, Unsupported, r"'evil\\x1b\[31m\\n'", id="undeclared with control bytes"),
    pytest.param({"blk.2.attn_q.weight": (64, 64)}, Unsupported, "blk.2", id="a layer too many"),
    pytest.param({"blk.1.ffn_up.weight": None}, ModelFileError, "blk.1.ffn_up.weight.*missing", id="missing"),
    pytest.param({"token_embd.weight": None}, ModelFileError, "token_embd.weight.*no such", id="no embedding"),
    pytest.param({"token_embd.weight": ()}, ModelFileError, "token_embd.weight", id="embedding without dimensions"),
    pytest.param({"token_embd.weight": (0, 64)}, ModelFileError, "vocab_size.*is 0", id="no words"),
    pytest.param({"blk.1.ffn_up.weight": (64, 48)}, ShapeError, r"ffn_up.*\[64, 48\].*\[48, 64\]", id="transposed"),
    pytest.param({"output_norm.weight": (64, 1)}, ShapeError, "output_norm", id="one dimension too many"),
    pytest.param({"rope_freqs.weight": (16,)}, ShapeError, r"rope_freqs.*\[16\].*\[8\]", id="too many rope factors"),
    pytest.param({"blk.0.attn_q.bias": (32,)}, ShapeError, "attn_q.bias", id="a bias of another width"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), REFUSED_TENSORS)
def test_tensors_that_are_not_as_declared_are_refused_by_name(
    tiny_llama: Any, change: dict[str, tuple[int, ...] | None], error: type[ModelFileError], sentence: str
) -> None:
    changed = tiny_llama.tensors | {name: shape if shape is None else Shape(shape) for name, shape in change.items()}
    with pytest.raises(error, match=sentence):
        describe(tiny_llama.metadata, {name: shape for name, shape in changed.items() if shape is not None})


def test_the_message_names_the_file(tiny_llama: Any) -> None:
    tiny_llama.metadata["llama.logit_scale"] = 8
    with pytest.raises(Unsupported, match=r"^my\.gguf: llama\.logit_scale: ") as raised:
        describe(tiny_llama.metadata, tiny_llama.tensors, path="my.gguf")
    assert raised.value.path == "my.gguf"


def test_every_architecture_is_complete() -> None:
    found = architectures()
    assert {"gemma3", "llama"} <= found.keys()
    for module in models.modules():
        family = models.importlib.import_module(f"llamachat.engine.models.families.{module}").ARCHITECTURE
        assert isinstance(family, Architecture)
        assert all(family.without_effect.values()), f"{module} owes a reason"
        assert all(models.module_of(name) == module and text for name, text in family.models.items())
    assert {models.module_of(name) for name in found} == set(models.modules())


KEYS = ["block_count", "embedding_length", "attention.head_count", "attention.head_count_kv", "rope.scaling.type"]
MORE_KEYS = ["attention.key_length", "rope.dimension_count", "attention.sliding_window_pattern", "vocab_size", "odd"]
VALUES = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-2, 70),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.sampled_from(["yarn", "linear", "none"]),
    st.lists(st.integers(0, 3), max_size=4),
    st.lists(st.text(max_size=3), max_size=3),
    st.lists(st.integers(-9, 9), max_size=3).map(lambda values: np.array(values, np.int32)),
    st.lists(st.floats(width=32), max_size=3).map(lambda values: np.array(values, np.float32)),
)


def describe_and_build(describing: Callable[[], ModelSpec]) -> None:
    with contextlib.suppress(LlamaChatError):
        describing().graph()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_metadata_are_read_or_refused_but_never_crash(tiny_llama: Any, tiny_gemma3: Any, data: Any) -> None:
    model = data.draw(st.sampled_from([tiny_llama, tiny_gemma3])).copy()
    prefix = model.metadata["general.architecture"]
    keys = st.sampled_from([f"{prefix}.{key}" for key in (*KEYS, *MORE_KEYS)] + list(model.metadata))
    model.metadata |= data.draw(st.dictionaries(keys, VALUES, max_size=4))
    for key in data.draw(st.lists(st.sampled_from(sorted(model.metadata)), max_size=1)):
        del model.metadata[key]
    describe_and_build(lambda: describe(model.metadata, model.tensors))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_tensors_are_read_or_refused_but_never_crash(tiny_llama: Any, data: Any) -> None:
    names = st.one_of(st.sampled_from(sorted(tiny_llama.tensors)), st.text(max_size=12))
    shapes = st.lists(st.integers(0, 2**40), max_size=4).map(lambda dims: Shape(tuple(dims)))
    tensors = tiny_llama.tensors | data.draw(st.dictionaries(names, shapes, max_size=3))
    for name in data.draw(st.lists(st.sampled_from(sorted(tensors)), max_size=2, unique=True)):
        del tensors[name]
    describe_and_build(lambda: describe(tiny_llama.metadata, tensors))


@pytest.mark.parametrize("more", [1, 2])
def test_dimensions_of_one_behind_a_tensor_s_own_change_nothing(tiny_llama: Any, more: int) -> None:
    plain = describe(tiny_llama.metadata, tiny_llama.tensors)
    for name, tensor in tiny_llama.tensors.items():
        tiny_llama.tensors[name] = type(tensor)((1,) * more + tensor.shape)
    found = describe(tiny_llama.metadata, tiny_llama.tensors)
    assert found.tensors == plain.tensors
    assert found.params == plain.params


@pytest.mark.parametrize("shape", [(2, 64, 64), (64, 1, 64), (64, 64, 1)])
def test_other_dimensions_are_refused(tiny_llama: Any, shape: tuple[int, ...]) -> None:
    name = "blk.0.attn_q.weight"
    tiny_llama.tensors[name] = type(tiny_llama.tensors[name])(shape)
    with pytest.raises(ShapeError, match="must be"):
        describe(tiny_llama.metadata, tiny_llama.tensors)
