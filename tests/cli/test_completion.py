"""What shells complete, asked of the shells themselves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from tiny_gguf import tiny_gguf

from llamachat.cli.app import run_app
from llamachat.session.chats import ChatStore
from llamachat.session.places import database_path

EVIL = "a b$(touch evil)'"
NAMES = ["Qwen2:8b", "Qwen2-0.5b", "smol"]


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """Writes a shell's script, and puts `llamachat` and some models where it finds them; the script's path."""
    models = tmp_path / "models"
    models.mkdir()
    for name in [*NAMES, EVIL, "line\nbreak", "\x1b]0;evil\x07"]:
        tiny_gguf(models / f"{name}.gguf")
    monkeypatch.setenv("LLAMACHAT_MODELS", str(models))
    program = tmp_path / "bin" / "llamachat"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m llamachat "$@"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)

    def write(name: str) -> Path:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not on this machine")
        run_app(["completion", name])
        script = tmp_path / f"completion.{name}"
        script.write_text(capsys.readouterr().out)
        return script

    return write


def in_bash(script: Path, line: str) -> list[str]:
    code = 'source "$1"; COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=(llamachat); _llamachat'
    code += '; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", code, "bash", str(script), line], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [word for word in done.stdout.splitlines() if word]


def in_fish(script: Path, line: str) -> list[str]:
    done = subprocess.run(
        ["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", str(script), line],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [one.partition("\t")[0] for one in done.stdout.splitlines()]


def in_zsh(script: Path, lines: list[str]) -> list[str]:
    """The last word of each line as zsh completes it in its line editor; zsh itself prints what the line has then."""
    child = pexpect.spawn("zsh", ["-f", "-i"], dimensions=(24, 200), encoding="utf-8", timeout=20)
    child.sendline(f"autoload -Uz compinit; compinit -D -u; source {script}; PS1=; RPS1=; print READ''Y")
    child.expect("READY")
    completed = []
    for line in lines:
        child.send(f"{line}\t\x01print -rl -- BEGI''N \x05 EN''D\r")
        child.expect(r"\nBEGIN\r\n(.*?)\r\nEND\r\n")
        completed.append(child.match[1].split("\r\n")[-1])
    child.close(force=True)
    return completed


COMPLETED = [
    pytest.param("llamachat ru", ["run"], id="a command"),
    pytest.param("llamachat --profile x per", ["perplexity"], id="a command behind an option"),
    pytest.param("llamachat run --temper", ["--temperature"], id="an option"),
    pytest.param("llamachat run --no-con", ["--no-context-shift"], id="the other form of a switch"),
    pytest.param("llamachat run --output js", ["json", "jsonl"], id="a choice"),
    pytest.param("llamachat config e", ["edit"], id="an argument"),
    pytest.param("llamachat run -m Qwen2-", ["Qwen2-0.5b"], id="a model"),
    pytest.param("llamachat --color al", ["always"], id="the value of an option before the command"),
    pytest.param("llamachat pull ge", ["gemma3"], id="what can be fetched"),
    pytest.param("llamachat run --prompt summ", ["summarize"], id="a prompt"),
    pytest.param("llamachat prompts transl", ["translate"], id="a prompt to look at"),
    pytest.param("llamachat interactive --prompt summ", [], id="a text that is no name"),
]


@pytest.mark.parametrize(("line", "words"), COMPLETED)
def test_bash_completes(shell, line, words):
    assert in_bash(shell("bash"), line) == words


def test_bash_keeps_what_it_cut_at_colons_and_quotes_what_it_must(shell):
    script = shell("bash")
    assert in_bash(script, "llamachat run -m Qwen2:") == ["8b"]
    assert in_bash(script, "llamachat run --model=Qwen2:8") == ["8b"]
    assert in_bash(script, "llamachat run --model=Qw") == ["Qwen2-0.5b", "Qwen2:8b"]
    assert in_bash(script, "llamachat run -m a") == [r"a\ b\$\(touch\ evil\)\'"]
    assert not Path("evil").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('llamachat run -m "a', ["a b\\$(touch evil)'"]),
        ("llamachat run -m 'a", [r"a b$(touch evil)'\''"]),
        ('llamachat run -m "Qwen2:', ["Qwen2:8b"]),
        (r"llamachat run -m a\ b", [r"a\ b\$\(touch\ evil\)\'"]),
        ('llamachat run --model="a b', ["a b\\$(touch evil)'"]),
        ('llamachat run -p "llamachat chat --se', []),
        ('llamachat run -p "x y" --output js', ["json", "jsonl"]),
    ],
)
def test_bash_completes_within_quotes(shell, line, words):
    assert in_bash(shell("bash"), line) == words
    assert not Path("evil").exists()


@pytest.mark.parametrize("option", ["chat --session ", "chat --session=", "sessions show "])
def test_bash_offers_the_names_of_chats(shell, own_home, option):
    with ChatStore(database_path()) as store:
        for name in ("two words", "taxes"):
            store.create("tiny", name)
    script = shell("bash")
    assert in_bash(script, f'llamachat {option}"two') == ["two words"]
    assert sorted(in_bash(script, f"llamachat {option}t")) == ["taxes", r"two\ words"]


@pytest.mark.parametrize(("name", "asking"), [("zsh", "_llamachat_ask sessions"), ("fish", "__complete sessions")])
def test_other_shells_ask_for_the_names_of_chats(capsys, name, asking):
    run_app(["completion", name])
    lines = capsys.readouterr().out.splitlines()
    assert any(asking in line for line in lines if "chat --session" in line or "-l session" in line)


def test_fish_completes(shell):
    script = shell("fish")
    for case in COMPLETED:
        line, words = case.values
        assert sorted(in_fish(script, line)) == sorted(words), line
    assert "-ctk" in in_fish(script, "llamachat run -ct") or "--cache-type-k" in in_fish(
        script, "llamachat run --cache"
    )
    assert EVIL in in_fish(script, "llamachat run -m a")
    assert not Path("evil").exists()


def test_zsh_completes(shell):
    script = shell("zsh")
    certain = [case.values for case in COMPLETED if len(case.values[1]) == 1]
    lines = [*(line for line, _ in certain), "llamachat run -m a", "llamachat run --model=Qwen2:"]
    words = [*(words[0] for _, words in certain), EVIL, "--model=Qwen2:8b"]
    assert in_zsh(script, lines) == words
    assert not Path("evil").exists()


@pytest.mark.parametrize("name", ["bash", "fish", "zsh"])
def test_the_script_is_one_that_the_shell_understands(shell, name):
    script = shell(name)
    subprocess.run([name, "-n", str(script)], check=True)
    assert f"llamachat completion {name}" in script.read_text()[:600]


def asked(kind: str, beginning: str = "", code: str = "") -> str:
    program = f"import sys; sys.argv = ['llamachat', '__complete', {kind!r}, {beginning!r}]\n{code}"
    program += "from llamachat.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_names_that_could_harm_a_terminal_are_not_offered(shell):
    shell("bash")
    names = [line.partition("\t")[0] for line in asked("models").splitlines()]
    assert sorted(names) == sorted([*NAMES, EVIL])


def test_profiles_are_asked_for(own_home):
    folder = own_home / "config" / "llamachat"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[profile.code]\n[profile.cold]\n[profile.warm]\n")
    assert asked("profiles", "co") == "code\ncold\n"


def test_a_broken_file_and_an_unknown_kind_offer_nothing_and_say_nothing(own_home):
    folder = own_home / "config" / "llamachat"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[profile")
    assert (asked("profiles"), asked("nonsense"), asked("")) == ("", "", "")


@pytest.mark.parametrize("kind", ["models", "profiles", "prompts", "sources", "templates"])
def test_a_shells_question_loads_neither_typer_nor_the_engine(kind):
    code = (
        "import atexit\n"
        "heavy = ('typer', 'numpy', 'llvmlite', 'jinja2', 'rich', 'prompt_toolkit', 'llamachat.engine.gguf')\n"
        "@atexit.register\n"
        "def tell():\n"
        "    for name in heavy:\n"
        "        if name in sys.modules:\n"
        "            print('LOADED', name)\n"
    )
    assert "LOADED" not in asked(kind, "", code)


def test_prompts_are_offered_with_what_they_are(own_home):
    folder = own_home / "config" / "llamachat" / "prompts"
    folder.mkdir(parents=True)
    (folder / "mine.jinja").write_text('---\ndescription = "My own"\n---\nx')
    (folder / "mistaken.jinja").write_text("---\n")
    assert asked("prompts", "mi") == "mine\tMy own\n"


def test_powershell_is_told_the_same_in_balanced_braces(capsys):
    run_app(["completion", "powershell"])
    script = capsys.readouterr().out
    for told in (
        "'chat --session' { ask sessions; break }",
        "'run --output' { 'text', 'json', 'jsonl'; break }",
        "'pull' {",
    ):
        assert told in script
    bare = re.sub(r"'(?:[^']|'')*'", "", "\n".join(line for line in script.splitlines() if not line.startswith("#")))
    assert bare.count("{") == bare.count("}")
    assert bare.count("(") == bare.count(")")
