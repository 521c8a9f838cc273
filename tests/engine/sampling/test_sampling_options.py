"""The options: llama.cpp's defaults, ranges checked by name, a seed that can be reported."""

import subprocess
import sys
from dataclasses import fields, replace

import pytest

from llamachat.engine.sampling.chain import STAGES
from llamachat.engine.sampling.file_defaults import KEYS, PREFIX, with_file_defaults
from llamachat.engine.sampling.names import ALIASES, DEFAULT_ORDER, LETTERS, order_of_letters
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import ModelFileError, UsageError


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
        ("typical", 2, "from 0 to 1"),
        ("mirostat", 3, "from 0 to 2"),
        ("dry_allowed_length", 0, "1 or more"),
        ("logprobs", -1, "from 0 to 100"),
        ("seed", 2**64, "from -1 to 18446744073709551615"),
    ],
)
def test_a_value_out_of_range_is_refused_with_name_and_range(name: str, value: object, admitted: str) -> None:
    with pytest.raises(UsageError) as caught:
        SamplingOptions(**{name: value})  # type: ignore[arg-type]
    assert str(caught.value) == f"{name} must be {admitted}, not {value!r}"


def test_an_unknown_sampler_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"'topq'.*did you mean top"):
        SamplingOptions(samplers=("topq",))


def test_a_sampler_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        SamplingOptions(samplers=("top_k", "top_k"))


def test_every_name_has_its_sampler() -> None:
    assert tuple(STAGES) == DEFAULT_ORDER


def test_every_number_explains_itself() -> None:
    numbers = [item for item in fields(SamplingOptions) if item.type in (int, float)]
    assert len(numbers) > 20
    assert all(item.metadata["help"] and str(item.metadata["bounds"]) for item in numbers)


def test_a_random_seed_becomes_a_number_and_a_given_one_stays() -> None:
    assert SamplingOptions(seed=7).seeded().seed == 7
    assert 0 <= SamplingOptions().seeded().seed < 2**32
    assert len({SamplingOptions().seeded().seed for _ in range(4)}) > 1


def test_reading_the_options_does_not_import_numpy() -> None:
    code = "import sys; import llamachat.engine.sampling.options; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "order",
    ["top_k;typ_p;temperature", "top-k;typical;temp", "TOPK; typ-p ;temperature;", ("top_k", "typ_p", "temperature")],
)
def test_samplers_have_the_field_s_many_spellings(order: object) -> None:
    assert SamplingOptions(samplers=order).samplers == ("top_k", "typ_p", "temperature")  # type: ignore[arg-type]


def test_aliases_and_letters_mean_samplers() -> None:
    assert set(ALIASES.values()) | set(LETTERS.values()) <= set(DEFAULT_ORDER)
    assert order_of_letters("kfypmt") == ("top_k", "tfs_z", "typ_p", "top_p", "min_p", "temperature")
    with pytest.raises(UsageError, match="no sampler has the letter 'q'"):
        order_of_letters("kq")


@pytest.mark.parametrize(
    ("given", "pairs"),
    [
        ("15043+1", ((15043, 1.0),)),
        (("7-inf", "9+.5,9-2"), ((7, float("-inf")), (9, 0.5), (9, -2.0))),
        (((3, 2),), ((3, 2.0),)),
        ((), ()),
    ],
)
def test_biases_are_written_as_token_and_number(given: object, pairs: object) -> None:
    assert SamplingOptions(logit_bias=given).logit_bias == pairs  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "15043",
        "+1",
        "a+1",
        "1+inf",
        "1+-2",
        "-1+1",
        "1*2",
        "",
        "1+1e5",
        "9999999999+1",
        "1+9999999999",
        "1+" + "9" * 400,
    ],
)
def test_a_bias_that_is_none_is_refused_as_it_stands(text: str) -> None:
    with pytest.raises(UsageError, match="logit_bias"):
        SamplingOptions(logit_bias=(text,))  # type: ignore[arg-type]


@pytest.mark.parametrize("bias", [(-1, 1.0), (1, float("nan")), (1, float("inf")), (1, -1e10), ("x", 1), 5])
def test_a_pair_that_is_none_is_refused(bias: object) -> None:
    with pytest.raises(UsageError, match="logit_bias"):
        SamplingOptions(logit_bias=(bias,))  # type: ignore[arg-type]


def test_breakers_can_be_replaced_and_left_out() -> None:
    assert SamplingOptions().dry_sequence_breaker == ("\n", ":", '"', "*")
    assert SamplingOptions(dry_sequence_breaker=("none",)).dry_sequence_breaker == ()
    assert SamplingOptions(dry_sequence_breaker=("none", "x")).dry_sequence_breaker == ("x",)
    with pytest.raises(UsageError, match="1 to 40 characters"):
        SamplingOptions(dry_sequence_breaker=("x" * 41,))


def test_breakers_may_be_spelled_with_escapes_and_survive_a_copy() -> None:
    options = SamplingOptions(dry_sequence_breaker=(r"\n", r"a\tb", r"\x"))
    assert options.dry_sequence_breaker == ("\n", "a\tb", r"\x")
    assert replace(options, top_k=1).dry_sequence_breaker == options.dry_sequence_breaker


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("top-k;temp", ("top_k", "temperature")),
        ("kt", ("top_k", "temperature")),
        ("xtc", ("xtc",)),
        ("top_k", ("top_k",)),
        ("temperature", ("temperature",)),
    ],
)
def test_a_file_names_samplers_by_name_or_by_letter(text: str, order: tuple[str, ...]) -> None:
    assert with_file_defaults(SamplingOptions(), {PREFIX + "sequence": text})[0].samplers == order


def test_letters_on_the_command_line_win_over_the_file() -> None:
    options = SamplingOptions(sampling_seq="kt", given=frozenset({"sampling_seq"}))
    assert with_file_defaults(options, {PREFIX + "sequence": "t"})[0].samplers == ("top_k", "temperature")


def test_a_file_s_defaults_hold_where_nothing_was_given() -> None:
    metadata = {PREFIX + key: 1 for key in KEYS if key != "sequence"} | {
        PREFIX + "sequence": "kpt",
        PREFIX + "temp": 0.6000000238418579,
    }
    options, refused = with_file_defaults(SamplingOptions(top_p=0.3, given=frozenset({"top_p"})), metadata)
    assert (options.temp, options.top_k, options.top_p, options.mirostat) == (0.6, 1, 0.3, 1)
    assert options.samplers == ("top_k", "top_p", "temperature")
    assert refused == []


def test_a_file_s_default_that_is_no_use_is_told_and_left() -> None:
    metadata = {PREFIX + "temp": 2000.0, PREFIX + "top_p": 7.0, PREFIX + "sequence": "q", PREFIX + "min_p": 0.1}
    options, refused = with_file_defaults(SamplingOptions(), metadata)
    assert (options.temp, options.top_p, options.min_p) == (0.8, 0.95, 0.1)
    assert len(refused) == 3
    assert all(sentence.startswith("the file's default general.sampling.") for sentence in refused)


@pytest.mark.parametrize("key", KEYS)
def test_a_file_s_default_of_the_wrong_type_is_refused_by_its_name(key: str) -> None:
    wrong = ([0.5], True, 3 if key == "sequence" else "hot")
    for value in wrong:
        with pytest.raises(ModelFileError, match=rf"general\.sampling\.{key}: is .*, must be a (text|number)"):
            with_file_defaults(SamplingOptions(), {PREFIX + key: value})
