"""The prompts that come along: each works, and the README beside them is true."""

import json
import re
from pathlib import Path

import pytest

from llamachat.cli.prompt_library.filling import Filling
from llamachat.cli.prompt_library.reading import read_prompt
from llamachat.templates.program import is_known

FOLDER = Path(__file__).parents[2] / "prompts"
README = (FOLDER / "README.md").read_text("utf-8")
NAMED = sorted(FOLDER.glob("*.jinja"))
DIALOGUES = ["assistant.txt", "chat-persistent.txt", "chat-with-bob.txt", "chat.txt", "talk.txt"]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in NAMED])
def test_a_prompt_of_the_program_answers_with_its_own_settings(llamachat, path):
    needed = [f"--var={name}=x" for name, one in read_prompt(path).variables.items() if one.default is None]
    done = llamachat("run", "--prompt", path.stem, *needed, "--dry-run", "--output", "json", stdin=b"The <input>.\n")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert found["template"].startswith("chat")
    assert "The <input>." in found["prompt"]
    assert not re.search(r"\{[{%]|None", found["prompt"])


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in NAMED])
def test_every_variable_of_a_prompt_is_declared_explained_and_used(path):
    prompt = read_prompt(path)
    assert prompt.description
    assert all(one.description for one in prompt.variables.values())
    plain = Filling(prompt, dict.fromkeys(prompt.variables, "A")).worded("the input").text
    for name in prompt.variables:
        told = Filling(prompt, dict.fromkeys(prompt.variables, "A") | {name: "B"})
        assert told.worded("the input").text != plain, name


def test_the_readme_lists_them_with_their_variables():
    rows = re.findall(r"^\| `([\w-]+)` \| .* \|(.*) \|$", README, re.MULTILINE)
    listed = {name: re.findall(r"`(\w+)`", variables) for name, variables in rows}
    assert listed == {path.stem: list(read_prompt(path).variables) for path in NAMED}


def test_the_readmes_own_prompt_works(llamachat, tmp_path):
    block = re.search(r"^    ---\n(?:    .*\n|\n)+", README, re.MULTILINE)[0]
    (tmp_path / "haiku.jinja").write_text(re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() + "\n")
    done = llamachat("run", "--prompt", f"{tmp_path}/haiku.jinja", "-p", "rain", "--dry-run", "--output", "json")
    found = json.loads(done.stdout)
    assert "Write a haiku, set in autumn, about this: rain" in found["prompt"]
    assert (found["sampling"]["temp"], found["stop"][0]) == (0.9, "\n\n")


@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue_goes_on_in_the_classic_mode(llamachat, name):
    text = (FOLDER / name).read_text("utf-8").removesuffix("\n")
    done = llamachat(
        "interactive", "--file", str(FOLDER / name), "-r", "User:", "--in-prefix", " ", stdin=b"Why?\n",
        answers=("Bob: Because.\nUser: not mine",),
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.decode().startswith(f"{text} Bob: Because.\nUser:")
    assert "not mine" not in done.stdout.decode()


def test_reason_and_act_leaves_the_looking_up_to_the_person(llamachat):
    text = (FOLDER / "reason-act.txt").read_text("utf-8").removesuffix("\n")
    done = llamachat(
        "interactive", "-f", str(FOLDER / "reason-act.txt"), "-r", "Question:", "-r", "Observation:",
        "--in-prefix", " ", stdin=b"Who?\nEve.\n",
        answers=("Thought: It is.\nAction: look up: it\nObservation: made up", "Answer: Eve.\nQuestion:"),
    )  # fmt: skip
    assert done.returncode == 0
    shown = done.stdout.decode().removeprefix(text)
    assert shown.startswith(" Thought: It is.\nAction: look up: it\nObservation: Answer: Eve.\nQuestion:")
    assert "made up" not in shown


def test_the_readme_names_every_file():
    files = {path.name for path in FOLDER.glob("*.txt")}
    assert files == {name for name in re.findall(r"`([\w-]+\.txt)`", README) if (FOLDER / name).exists()}
    assert files == {*DIALOGUES, "reason-act.txt"}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in NAMED])
def test_a_shipped_prompt_is_known_and_needs_no_helper_process(path):
    """tools/known_templates.py writes the list anew after a change."""
    prompt = read_prompt(path)
    assert is_known(prompt.body)
    assert prompt.system is None or is_known(prompt.system)
