"""The language of hyperparameters."""

from dataclasses import dataclass

import numpy as np
import pytest

from llamachat.engine.models.params import PerLayer, key, keys_read, quotient_of, read_params, same_as, shown
from llamachat.errors import ModelFileError


@dataclass(frozen=True)
class Example:
    width: int = key("width")
    parts: int = key("parts", 4)
    part: int = key("part", quotient_of("width", "parts"))
    again: int = key("again", same_as("part"))
    ratio: float = key("ratio", 0.5, low=0.25, high=2.0)
    exact: bool = key("exact", False)


def read(**values: object) -> Example:
    return read_params(Example, {f"x.{name}": value for name, value in values.items()}, "x", {})


def test_defaults_are_values_functions_and_earlier_fields() -> None:
    assert read(width=12) == Example(12, 4, 3, 3, 0.5, False)


def test_a_key_in_the_file_wins_over_its_default() -> None:
    assert read(width=12, part=5, again=6, exact=True) == Example(12, 4, 5, 6, 0.5, True)


@pytest.mark.parametrize("value", [pytest.param(1, id="int"), pytest.param(np.float32(1), id="numpy")])
def test_a_float_is_read_from_any_number(value: object) -> None:
    ratio = read(width=4, ratio=value).ratio
    assert (ratio, type(ratio)) == (1.0, float)


def test_an_integer_of_numpy_becomes_pythons() -> None:
    assert type(read(width=[np.uint32(8), np.uint32(8)]).width) is int


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param({"ratio": 0.2}, r"x\.ratio: is 0\.2, must be a number from 0\.25 to 2", id="below"),
        pytest.param({"ratio": 2.5}, "from 0.25 to 2", id="above"),
        pytest.param({"exact": 1}, "true or false", id="a number for a truth value"),
        pytest.param({"parts": 5}, "width 12 cannot be divided into parts 5", id="a rest"),
        pytest.param({"parts": 2**64}, "from 1 to", id="beyond every count"),
        pytest.param({"parts": np.zeros(70_000, np.int32)}, "differs between layers", id="a long array"),
    ],
)
def test_a_value_out_of_its_range_is_refused_with_the_range(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ModelFileError, match=sentence):
        read(**({"width": 12} | values))


def test_keys_read_are_named_without_the_architecture() -> None:
    assert keys_read(Example) == {"width", "parts", "part", "again", "ratio", "exact"}


def test_a_value_is_shown_short_and_without_control_bytes() -> None:
    assert shown("\x1b]52;" + "a" * 100) == repr("\x1b]52;" + "a" * 55 + "...")
    assert shown([1, 2]) == "an array"


@dataclass(frozen=True)
class Layered:
    n_layer: int = key("layers")
    n_ff: PerLayer[int] = key("ff", per_layer=int)
    n_ff_other: PerLayer[int] = key("ff_other", same_as("n_ff"), per_layer=int)


def layered(**values: object) -> Layered:
    return read_params(Layered, {f"x.{name}": value for name, value in values.items()}, "x", {})


def test_a_parameter_of_each_layer_is_read_from_one_value_or_from_one_for_each() -> None:
    assert layered(layers=3, ff=8).n_ff == (8, 8, 8)
    assert layered(layers=2, ff=[8, np.uint32(16)]).n_ff == (8, 16)
    assert layered(layers=2, ff=[8, 16]).n_ff_other == (8, 16)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        pytest.param([8, 8, 8], "has 3 values for 2 layers", id="too many"),
        pytest.param([], "has 0 values for 2 layers", id="none"),
        pytest.param([8, 0], r"x\.ff: is 0, must be a whole number", id="out of range"),
        pytest.param([8, "8"], "must be a whole number", id="a text"),
    ],
)
def test_values_of_layers_are_counted_and_checked(value: object, sentence: str) -> None:
    with pytest.raises(ModelFileError, match=sentence):
        layered(layers=2, ff=value)
