"""What --help shows: panels, examples, defaults and units, at every width."""

import re
import shlex

import pytest

from llamachat.cli.app import make_program
from llamachat.cli.guide import COMMAND_PANELS, GUIDE
from llamachat.cli.help import page, panels, program_page, shell_lines, short_page
from llamachat.cli.settings.sources import UNSETTABLE, setting_name

APP = make_program()
OPTIONS = [
    pytest.param(option, id=f"{name} {option.name}")
    for name, command in APP.commands.items()
    for option in command.params
    if option.param_type_name == "option"
]


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", [None, *APP.commands])
def test_no_line_is_wider_than_the_terminal(name, width):
    text = program_page(APP, width) if name is None else page(APP.commands[name], f"llamachat {name}", width)
    running = [line for line in text.splitlines() if not re.search(r"\S{16}|[\"'\\]|^ +[0-9]", line)]
    assert len(running) > 5
    kept = set(APP.help.splitlines()) | {
        line for command in APP.commands.values() for line in command.help.splitlines()
    }
    assert max(len(line) for line in running if line not in kept) <= width


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_says_what_it_is_for(option):
    assert option.help
    assert option.help[0] == option.help[0].upper() or option.metavar or option.type.name == "choice"


def test_options_stand_under_the_heading_of_their_group():
    found = panels(APP.commands["run"])
    assert "-c, --ctx-size N" in [one.names for one in found["Model"]]
    assert [one.names for one in found["Prompt"]][:2] == ["-p, --text TEXT", "-f, --file FILE"]
    assert "--temp, --temperature X" in [one.names for one in found["Sampling"]]
    assert list(found)[-1] == "Everywhere"
    assert [one.names.split()[0] for one in found["Everywhere"]] == [
        "--profile",
        "--color",
        "--no-input",
        "--offline",
        "-h,",
        "--help-all",
    ]


def test_defaults_and_bounds_are_said():
    said = {one.setting: one.said for entries in panels(APP.commands["run"]).values() for one in entries}
    assert said["temp"].endswith("[default: 0.8; from 0 to 1000]")
    assert said["threads"].endswith("[default: one per core; 1 or more]")
    assert said["context_shift"].endswith("[default: on]")
    assert said["draft_p_min"].endswith("[default: 0.75; from 0 to 1]")


def test_a_switch_shows_its_other_form_only_where_it_is_on():
    names = {one.setting: one.names for entries in panels(APP.commands["run"]).values() for one in entries}
    assert names["context_shift"] == "--context-shift, --no-context-shift"
    assert names["lookup"] == "--lookup"


@pytest.mark.parametrize("name", APP.commands)
def test_every_command_stands_under_a_heading_that_the_help_shows(name):
    text = program_page(APP, 80)
    assert re.search(rf"^  {name}\b", text, re.MULTILINE)
    assert GUIDE.get(name) is None or GUIDE[name].panel in COMMAND_PANELS


EXAMPLES = [pytest.param(one.line, id=one.line) for guide in GUIDE.values() for one in guide.examples]


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_understood(line):
    words = shlex.split(line.rpartition("| ")[2])
    assert words[0] == "llamachat"
    APP.commands[words[1]].make_context(words[1], words[2:])


@pytest.mark.parametrize("line", [one.line for one in GUIDE["imatrix"].examples])
def test_options_of_its_examples_are_on_a_commands_first_page(line):
    said = short_page(APP.commands["imatrix"], "llamachat imatrix", 80).partition("Common options:")[2]
    for option in re.findall(r" (--?[a-z-]+)", line):
        assert re.search(rf"{option}\b", said), option


def test_a_missing_argument_is_shown_in_the_whole_command(llamachat):
    done = llamachat("quantize", "in.gguf", "out.gguf")
    assert (done.returncode, done.stderr) == (2, b"llamachat: missing TYPE: llamachat quantize IN OUT TYPE\n")
    done = llamachat("convert-lora", "adapter", "out.gguf")
    assert b"missing --base: llamachat convert-lora DIRECTORY OUT.gguf --base\n" in done.stderr


@pytest.mark.parametrize("line", EXAMPLES)
@pytest.mark.parametrize("width", [30, 40, 200])
def test_a_broken_example_is_the_same_to_a_shell(line, width):
    shown = "\n".join(shell_lines(line, width))
    assert shlex.split(shown.replace("\\\n", " ")) == shlex.split(line)


def test_a_settings_name_means_one_kind_of_value():
    kinds: dict[str, set[str]] = {}
    for command in APP.commands.values():
        for option in command.params:
            if option.param_type_name == "option" and option.name not in UNSETTABLE:
                kinds.setdefault(setting_name(option), set()).add(option.type.name.split()[0])
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


@pytest.mark.parametrize("words", [[], ["--color", "never"], ["--profile", "code"], ["--debug"]])
def test_without_a_command_there_is_help(llamachat, words):
    assert llamachat(*words).stdout == llamachat("--help").stdout


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["run", "-h"], ["config", "--help"]])
def test_help_is_plain_text_on_standard_output(llamachat, words):
    done = llamachat(*words)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"Usage: llamachat")
    assert b"\x1b" not in done.stdout


def test_help_is_as_wide_as_columns_says(llamachat):
    lines = llamachat("run", "--help", COLUMNS="40").stdout.decode().splitlines()
    assert "  -c, --ctx-size N" in lines
    assert "      Size of the context in tokens." in lines
