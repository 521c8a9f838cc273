"""Two golden models of the same 80 letters, which every test of comparing and measuring may read."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from golden_models import file_of
from lettered import with_letters

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base, and another model of its vocabulary."""
    folder = tmp_path_factory.mktemp("pair")
    names = ("llama", "llama-bias")
    return with_letters(file_of(names[0]), folder / "a.gguf"), with_letters(file_of(names[1]), folder / "b.gguf")


@pytest.fixture
def program() -> Run:
    """Runs a command line to its end."""

    def run(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "llamachat", *map(str, arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, text=True)

    return run
