"""The language of tensor tables."""

from dataclasses import dataclass
from typing import Any

import pytest

from llamachat.engine.graph import Layer, Tensor
from llamachat.engine.models.params import PerLayer
from llamachat.engine.models.tensors import Declared, check_tensors, declared_tensors, weights
from llamachat.errors import ModelFileError


@dataclass(frozen=True)
class Counts:
    n_layer: int = 3
    n_dense: int = 1
    n_head: int = 4
    head_dim: int = 6
    n_expert: int = 0


def declared(table: str, **counts: int) -> dict[str, Declared]:
    params: Any = Counts(**counts)
    return declared_tensors(table, params)


@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        pytest.param("n_head", 4, id="a word"),
        pytest.param("12", 12, id="a number"),
        pytest.param("n_head*head_dim", 24, id="a product"),
        pytest.param("head_dim/2", 3, id="a quotient"),
        pytest.param("head_dim/2+2*head_dim+1", 16, id="a sum"),
        pytest.param("n_head*head_dim/2*3", 36, id="from left to right"),
    ],
)
def test_a_dimension_is_a_product_of_words_and_numbers(dimension: str, value: int) -> None:
    assert declared(f"a.weight {dimension} n_head") == {"a.weight": Declared((value, 4), False)}


def test_a_star_stands_for_every_layer_and_a_question_mark_for_optional() -> None:
    assert declared("blk.*.a.bias?  n_head  # why", n_layer=2) == {
        "blk.0.a.bias": Declared((4,), True),
        "blk.1.a.bias": Declared((4,), True),
    }


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        pytest.param("layer >= n_dense", ["blk.1.a", "blk.2.a"], id="some layers"),
        pytest.param("layer < n_dense", ["blk.0.a"], id="the other layers"),
        pytest.param("n_expert == 0", ["blk.0.a", "blk.1.a", "blk.2.a"], id="all of a model"),
        pytest.param("n_expert > 0", [], id="none of a model"),
        pytest.param("layer != 1", ["blk.0.a", "blk.2.a"], id="all but one"),
        pytest.param("layer <= 1", ["blk.0.a", "blk.1.a"], id="the first ones"),
    ],
)
def test_a_condition_holds_layer_by_layer_until_it_is_ended(condition: str, names: list[str]) -> None:
    assert list(declared(f"[{condition}]\nblk.*.a 1\n[]\nb 1")) == [*names, "b"]


def test_a_huge_number_of_layers_is_refused_before_the_table_is_built() -> None:
    params: Any = Counts(n_layer=2**40)
    with pytest.raises(ModelFileError, match="has only 0 tensors"):
        check_tensors("blk.*.a 1", params, {})


TABLE = """
a.weight 1
a.bias? 1
b.weight? 1
c? 1
blk.*.d.weight 1
blk.*.e 1
"""


def named() -> Any:
    names = ("a.weight", "a.bias", "blk.0.d.weight", "blk.0.e")
    params: Any = Counts(n_layer=1)
    return weights(TABLE, params, {name: Tensor(name, (1,)) for name in names})


def test_a_forward_pass_names_a_weight_and_its_bias_at_once() -> None:
    assert named().a == Layer(Tensor("a.weight", (1,)), Tensor("a.bias", (1,)))
    assert named().blk[0].d == Layer(Tensor("blk.0.d.weight", (1,)))


def test_a_tensor_without_a_leaf_name_is_a_layer_too() -> None:
    assert named().blk[0].e == Layer(Tensor("blk.0.e", (1,)))


def test_an_absent_optional_tensor_is_none() -> None:
    assert (named().b, named().c) == (None, None)


def test_a_name_that_the_table_does_not_have_is_a_programmers_error() -> None:
    with pytest.raises(AttributeError, match="does not declare typo"):
        _ = named().typo


@dataclass(frozen=True)
class Stacked:
    n_layer: int = 2
    n_layer_enc: int = 1
    n_embd: int = 4
    n_ff: PerLayer[int] = PerLayer((6, 8))


STACKS = {"blk": "n_layer", "enc.blk": "n_layer_enc"}
STACKED = """
enc.output_norm.weight  n_embd
blk.*.up.weight         n_ff n_embd
blk.*.probs.bias        n_embd
blk.*.down.bias?        n_embd
enc.blk.*.up.weight     n_embd n_embd
"""


def test_a_word_may_differ_from_layer_to_layer_and_layers_may_stand_in_several_stacks() -> None:
    params: Any = Stacked()
    assert {name: one.shape for name, one in declared_tensors(STACKED, params, STACKS).items()} == {
        "enc.output_norm.weight": (4,),
        "blk.0.up.weight": (6, 4),
        "blk.1.up.weight": (8, 4),
        "blk.0.probs.bias": (4,),
        "blk.1.probs.bias": (4,),
        "blk.0.down.bias": (4,),
        "blk.1.down.bias": (4,),
        "enc.blk.0.up.weight": (4, 4),
    }


def test_stacks_and_biases_without_a_weight_have_names_in_a_forward_pass() -> None:
    params: Any = Stacked()
    shapes = {name: one.shape for name, one in declared_tensors(STACKED, params, STACKS).items()}
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items() if name != "blk.1.down.bias"}
    w = weights(STACKED, params, tensors, STACKS)
    assert w.enc_output_norm == Layer(Tensor("enc.output_norm.weight", (4,)))
    assert w.enc_blk[0].up.weight.name == "enc.blk.0.up.weight"
    assert w.blk[0].probs == Layer(Tensor("blk.0.probs.bias", (4,)))
    assert [b.has("down") for b in w.blk] == [True, False]


def test_the_height_of_every_stack_is_checked_against_the_file() -> None:
    params: Any = Stacked(n_layer_enc=2**40)
    with pytest.raises(ModelFileError, match="layers, but has only 0 tensors"):
        check_tensors(STACKED, params, {}, STACKS)
