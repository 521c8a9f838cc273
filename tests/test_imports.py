"""Packages that a start may not load, because they take time; and every module has a layer."""

import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import llamachat
from llamachat import engine
from llamachat.cli import run
from llamachat.cli.app import make_program

HEAVY = ("filelock", "huggingface_hub", "jinja2", "llvmlite", "numpy", "prompt_toolkit", "psutil", "pydantic", "rich",
         "sqlite3", "tokenizers")  # fmt: skip


def loaded(code: str) -> list[str]:
    """The heavy packages that are loaded when the code has run."""
    ending = (
        f"import atexit, sys; atexit.register(lambda: print([n for n in {HEAVY} if n in sys.modules], file=sys.stderr))"
    )
    done = subprocess.run([sys.executable, "-c", f"{ending}\n{code}"], capture_output=True, text=True, check=True)
    return eval(done.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize(
    "argument",
    [pytest.param(["--version"], id="version"), pytest.param(["--help"], id="help"), pytest.param([], id="none")],
)
def test_a_question_about_the_program_loads_nothing_heavy(argument):
    assert (
        loaded(f"import sys; sys.argv = ['llamachat', *{argument}]\nfrom llamachat.__main__ import main; main()") == []
    )


def test_the_version_is_answered_before_typer_is_imported():
    code = "import sys; sys.argv = ['llamachat', '--version']\nfrom llamachat.__main__ import main; main()"
    assert loaded(f"{code}\nassert 'typer' not in sys.modules") == []


def test_a_command_loads_no_other_one():
    code = "import sys; sys.argv = ['llamachat', 'config', 'path']\nfrom llamachat.cli.app import run_app"
    others = "[name for name in ('chat', 'run', 'bench') if f'llamachat.cli.{name}' in sys.modules]"
    assert loaded(f"{code}\nrun_app(sys.argv[1:])\nassert not {others}, {others}") == []


def test_a_command_is_a_module_or_a_package_and_not_every_package_is_one():
    commands = make_program().commands
    assert {"run", "chat"} <= {*commands}
    assert not {"settings", "shells", "checkup", "prompt_library", "app"} & {*commands}
    assert hasattr(run, "__path__")


def test_importing_the_package_loads_nothing_heavy():
    assert loaded("import llamachat") == []


def test_every_module_has_its_layer_in_the_contract():
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = sorted(module for layer in layers for module in layer.split(" | "))
    above = {"llamachat.__main__", "llamachat.engine"}  # the program itself, and the package of the engine's layers
    there = {
        module.name
        for package in (llamachat, engine)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    }
    assert placed == sorted(there - above)


def test_no_threads_of_blas_are_started_and_other_programs_are_not_told():
    code = """
import os, sys
sys.argv = ["llamachat", "tokenize", "-m", "nothing.gguf", "text"]
from llamachat.__main__ import main
try:
    main()
except SystemExit:
    pass
assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
import llamachat.engine.model
assert "OPENBLAS_NUM_THREADS" not in os.environ
if sys.platform == "linux":
    assert len(os.listdir("/proc/self/task")) == 1
"""
    assert "numpy" in loaded(code)
