"""Where a setting is wrong, and which file it names."""

import os
import shlex
import subprocess

import pytest

from llamachat.cli.app import run_app
from llamachat.cli.settings.file import parsed
from llamachat.errors import UsageError


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes a configuration file, in a folder that nobody is in; that folder."""
    folder, elsewhere = tmp_path / "settings", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("LLAMACHAT_CONFIG", str(folder / "config.toml"))

    def write(text):
        (folder / "config.toml").write_text(text)
        return folder

    return write


WRONG = [
    ('stop = [""]', "--stop: an empty text"),
    ('grammar = "root ::= ("', "--grammar:1:10: this parenthesis is never closed"),
    ('grammar_file = "none.gbnf"', "no such file"),
    ('json_schema = "{"', "--json-schema"),
    ('prompt = "nope"', "there is no prompt 'nope'"),
    ('chat_template = "gema"', "did you mean gemma?"),
    ('chat_template = "no/file"', "no such file"),
    ('template_kwargs = "{"', "--template-kwargs is not JSON"),
    ("draft_min = 20", "--draft-min 20 is more than --draft-max 16"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_only_a_command_checks_is_told_with_file_and_line(config, llamachat, text, said):
    path = config(f"temp = 0.5\n{text}\n") / "config.toml"
    with pytest.raises(UsageError) as error:
        run_app(["config", "show"])
    assert str(error.value).startswith(f"{path}, line 2: ")
    assert said in str(error.value)
    done = llamachat("run", "--chat", "-p", "x")
    assert (done.returncode, f"{path}, line 2: " in done.stderr.decode()) == (2, True)


def test_a_fault_in_a_setting_s_grammar_is_shown_with_a_caret(llamachat):
    lines = llamachat("run", "-p", "x", LLAMACHAT_GRAMMAR="root ::= (").stderr.decode().splitlines()
    assert lines[0].startswith("llamachat: LLAMACHAT_GRAMMAR: --grammar:1:10:")
    assert lines[1:] == ["  root ::= (", "           ^"]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ('system = "{% if %}"', 3),
        ('system = "a\\n{% if %}"', 3),
        ('system = """\na\n{% if %}\n"""', 5),
        ('system = """a\n\n{% if %}"""', 5),
        ('stop = [""]', 3),
    ],
)
def test_a_fault_in_a_prompt_s_head_has_the_file_s_line(llamachat, tmp_path, head, line):
    path = tmp_path / "p.jinja"
    path.write_text(f'---\ntemplate = "chat"\n{head}\n---\nx')
    said = llamachat("run", "--prompt", str(path)).stderr.decode()
    assert said.startswith(f"llamachat: {path}, line {line}: ")
    assert said.count("line ") == 1


def test_a_chat_template_beside_the_file_is_found_from_anywhere(config, llamachat):
    folder = config('chat_template = "own.jinja"\n')
    (folder / "own.jinja").write_text("Mine: {{ messages[0].content }}")
    done = llamachat("run", "--chat", "-p", "x", "--dry-run")
    assert done.stdout.endswith(b"<s>Mine: x\n")


def test_a_file_does_not_take_a_name_s_place(config, llamachat):
    folder = config('chat_template = "gemma"\n')
    (folder / "gemma").write_text("Mine: {{ messages[0].content }}")
    assert b"<start_of_turn>" in llamachat("run", "--chat", "-p", "x", "--dry-run").stdout


def test_a_prompt_beside_the_file_is_found_from_anywhere(config, llamachat):
    folder = config('prompt = "own.jinja"\n')
    (folder / "own.jinja").write_text("---\ntemp = 0.25\n---\nMine: {{ input }}")
    shown = llamachat("run", "-p", "x", "--dry-run").stdout
    assert shown.endswith(b"<s>Mine: x\n")
    assert b"temp 0.25" in shown


@pytest.mark.parametrize(
    ("option", "content", "line"),
    [
        ("--chat --chat-template", "Mine: {{ messages[0].content }}", "<s>Mine: x"),
        ("--prompt", "<{{ input }}>", "<s><x>"),
    ],
)
def test_a_template_or_a_prompt_may_come_from_a_pipe(environment, llamachat_command, option, content, line):
    command = (
        f"{shlex.join(llamachat_command('run', '-p', 'x', '--dry-run'))} {option} <(echo -n {shlex.quote(content)})"
    )
    done = subprocess.run(
        ["bash", "-c", command], stdin=subprocess.DEVNULL, env=environment, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines()[-1] == line


def test_a_path_that_is_not_there_is_told_as_a_path(llamachat):
    for option in (["--chat", "--chat-template"], ["--prompt"]):
        done = llamachat("run", *option, "no/such/thing", "-p", "x")
        assert (done.returncode, b"no/such/thing: no such file" in done.stderr) == (2, True)


def test_a_configuration_without_an_end_is_not_read(llamachat, tmp_path):
    os.truncate(os.open(tmp_path / "huge.toml", os.O_CREAT | os.O_RDWR), 2**40)
    for path in (tmp_path / "huge.toml", "/dev/zero"):
        done = llamachat("models", LLAMACHAT_CONFIG=str(path))
        assert (done.returncode, f"{path} has more than 1000000 bytes" in done.stderr.decode()) == (2, True)


def test_lines_within_a_text_are_counted_from_where_it_begins(tmp_path):
    file = parsed(tmp_path / "c.toml", b'a = "x"\nb = """\nx\ny"""\nc = \'\'\'x\ny\'\'\'\n')
    assert [file.line_within(key, 2) for key in "abc"] == [1, 4, 6]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('system_file = "/nosuch"', ("run", "--chat", "-p", "x", "--dry-run")),
        ('file = ["/nosuch"]', ("run", "-p", "x", "--dry-run")),
        ('tools = "/nosuch"', ("chat", "x")),
    ],
)
def test_a_file_of_the_settings_that_is_not_there_is_told_with_file_and_line(config, llamachat, text, command):
    path = config(f"temp = 0.5\n{text}\n") / "config.toml"
    done = llamachat(*command)
    assert done.returncode == 2
    assert f"{path}, line 2: -" in done.stderr.decode()
    assert b"/nosuch: no such file" in done.stderr


def test_a_file_of_the_command_line_is_told_without_the_settings(config, llamachat):
    config('system_file = "/nosuch"\n')
    done = llamachat("run", "--chat", "-p", "x", "--system-file", "/none")
    assert done.stderr == b"llamachat: --system-file /none: no such file\n"
