"""docs/architecture.md, "How to add": what is added in the package's own folders, by the steps, on a copy of it.

Formats, architectures, operations, kernels, instruction sets and backends are added from outside the package:
tests/engine/test_own_*.py.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from golden_data import OWN, ROOT
from lettered import with_letters

Run = Callable[..., str]

SAMPLER = '''
"""Bottom-k: the k least likely tokens."""

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary


class BottomK(Stage):
    """Keeps the k smallest logits."""

    def __init__(self, k: int) -> None:
        self._k = k

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "BottomK | None":
        return cls(options.bottom_k) if options.bottom_k else None

    def apply(self, candidates: Candidates) -> None:
        candidates.keep(candidates.logits.argsort()[: self._k], best_first=False)
'''

COMMAND = '''
"""`llamachat shout`: a text in capitals."""

from typing import Annotated

from typer import Argument, Option

from llamachat.errors import UsageError


def shout(
    text: Annotated[str, Argument(metavar="TEXT", help="What to shout.")],
    times: Annotated[int, Option(help="How often.")] = 1,
) -> None:
    """Print a text in capitals."""
    if not text.strip():
        raise UsageError("there is nothing to shout; give a text")
    print(*[text.upper()] * times)
'''

PROMPT = """---
description = "The opposite of a word"

[variables]
tone = { description = "how it is said", default = "kind" }
---
The opposite of {{ input }}, in a {{ tone }} tone, is"""

SLASH_COMMAND = '''
"""/shout: words in capitals."""

from llamachat.terminal.commands.base import Command, saying

COMMANDS = (Command("/shout", "WORDS", "says words in capitals", saying(lambda _chat, words: words.upper())),)
'''

TOOL_FORMAT = '''
"""Calls between double angles: <<name {"argument": 1}>>."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from llamachat.dialogue.tools.call import Call, UnreadableCall, call_of
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats.base import NAME, Patterned


@dataclass(frozen=True, kw_only=True)
class Angled(Patterned):
    """A name and a JSON object."""

    def take(self, answer: str, start: int, tools: Sequence[Tool]) -> tuple[list[Call], int]:
        """One call."""
        opened = self.opened(answer, start)
        end = answer.find(">>", opened.end())
        if end < 0:
            raise UnreadableCall("a call without an end")
        return [call_of(opened["name"], json.loads(answer[opened.end() : end]))], end + 2


FORMATS = (Angled(name="angled", marks=("<<",), opening=rf"<<(?P<name>{NAME}) "),)
'''

TOOL_TEMPLATE = (
    "{% for tool in tools %}{{ tool | tojson }}{% endfor %}{% for m in messages %}[{{ m.role }}] {{ m.content }}"
    "{% for c in m.tool_calls %}<<{{ c.function.name }} {{ c.function.arguments | tojson }}>>{% endfor %}\n{% endfor %}"
)

CHAT_TEMPLATE = """{#- end: %%% -#}
{%- for m in messages -%}{{- '%' ~ m.role ~ '% ' ~ m.content ~ '%%%\\n' -}}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '%assistant% ' -}}{%- endif -%}
"""


def edit(path: Path, before: str, after: str) -> None:
    """Puts a line behind another one."""
    text = path.read_text("utf-8")
    assert text.count(before) == 1, f"{path.name} has {before!r} {text.count(before)} times"
    path.write_text(text.replace(before, before + after), "utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's package, to which everything is added."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("llamachat", "prompts", "tools"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    package = root / "llamachat"
    add_sampler(package / "engine" / "sampling")
    (package / "cli" / "shout.py").write_text(COMMAND)
    (root / "prompts" / "opposite.jinja").write_text(PROMPT)
    add_slash_command(package / "terminal" / "commands")
    formats = package / "dialogue" / "tools" / "formats"
    (formats / "angled.py").write_text(TOOL_FORMAT)
    edit(formats / "__init__.py", "FORMATS: tuple[CallFormat, ...] = (\n", "    *angled.FORMATS,\n")
    edit(formats / "__init__.py", "from llamachat.dialogue.tools.formats import ", "angled, ")
    (package / "templates" / "builtin" / "percent.jinja").write_text(CHAT_TEMPLATE)
    edit(package / "templates" / "named.py", "MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (\n",
         '    ("percent", ("%%%",)),\n')  # fmt: skip
    subprocess.run([sys.executable, str(root / "tools" / "known_templates.py")], env=environment(root), check=True)
    return root


def add_sampler(folder: Path) -> None:
    (folder / "bottom_k.py").write_text(SAMPLER)
    options, first = folder / "options.py", "\n    temp: float = "
    field = '\n    bottom_k: int = _option(0, Bounds(0), "keep the k least likely tokens; 0 is off")'
    options.write_text(options.read_text("utf-8").replace(first, field + first, 1), "utf-8")
    edit(folder / "names.py", '*("penalties", "dry", ', '"bottom_k", ')
    edit(folder / "chain.py", '    "dry": Dry.of,\n', '    "bottom_k": BottomK.of,\n')
    edit(folder / "chain.py", "from llamachat.engine.sampling.bias import LogitBias\n",
         "from llamachat.engine.sampling.bottom_k import BottomK\n")  # fmt: skip


def add_slash_command(folder: Path) -> None:
    (folder / "shouting.py").write_text(SLASH_COMMAND)
    edit(folder / "__init__.py", "from llamachat.terminal.commands import (\n", "    shouting,\n")
    edit(folder / "__init__.py", "    *attaching.COMMANDS,\n", "    *shouting.COMMANDS,\n")
    edit(folder / "guide.py", '    "The program": (', '"/shout", ')
    edit(folder / "guide.py", "EXAMPLES: dict[str, Example] = {\n",
         '    "/shout": Example("/shout hi", "HI"),\n')  # fmt: skip


def environment(copy: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(copy)}


@pytest.fixture
def run(copy: Path, own_home: Path) -> Run:
    """Runs the copy's program; what it writes."""

    def run(*arguments: str, code: int = 0, stdin: str = "", program: str = "", **more: str) -> str:
        command = [sys.executable, *([program] if program else ["-m", "llamachat"]), *arguments]
        done = subprocess.run(
            command, cwd=own_home, env={**environment(copy), **more}, input=stdin, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(with_letters(OWN / "archs" / "llama.gguf", tmp_path / "tiny.gguf"))


def test_a_sampler(run: Run, model: str) -> None:
    arguments = ["run", "-m", model, "-p", "abc", "-n", "6"]
    assert "least likely tokens; 0 is off" in run("run", "--help-all")
    least = run(*arguments, "--bottom-k", "1", "--seed", "1")
    assert least == run(*arguments, "--bottom-k", "1", "--seed", "2")
    assert least != run(*arguments, "--temp", "0")
    assert "--bottom-k: give 0 or more, not -1" in run(*arguments, "--bottom-k", "-1", code=2)


def test_a_command(run: Run) -> None:
    assert "shout" in run("--help")
    assert "How often." in run("shout", "--help")
    assert run("shout", "hi", "--times", "2") == "HI HI\n"
    assert "nothing to shout" in run("shout", " ", code=2)


def test_a_named_prompt(run: Run) -> None:
    assert "The opposite of a word" in run("prompts")
    assert "kind" in run("prompts", "opposite")
    scripted = str(ROOT / "tests" / "cli" / "scripted.py")
    said = run("run", "--prompt", "opposite", "--var", "tone=dry", "-p", "hot", "--echo", program=scripted,
               SCRIPTED_ANSWERS=json.dumps([" cold."]))  # fmt: skip
    assert "The opposite of hot, in a dry tone, is cold." in said


def test_a_slash_command(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "say.py"
    script.write_text(
        "import sys\nfrom types import SimpleNamespace\nfrom llamachat.terminal.commands import run_command\n"
        "for line in sys.argv[1:]:\n    run_command(line, SimpleNamespace(say=print))\n"
    )
    said = run("/shout hello", "/help shout", "/help", program=str(script))
    assert said.startswith("HELLO\n")
    assert "Example: /shout hi (HI)" in said
    assert "The program:\n  /shout WORDS" in said


def test_a_tool_format(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "look.py"
    script.write_text(
        "import sys\nfrom llamachat.dialogue.tools.choice import template_dialect\n"
        "print(template_dialect(sys.argv[1]).form.name)\n"
    )
    assert run(TOOL_TEMPLATE, program=str(script)) == "angled\n"


def test_a_chat_template(run: Run, copy: Path) -> None:
    assert "percent" in run("templates")
    assert run("templates", "percent").startswith("{#- end: %%% -#}")
    scripted = str(ROOT / "tests" / "cli" / "scripted.py")
    said = run("run", "--chat", "--chat-template", "percent", "-p", "hi", "--dry-run", program=scripted,
               SCRIPTED_ANSWERS=json.dumps(["Hi."]))  # fmt: skip
    assert "%user% hi%%%\n%assistant% " in said
    assert " percent" in (copy / "llamachat" / "templates" / "known.txt").read_text("utf-8")
    assert " prompts/opposite" in (copy / "llamachat" / "templates" / "known.txt").read_text("utf-8")
