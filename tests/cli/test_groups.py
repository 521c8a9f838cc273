"""Groups of options become options of their own."""

import inspect
from dataclasses import dataclass, field
from typing import Annotated

from typer import Option

from llamachat.cli.groups import flattened
from llamachat.engine.sampling.options import SamplingOptions


@dataclass(frozen=True)
class Size:
    width: Annotated[int, Option("--width")] = 3
    height: Annotated[int, Option("--height")] = 4
    unit: str = "cm"


@dataclass(frozen=True, kw_only=True)
class Declared:
    top_k: int = field(default=40, metadata={"help": "keep the best"})
    samplers: tuple[str, ...] = field(default=("a", "b"), metadata={"help": "in order", "single": True})
    texts: tuple[str, ...] = field(default=(), metadata={"help": "what ends it", "metavar": "TEXT"})
    hidden: bool = False
    given: frozenset[str] = frozenset()


def test_the_fields_of_a_group_are_parameters_and_come_back_as_the_group():
    command = flattened(area)
    assert list(inspect.signature(command).parameters) == ["width", "height", "verbose"]
    assert command(width=1, height=2, verbose=True) == (Size(1, 2), True)


def area(size: Size, verbose: bool = False) -> tuple[Size, bool]:
    return size, verbose


def sample(sampling: Declared) -> Declared:
    return sampling


def test_a_field_with_an_explanation_is_an_option_with_its_name():
    top_k, samplers, texts = inspect.signature(flattened(sample)).parameters.values()
    assert [p.annotation.__metadata__[0].default for p in (top_k, samplers, texts)] == [
        "--top-k",
        "--samplers",
        "--texts",
    ]
    assert top_k.annotation.__metadata__[0].help == "Keep the best. [default: 40]"
    assert samplers.annotation.__metadata__[0].help == "In order. [default: a;b]"
    assert texts.annotation.__metadata__[0].help == "What ends it. May be given several times."


def test_llama_cpp_s_other_names_of_an_option_are_known():
    parameters = inspect.signature(flattened(settings)).parameters
    named = {name: p.annotation.__metadata__[0] for name, p in parameters.items()}
    spellings = {name: [option.default, *option.param_decls] for name, option in named.items()}
    assert spellings["temp"] == ["--temp", "--temperature"]
    assert spellings["top_nsigma"] == ["--top-nsigma", "--top-n-sigma"]
    assert spellings["typical"] == ["--typical", "--typical-p"]
    assert spellings["sampling_seq"] == ["--sampling-seq", "--sampler-seq"]
    assert spellings["logit_bias"] == ["--logit-bias", "-l"]
    assert spellings["seed"] == ["--seed", "-s"]


def settings(sampling: SamplingOptions) -> SamplingOptions:
    return sampling


def test_a_group_learns_which_options_were_given():
    found = flattened(sample)(top_k=40, samplers=None, texts=None)
    assert found == Declared(given=frozenset({"top_k"}))
    assert flattened(sample)(top_k=None, samplers="c", texts=["x"]).given == {"samplers", "texts"}
