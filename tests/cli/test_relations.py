"""The table of settings that exclude or need one another, without a command line."""

from string import Formatter
from typing import Any

import pytest

from llamachat.cli.app import make_program
from llamachat.cli.settings.sources import setting_name
from llamachat.errors import UsageError
from llamachat.relations import RELATIONS, Exclude, Need, Origin, agreed, need_of, opposites

DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("quiet", "verbose", "timings", "json", "lookup", "prompt_cache_all"), False),
    **dict.fromkeys(("grammar", "grammar_file", "json_schema", "json_schema_file", "model_draft", "parallel"), None),
    **dict.fromkeys(("lookup_cache_static", "prompt_cache", "prompts", "file", "chat", "template", "system"), None),
    **dict.fromkeys(("system_file", "samplers", "sampling_seq", "tools", "logprobs"), None),
    "draft_min": 0,
    "draft_max": 16,
    "draft_p_min": 0.75,
    "output": "text",
    "save": True,
    "session": None,
}
FAR, NEAR = Origin(4, "c.toml, line 1"), Origin(1, "LLAMACHAT_X")


def settled(typed: dict[str, Any], **made: tuple[Any, Origin]) -> dict[str, Any]:
    """What is left of settings beside what is typed: all that is not as by default."""
    values = {**DEFAULTS, **{name: value for name, (value, _) in made.items()}, **typed}
    origins = {name: origin for name, (_, origin) in made.items() if name not in typed}
    found = agreed(values, DEFAULTS, origins, typed.keys())
    return {name: value for name, value in found.items() if value != DEFAULTS[name]}


def test_what_goes_together_is_left_as_it_is():
    assert settled({"verbose": True}, json=(True, FAR), timings=(True, FAR)) == {
        "verbose": True, "json": True, "timings": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "made", "left"),
    [
        ({"grammar": "list"}, {"json": (True, NEAR)}, {"grammar": "list"}),
        ({}, {"json": (True, FAR), "grammar": ("list", NEAR)}, {"grammar": "list"}),
        ({"verbose": True}, {"quiet": (True, NEAR), "timings": (True, FAR)}, {"verbose": True, "timings": True}),
        ({"model_draft": "d"}, {"lookup": (True, FAR), "lookup_cache_static": ("f", FAR)}, {"model_draft": "d"}),
        ({"tools": "t"}, {"json_schema": ("{}", FAR)}, {"tools": "t"}),
        ({"session": "a"}, {"save": (False, FAR)}, {"session": "a"}),
        ({"sampling_seq": "k"}, {"samplers": ("top_k", FAR)}, {"sampling_seq": "k"}),
        ({"draft_min": 20}, {"draft_max": (10, FAR)}, None),
        ({"draft_max": 3, "lookup": True}, {"draft_min": (5, FAR)}, {"draft_max": 3, "lookup": True}),
        ({}, {"draft_min": (20, NEAR), "draft_max": (30, FAR)}, {"draft_min": 20, "draft_max": 30}),
    ],
)
def test_a_setting_gives_way_to_a_nearer_one(typed, made, left):
    if left is None:
        with pytest.raises(UsageError, match=r"^--draft-min 20 is more than --draft-max 16$"):
            settled(typed, **made)
    else:
        assert settled(typed, **made) == left


def test_what_is_for_one_answer_gives_way_to_several_wherever_both_are_set():
    made = {"lookup": (True, NEAR), "prompt_cache": ("c", FAR), "parallel": (3, FAR)}
    assert settled({}, **made) == {"parallel": 3}
    assert settled({"lookup": True}, parallel=(3, NEAR)) == {"lookup": True}


@pytest.mark.parametrize("name", ["lookup_cache_static", "logprobs", "prompt_cache_all", "system"])
def test_a_setting_waits_for_what_it_needs(name):
    value = DEFAULTS[name] is None or True
    assert settled({}, **{name: (value, FAR)}) == {}


def test_what_is_needed_may_be_a_setting_too():
    made = {"logprobs": (2, NEAR), "output": ("json", FAR), "system": ("Hi", FAR), "template": ("chat", FAR)}
    assert settled({}, **made) == {"logprobs": 2, "output": "json", "system": "Hi", "template": "chat"}


def test_settings_of_one_origin_that_exclude_one_another_are_refused_with_their_places():
    other = Origin(FAR.distance, "c.toml, line 2")
    said = r"^c\.toml, line 1 and c\.toml, line 2: --grammar and --json exclude one another: give one of them$"
    with pytest.raises(UsageError, match=said):
        settled({}, grammar=("list", FAR), json=(True, other))
    with pytest.raises(UsageError, match=r"^LLAMACHAT_X: --draft-min 20 is more than --draft-max 10$"):
        settled({}, draft_min=(20, NEAR), draft_max=(10, NEAR))


def test_every_name_of_the_table_is_a_setting_or_a_prompt():
    program = make_program()
    known = {setting_name(one) for command in program.commands.values() for one in command.params}
    named = {name for one in RELATIONS for name in one.names}
    needed = {other.name for one in RELATIONS if isinstance(one, Need) for other in one.needs}
    assert (named | needed) - known == set()


def test_every_sentence_names_settings_only():
    program = make_program()
    known = {setting_name(one) for command in program.commands.values() for one in command.params}
    spoken = {*known, *(f"no_{name}" for name in known), "all", "first", "second"}
    for one in RELATIONS:
        fields = [field for _, field, _, _ in Formatter().parse(one.said) if field]
        assert {field for field in fields if not field.startswith("value[")} <= spoken
        assert {field[6:-1] for field in fields if field.startswith("value[")} <= {*one.names}


def test_the_sentence_lists_what_excludes_one_another():
    with pytest.raises(UsageError, match=r"^--grammar and --json-schema and --json exclude one another: give one of"):
        settled({"grammar": "json", "json_schema": "{}", "json": True})
    with pytest.raises(UsageError, match=r"^--parallel cannot be combined with --lookup and --model-draft: they are"):
        agreed({"parallel": 2, "lookup": True, "model_draft": "d"}, {}, {}, {"parallel"}, RELATIONS[10:])
    with pytest.raises(UsageError, match=r"^the prompt is given twice, as '{x}' and with -p: give one of them$"):
        agreed({"positional": "{x}", "text": "y"}, {}, {}, {"positional", "text"})


def test_a_chat_asks_the_table_too():
    assert opposites("samplers") == {"sampling_seq"}
    assert opposites("temp") == frozenset()
    assert need_of("system").met({"chat": True})
    assert not need_of("system").met({"template": "raw"})
    assert all(isinstance(one, Exclude | Need) or len(one.names) == 2 for one in RELATIONS)
