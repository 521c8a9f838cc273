"""Where an option's value comes from: command line, environment, profile, file, what is built in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer import Option

from llamachat.cli.app import Program
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.everywhere import Everywhere, Profile
from llamachat.cli.groups import flattened
from llamachat.cli.options import System
from llamachat.cli.settings.command import SettingsCommand
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError
from llamachat.relations import RELATIONS, Fit


@dataclass(frozen=True)
class Plain:
    size: Annotated[int, Option("--size", min=1)] = 3
    width: Annotated[int | None, Option("--width")] = None
    paths: Annotated[list[Path] | None, Option("--paths")] = None
    stop: Annotated[list[str] | None, Option("--stop")] = None
    shift: Annotated[bool, Option("--shift/--no-shift")] = True
    loud: Annotated[bool, Option("--loud", "-l")] = False
    output: Annotated[Literal["text", "jsonl"], Option("--output")] = "text"
    chat: Annotated[bool, Option("--chat")] = False
    system: System = None


OWN = (
    *RELATIONS,
    Fit(
        ("width", "size"), lambda width, size: width >= size, "{width} {value[width]} is less than {size} {value[size]}"
    ),
)


class Called:
    """A program of two commands that remembers what they were called with."""

    def __init__(self) -> None:
        self.received: dict[str, Any] = {}

    def __call__(self, *words: str) -> Any:
        self.received.clear()
        app = typer.Typer(cls=Program, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        app.callback(invoke_without_command=True)(self._itself)
        for name, command in (("talk", self._talk), ("list", self._list)):
            app.command(name, cls=SettingsCommand)(flattened(command, Everywhere, OWN))
        app(list(words), standalone_mode=False)
        return self.received

    def _itself(self, profile: Profile = None) -> None:
        pass

    def _talk(self, plain: Plain, sampling: SamplingOptions, constraint: ConstraintChoice) -> None:
        self.received |= {"plain": plain, "sampling": sampling, "constraint": constraint}

    def _list(self, output: Annotated[Literal["table", "json"], Option("--output")] = "table") -> None:
        self.received["output"] = output


@pytest.fixture
def program() -> Called:
    return Called()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "config.toml"
    monkeypatch.setenv("LLAMACHAT_CONFIG", str(path))

    def write(text: str) -> Path:
        path.write_text(text, "utf-8")
        return path

    return write


LEVELS = "temp = 0.1\ntop_k = 1\ntop_p = 0.1\nmin_p = 0.1\n[profile.code]\ntop_k = 2\ntop_p = 0.2\nmin_p = 0.2\n"


def test_the_command_line_beats_the_environment_that_the_profile_that_the_file_that_what_is_built_in(
    program, config, monkeypatch
):
    config(LEVELS)
    monkeypatch.setenv("LLAMACHAT_TOP_P", "0.3")
    monkeypatch.setenv("LLAMACHAT_MIN_P", "0.3")
    sampling = program("talk", "--profile", "code", "--min-p", "0.4")["sampling"]
    assert (sampling.min_p, sampling.top_p, sampling.top_k, sampling.temp) == (0.4, 0.3, 2, 0.1)
    assert sampling.typical == 1.0


def test_without_a_profile_its_table_does_not_count(program, config):
    config(LEVELS)
    assert program("talk")["sampling"].top_k == 1


@pytest.mark.parametrize("words", [("--profile", "code", "talk"), ("talk", "--profile", "code"), ("talk",)])
def test_a_profile_may_be_named_before_and_behind_the_command_and_in_the_environment(
    program, config, monkeypatch, words
):
    config(LEVELS)
    if "--profile" not in words:
        monkeypatch.setenv("LLAMACHAT_PROFILE", "code")
    assert program(*words)["sampling"].top_k == 2


def test_what_is_set_counts_as_given(program, config):
    config("temp = 0.8\n")
    assert program("talk", "--top-k", "40")["sampling"].given == {"temp", "top_k"}


@pytest.mark.parametrize("text", ["1", "true", "YES", "on"])
def test_a_switch_is_set_by_words_of_the_environment(program, monkeypatch, text):
    monkeypatch.setenv("LLAMACHAT_LOUD", text)
    monkeypatch.setenv("LLAMACHAT_SHIFT", "0")
    plain = program("talk")["plain"]
    assert (plain.loud, plain.shift) == (True, False)


def test_a_switch_that_is_set_can_be_undone(program, config):
    config("loud = true\nshift = false\n")
    plain = program("talk", "--no-loud", "--shift")["plain"]
    assert (plain.loud, plain.shift) == (False, True)


@pytest.mark.parametrize(
    ("text", "stops"), [("a b", ["a b"]), ('["a", "b c"]', ["a", "b c"]), ("[x]", ["[x]"]), ("[1]", ["[1]"])]
)
def test_several_texts_are_one_or_a_json_list_in_the_environment(program, monkeypatch, text, stops):
    monkeypatch.setenv("LLAMACHAT_STOP", text)
    assert program("talk")["plain"].stop == stops


def test_several_texts_are_one_or_a_list_in_the_file_and_the_command_line_replaces_them(program, config):
    config('stop = "END"\n')
    assert program("talk")["plain"].stop == ["END"]
    config('stop = ["a", "b"]\n')
    assert program("talk")["plain"].stop == ["a", "b"]
    assert program("talk", "--stop", "c")["plain"].stop == ["c"]


def test_a_path_is_relative_to_the_file_that_names_it(program, config):
    path = config('paths = ["a/b", "~/c", "/d", "-"]\n')
    assert program("talk")["plain"].paths == [
        path.parent / "a/b", Path("~/c").expanduser(), Path("/d"), Path("-")
    ]  # fmt: skip


def test_an_empty_variable_is_as_none(program, monkeypatch):
    monkeypatch.setenv("LLAMACHAT_SIZE", "")
    assert program("talk")["plain"].size == 3


def test_names_may_be_written_with_dashes(program, config):
    config("top-k = 7\n")
    assert program("talk")["sampling"].top_k == 7


def test_a_value_for_one_commands_option_leaves_another_command_alone(program, config):
    config('output = "jsonl"\n')
    assert program("talk")["plain"].output == "jsonl"
    assert program("list")["output"] == "table"
    config('output = "json"\n')
    assert program("list")["output"] == "json"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("\ntmep = 1", ", line 2: no setting is called tmep; did you mean temp?", id="unknown name"),
        pytest.param("xyzzy = 1", "no setting is called xyzzy (`llamachat config show` lists all)", id="no such name"),
        pytest.param("\n\nsize = 0", ", line 3: size must be a whole number 1 or more, not 0", id="out of bounds"),
        pytest.param("size = 1.5", "size must be a whole number, not 1.5", id="no whole number"),
        pytest.param("size = true", "size must be a whole number, not true", id="a truth is no number"),
        pytest.param('temp = "hot"', 'temp must be a number, not "hot"', id="no number"),
        pytest.param("loud = 1", "loud must be true or false, not 1", id="no truth"),
        pytest.param("system = 3", "system must be a text in quotes, not 3", id="no text"),
        pytest.param('stop = ["a", 1]', 'stop must be a text in quotes or a list of them, not ["a", 1]', id="no texts"),
        pytest.param('output = "jsnl"', 'not "jsnl"; did you mean jsonl?', id="unknown choice"),
        pytest.param("top_p = 3", "line 1: top_p must be a number from 0 to 1, not 3", id="the engine's bounds"),
        pytest.param("temp = nan", "temp must be", id="not a number at all"),
        pytest.param("temp = {a = 1}", "temp must be a number", id="a table"),
        pytest.param('system = "a\\u0000b"', "line 1: system must be a text without zero bytes", id="a zero byte"),
        pytest.param("seed = 1" + "0" * 5000, "config.toml: ", id="a number that is too long"),
        pytest.param("seed = 1" + "0" * 50, "line 1: seed must be a whole number", id="a number that is too large"),
        pytest.param("temp = 1979-05-27", "temp must be a number", id="a date"),
        pytest.param("top_k = 1\ntop-k = 2", "line 2: top-k is top_k, which is set already", id="twice"),
        pytest.param("[profile]\ncode = 1", "line 2: profiles are tables", id="a profile that is none"),
        pytest.param("profile = 3", "profiles are tables", id="profiles that are none"),
        pytest.param("[profile.other]\ntmep = 1", "line 2: no setting is called tmep", id="a profile not chosen"),
        pytest.param(
            "[talk]", "line 1: [talk] is no table of settings; did you mean [profile.talk]?", id="unknown table"
        ),
        pytest.param('a = """\ntemp = 1\n"""\ntmep = 2', "line 1: no setting is called a", id="the first wrong one"),
        pytest.param('system = """\ntmep = 1\n"""\ntmep = 2', ", line 4: no setting", id="a key within a text"),
        pytest.param("temp = ", "line 1: invalid value", id="no TOML"),
        pytest.param("temp = 1\ntemp = 2", "line 2: cannot overwrite a value", id="a key twice"),
        pytest.param('grammar = "json"\njson = true', "line 1 and", id="settings that exclude one another"),
        pytest.param("size = 9\nwidth = 5", "--width 5 is less than --size 9", id="settings that contradict"),
    ],
)
def test_what_is_wrong_in_the_file_is_refused_with_its_place(program, config, text, said):
    path = config(text)
    with pytest.raises(UsageError) as error:
        program("talk")
    assert str(path) in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("LLAMACHAT_SIZE", "big", "LLAMACHAT_SIZE: size must be a whole number 1 or more, not"),
        ("LLAMACHAT_SIZE", "0", "LLAMACHAT_SIZE: size must be a whole number 1 or more, not"),
        ("LLAMACHAT_SYSTEM", "caf\udce9", "LLAMACHAT_SYSTEM: system must be UTF-8 text"),
        ("LLAMACHAT_LOUD", "maybe", "LLAMACHAT_LOUD: loud must be 1 or 0"),
        ("LLAMACHAT_TOP_P", "7", "LLAMACHAT_TOP_P: top_p must be a number from 0 to 1"),
        ("LLAMACHAT_TMEP", "1", "LLAMACHAT_TMEP: no option has this variable; did you mean LLAMACHAT_TEMP?"),
        ("LLAMACHAT_temp", "1", "did you mean LLAMACHAT_TEMP?"),
        ("LLAMACHAT_MODLES", "1", "did you mean LLAMACHAT_MODELS?"),
        ("LLAMACHAT_CONFIG", "/nowhere/at/all", "LLAMACHAT_CONFIG: there is no file /nowhere/at/all"),
        ("LLAMACHAT_PROFILE", "code", "there is no profile code"),
    ],
)
def test_what_is_wrong_in_the_environment_is_refused_with_the_variable(program, monkeypatch, name, text, said):
    monkeypatch.setenv(name, text)
    with pytest.raises(UsageError) as error:
        program("talk")
    assert said in str(error.value)


def test_an_unknown_profile_names_the_nearest(program, config):
    path = config(LEVELS)
    with pytest.raises(UsageError) as error:
        program("talk", "--profile", "cdoe")
    assert str(error.value) == f"there is no [profile.cdoe] in {path}; did you mean code?"


def test_bytes_that_are_no_text_are_refused_with_their_line(program, config):
    config("").write_bytes(b"temp = 1\nsystem = '\xff'\n")
    with pytest.raises(UsageError, match=r"line 2: not UTF-8 text \(byte 0xff\)"):
        program("talk")


def test_nesting_without_end_is_refused(program, config):
    config("stop = " + "[" * 100_000)
    with pytest.raises(UsageError, match=r"config\.toml"):
        program("talk")


def test_a_setting_that_does_not_go_with_the_command_line_gives_way(program, config):
    config("json = true\nsize = 9\ntemp = 0.5\n")
    received = program("talk", "--grammar", "list", "--width", "5")
    assert received["constraint"] == ConstraintChoice(grammar="list")
    assert (received["plain"].width, received["plain"].size) == (5, 3)
    assert received["sampling"].temp == 0.5


def test_a_nearer_setting_beats_one_that_it_excludes(program, config):
    config('json = true\n[profile.code]\ngrammar = "list"\n')
    assert program("talk", "--profile", "code")["constraint"] == ConstraintChoice(grammar="list")


def test_a_system_text_waits_for_a_chat(program, config):
    config('system = "Be brief."\n')
    assert program("talk")["plain"].system is None
    assert program("talk", "--chat")["plain"].system == "Be brief."


def test_what_the_command_line_does_wrong_is_not_blamed_on_a_setting(program, config):
    config("size = 2\n")
    with pytest.raises(UsageError, match=r"^--system is part of a chat: give --chat too, or put"):
        program("talk", "--system", "Be brief.")


def test_help_reads_no_file_and_shows_what_is_built_in(program, config, capsys):
    config("this is no TOML")
    program("talk", "--help-all")
    assert "[default: 3; 1 or more]" in capsys.readouterr().out
    config("size = 77\n")
    program("talk", "--help")
    assert "77" not in capsys.readouterr().out
