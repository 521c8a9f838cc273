"""The way of a prompt from the command line to the engine: which files it passes, and that it only goes down.

Each file counts when it first gets the prompt: after one layer come files of this layer and lower ones only. Rendering
a chat template is a subject of its own, whose files are not counted.
"""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from scripted import ScriptedModel

import llamachat
from llamachat.cli import loading
from llamachat.cli.app import run_app
from llamachat.dialogue.prompts import Prompt
from llamachat.terminal.sanitize import clean

PACKAGE = Path(llamachat.__file__).parent
LAYERS = ("cli", "terminal", "dialogue", "templates", "engine")
WORD = "Tangerine"
MOST_FILES = 10


def carries(value: Any, depth: int = 3) -> bool:
    """Whether a value is the prompt as text or as tokens, or holds it."""
    if isinstance(value, str):
        return WORD in value
    if isinstance(value, list | tuple):
        tokens = value[: len(value)] if value and all(isinstance(one, int) for one in value) else None
        if tokens is not None:
            return WORD.encode() in bytes(one for one in tokens if one < 256)
        return depth > 0 and any(carries(one, depth - 1) for one in value)
    if isinstance(value, dict):
        return depth > 0 and any(carries(one, depth - 1) for one in value.values())
    fields = getattr(value, "__dict__", None)
    return depth > 1 and type(value).__name__ in ("RunPrompt", "Prompt", "Worded") and carries(fields or {}, 1 + depth)


class Way:
    """The files of the package in which a function is called with the prompt: from `run` to the first evaluation."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.begun = self.ended = False

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        self.begun = self.begun or (code.co_name == "run" and code.co_filename.endswith("cli/run/__init__.py"))
        self.ended = self.ended or (code.co_name == "eval" and code.co_filename.endswith("scripted.py"))
        if event != "call" or not self.begun or self.ended or not code.co_filename.startswith(f"{PACKAGE}/"):
            return
        given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(carries(frame.f_locals.get(name)) for name in given):
            file = str(Path(code.co_filename).relative_to(PACKAGE))
            if file not in self.files:
                self.files.append(file)


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Callable[..., list[str]]:
    """What a command line's prompt passes."""
    model = ScriptedModel(["An answer."])
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: model)
    monkeypatch.setattr(sys, "stdin", None)

    def passed(*arguments: str) -> list[str]:
        seen = Way()
        threading.setprofile(seen)
        sys.setprofile(seen)
        try:
            assert run_app(list(arguments)) == 0
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        assert seen.ended
        return seen.files

    return passed


def layer(file: str) -> int:
    """The place of a file's package from above; what the engine does among its own files is its own matter."""
    return LAYERS.index(file.partition("/")[0])


@pytest.mark.parametrize("form", [[], ["--chat"], ["--chat", "--system", "Be brief.", "-n", "3"]])
def test_a_prompt_passes_ten_files_at_most_on_its_way_down(way, form, capsys):
    files = way("run", "-p", f"{WORD}?", *form)
    layers = [layer(file) for file in files]
    assert layers == sorted(layers), files
    passed = [file for file in files if not file.startswith(("templates/", "engine/"))]
    assert len(passed) <= MOST_FILES, files
    assert (files[0], files[-1].partition("/")[0]) == ("cli/run/__init__.py", "engine")


def test_the_measure_sees_a_higher_file_that_gets_the_prompt_late(way, monkeypatch, capsys):
    monkeypatch.setattr(Prompt, "tokens", lambda self, tokenizer, _n_ctx: tokenizer.encode(clean(self.worded.text)))
    layers = [layer(file) for file in way("run", "-p", f"{WORD}?")]
    assert layers != sorted(layers)
