"""The wheel as it is built and installed: all of the program is in it, nothing else, and it runs from anywhere."""

import ast
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy
import pytest
from golden_data import OWN, ROOT
from lettered import with_letters

from llamachat import __version__

Command = Callable[..., subprocess.CompletedProcess[str]]

SOURCES = {
    f"llamachat/{path.relative_to(folder).as_posix()}"
    for folder, files in ((ROOT / "llamachat", ROOT / "llamachat"), (ROOT, ROOT / "prompts"))
    for path in files.rglob("*")
    if path.is_file() and path.suffix != ".pyc"
}


def built(source: Path, target: Path, kind: str) -> Path:
    """A wheel or an sdist, made without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=300)
    return next(target.glob("*.whl" if kind == "wheel" else "*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is built of this checkout."""
    return built(ROOT, tmp_path_factory.mktemp("built"), "wheel")


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment's programs: the wheel is installed there, its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", str(wheel)], check=True, capture_output=True, timeout=300)
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    installed = Path(subprocess.run(where, check=True, capture_output=True, text=True, timeout=60).stdout.strip())
    (installed / "dependencies.pth").write_text(str(Path(numpy.__file__).parents[1]))
    return programs


@pytest.fixture
def run(environment: Path, own_home: Path, tmp_path: Path) -> Command:
    """Runs a program of the environment in an empty folder."""
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(environment / program), *arguments]
        done = subprocess.run(command, cwd=empty, env=own, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, list(empty.iterdir())) == (0, []), done.stderr
        return done

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny model of the golden data."""
    return with_letters(OWN / "archs" / "llama.gguf", tmp_path / "tiny.gguf")


def test_all_of_the_package_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if not name.startswith(f"llamachat-{__version__}.dist-info/")}
        metadata = file.read(f"llamachat-{__version__}.dist-info/METADATA").decode()
    assert names == SOURCES
    assert any(name.endswith(".jinja") for name in names)
    assert f"Version: {__version__}\n" in metadata


def test_a_wheel_of_the_source_archive_is_the_same(wheel: Path, tmp_path: Path) -> None:
    archive = built(ROOT, tmp_path / "sdist", "sdist")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path)  # just built; `filter` came with Python 3.11.4
    source = tmp_path / f"llamachat-{__version__}"
    assert (source / "tests" / "test_wheel.py").is_file()
    assert (source / "tools" / "copy_golden.py").is_file()
    assert (source / "LICENSE").is_file()
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(built(source, tmp_path / "again", "wheel")) as other:
        assert {info.filename: info.CRC for info in one.infolist()} == {
            info.filename: info.CRC for info in other.infolist()
        }


def test_the_installed_package_is_the_wheel_s(run: Command, environment: Path) -> None:
    program = "import llamachat, importlib.metadata as m; print(llamachat.__file__, m.version('llamachat'))"
    place, version = run("python", "-c", program).stdout.split()
    assert Path(place).is_relative_to(environment.parent)
    assert version == __version__


def test_the_program_runs(run: Command) -> None:
    assert __version__ in run("llamachat", "--version").stdout
    assert "llamachat chat" in run("llamachat", "--help").stdout
    assert __version__ in run("python", "-m", "llamachat", "--version").stdout


def test_it_answers_a_prompt(run: Command, model: Path) -> None:
    arguments = ["run", "-m", str(model), "-p", "abc", "-n", "8", "--temp", "0", "--ignore-eos"]
    done = run("llamachat", *arguments)
    assert len(done.stdout.strip()) == 8
    here = subprocess.run(
        [sys.executable, "-m", "llamachat", *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == here.stdout


def test_what_it_reads_of_its_own_is_there(run: Command, model: Path) -> None:
    """Templates, prompts, grammars, scripts for completion."""
    assert "chatml" in run("llamachat", "templates").stdout
    assert "<|im_start|>" in run("llamachat", "templates", "chatml").stdout
    assert "title" in run("llamachat", "prompts").stdout
    assert "{" in run("llamachat", "prompts", "title").stdout
    assert "--model" in run("llamachat", "completion", "bash").stdout
    answer = run("llamachat", "run", "-m", str(model), "-p", "abc", "-n", "1", "--grammar", "arithmetic").stdout
    assert re.fullmatch("[a-z0-9(]", answer.strip())


def test_a_library_s_user_has_its_types() -> None:
    """PEP 561: without this file a type checker takes everything for Any."""
    assert "llamachat/py.typed" in SOURCES


def test_every_package_that_is_imported_is_a_dependency(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        metadata = file.read(f"llamachat-{__version__}.dist-info/METADATA").decode()
        trees = [ast.parse(file.read(name)) for name in file.namelist() if name.endswith(".py")]
    needed = {normal(name) for name in re.findall(r"^Requires-Dist: ([\w.-]+)(?!.*extra ==)", metadata, re.MULTILINE)}
    modules = {name.split(".")[0] for tree in trees for name in imported(tree)}
    own = sys.stdlib_module_names | {"llamachat"}
    provided = packages_distributions()
    missing = {name for name in modules - own if not {normal(one) for one in provided.get(name, [name])} & needed}
    assert "numpy" in needed
    assert missing == set()


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(tree: ast.AST) -> Iterator[str]:
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
