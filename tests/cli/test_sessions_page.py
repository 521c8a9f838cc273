"""The commands of docs/sessions.md do what is said there, with a real model."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llamachat.engine.generation_context import common_prefix
from llamachat.session.chats import ChatStore
from llamachat.session.prompt_cache import open_prompt_cache

ROOT = Path(__file__).parents[2]
TYPED = b"My name is Anna.\nWhat is my name?\n"


def steps():
    """The blocks of commands of the page, in order."""
    return re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "sessions.md").read_text(), re.DOTALL)


@pytest.fixture
def shell(tmp_path, smollm2, monkeypatch):
    """Runs a block of the page, each command with the same typed lines; what the commands printed."""
    shutil.copytree(ROOT / "prompts", tmp_path / "prompts")
    program = tmp_path / "bin" / "llamachat"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m llamachat "$@"\n')
    program.chmod(0o755)
    settings = {"MODEL": str(smollm2), "DATA": str(tmp_path / "data"), "TEMP": "0"}
    own = {**os.environ, **{f"LLAMACHAT_{name}": value for name, value in settings.items()}}
    own |= {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(block):
        said = []
        for line in block.splitlines():
            typed = b"" if line.startswith("llamachat run") else TYPED
            short = f"{line} -n 24" if "interactive" in line or "chat --session" in line else line
            done = subprocess.run(
                ["sh", "-c", short], input=typed, env=own, cwd=tmp_path, capture_output=True, timeout=300
            )
            assert done.returncode == 0, (line, done.stderr)
            said.append(done.stdout.decode())
        return said

    return run


def test_the_classic_workflow_of_the_page(shell, tmp_path):
    start, resume, same_prompt, other_prompt = steps()
    begun = shell(start)
    prompt = (ROOT / "prompts" / "chat-persistent.txt").read_text().rstrip("\n")
    assert begun[2].startswith(prompt)
    n_prompt = len(open_prompt_cache(tmp_path / "prompt.safetensors", {}).tokens)
    n_begun = len(open_prompt_cache(tmp_path / "anna.safetensors", {}).tokens)
    assert n_begun > n_prompt
    resumed = shell(resume)
    assert resumed[0].startswith(f"{prompt} My name is Anna.")
    assert resumed[0].count("My name is Anna.") >= 2  # before, and typed again
    assert len(open_prompt_cache(tmp_path / "anna.safetensors", {}).tokens) > n_begun
    shell(same_prompt)
    begun, ben = (open_prompt_cache(tmp_path / f"{name}.safetensors", {}).tokens for name in ("prompt", "ben"))
    assert common_prefix(begun, ben) >= n_prompt - 3  # but for the line break at the end of the file
    shell(other_prompt)
    assert (
        open_prompt_cache(tmp_path / "talk.safetensors", {}).tokens[:20]
        != (open_prompt_cache(tmp_path / "prompt.safetensors", {}).tokens[:20])
    )
    with ChatStore(tmp_path / "data" / "chats" / "chats.db") as store:
        assert {one.name: one.n_messages for one in store.latest()} == {"anna": 4, "ben": 2, "talk": 2}
        last = store.path_of(store.find("anna"))[-1].extra
    assert last["n_prompt"] > last["n_generated"]
    assert set(last) >= {"reason", "model", "template", "sampling", "n_known", "prompt_s", "generation_s"}
