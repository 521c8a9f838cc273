"""The options: llama.cpp's defaults, ranges checked by name, a seed that can be reported."""

import subprocess
import sys
from dataclasses import fields

import pytest

from llamachat.engine.sampling.chain import STAGES
from llamachat.engine.sampling.options import SAMPLERS, SamplingOptions
from llamachat.errors import UsageError


def test_the_defaults_are_llama_cpps() -> None:
    options = SamplingOptions()
    assert (options.temp, options.top_k, options.top_p, options.min_p) == (0.8, 40, 0.95, 0.05)
    assert (options.repeat_penalty, options.repeat_last_n) == (1.0, 64)
    assert (options.frequency_penalty, options.presence_penalty, options.seed) == (0.0, 0.0, -1)


@pytest.mark.parametrize(
    ("name", "value", "admitted"),
    [
        ("temp", -0.1, "from 0 to 1000"),
        ("temp", float("nan"), "from 0 to 1000"),
        ("temp", "hot", "a number"),
        ("top_k", -2, "-1 or more"),
        ("top_k", 4.0, "a whole number"),
        ("top_p", 1.01, "from 0 to 1"),
        ("min_p", -0.1, "from 0 to 1"),
        ("repeat_penalty", 0, "from 0.01 to 100"),
        ("repeat_last_n", -2, "-1 or more"),
        ("frequency_penalty", float("inf"), "from -100 to 100"),
        ("presence_penalty", True, "a number"),
        ("seed", 2**64, "from -1 to 18446744073709551615"),
    ],
)
def test_a_value_out_of_range_is_refused_with_name_and_range(name: str, value: object, admitted: str) -> None:
    with pytest.raises(UsageError) as caught:
        SamplingOptions(**{name: value})  # type: ignore[arg-type]
    assert str(caught.value) == f"{name} must be {admitted}, not {value!r}"


def test_an_unknown_sampler_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"'topk'.*did you mean top_k"):
        SamplingOptions(samplers=("topk",))


def test_a_sampler_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        SamplingOptions(samplers=("top_k", "top_k"))


def test_every_name_has_its_sampler() -> None:
    assert tuple(STAGES) == SAMPLERS


def test_every_number_explains_itself() -> None:
    numbers = [item for item in fields(SamplingOptions) if item.type in (int, float)]
    assert len(numbers) == 9
    assert all(item.metadata["help"] and str(item.metadata["bounds"]) for item in numbers)


def test_a_random_seed_becomes_a_number_and_a_given_one_stays() -> None:
    assert SamplingOptions(seed=7).seeded().seed == 7
    assert 0 <= SamplingOptions().seeded().seed < 2**32
    assert len({SamplingOptions().seeded().seed for _ in range(4)}) > 1


def test_reading_the_options_does_not_import_numpy() -> None:
    code = "import sys; import llamachat.engine.sampling.options; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
