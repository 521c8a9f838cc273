"""Groups of options become options of their own."""

import inspect
from dataclasses import dataclass, field
from typing import Annotated

from typer import Option

from llamachat.cli.groups import flattened


@dataclass(frozen=True)
class Size:
    width: Annotated[int, Option("--width")] = 3
    height: Annotated[int, Option("--height")] = 4
    unit: str = "cm"


@dataclass(frozen=True, kw_only=True)
class Declared:
    top_k: int = field(default=40, metadata={"help": "keep the best"})
    hidden: bool = False


def test_the_fields_of_a_group_are_parameters_and_come_back_as_the_group():
    command = flattened(area)
    assert list(inspect.signature(command).parameters) == ["width", "height", "verbose"]
    assert command(width=1, height=2, verbose=True) == (Size(1, 2), True)


def area(size: Size, verbose: bool = False) -> tuple[Size, bool]:
    return size, verbose


def sample(sampling: Declared) -> Declared:
    return sampling


def test_a_field_with_an_explanation_is_an_option_with_its_name():
    [parameter] = inspect.signature(flattened(sample)).parameters.values()
    [option] = parameter.annotation.__metadata__
    assert option.default == "--top-k"
    assert option.help == "Keep the best."
    assert flattened(sample)(top_k=7) == Declared(top_k=7)
