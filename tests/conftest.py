"""Every test gets a home of its own; golden data and real models are found, or the test is skipped with a reason."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from golden_data import GOLDEN

from llamachat.catalog.paths import models_folder

if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup a program would rightly not hear it
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; what waits for Ctrl+C would hang
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
MODELS = models_folder()


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the person's configuration, data or history; the object cache is shared by a run."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    for name in [name for name in os.environ if name.startswith("LLAMACHAT_") and name not in KEPT]:
        monkeypatch.delenv(name)
    return home


KEPT = ("LLAMACHAT_CACHE", "LLAMACHAT_MODELS")

# Compiled kernels are kept between runs; their names follow the sources that wrote them.
os.environ.setdefault("LLAMACHAT_CACHE", str(ROOT / ".pytest_cache" / "llamachat"))


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden data; `golden_data.needed` skips a test whose file is not in it."""
    return GOLDEN


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The default model's file, fetched before the tests by `make test`."""
    return _real_model("SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="session")
def gemma3() -> Path:
    """Gemma 3 270M, fetched before the tests by `make test`."""
    return _real_model("gemma-3-270m-Q4_K_M.gguf")


def _real_model(name: str) -> Path:
    if not (MODELS / name).is_file():
        pytest.skip(f"{name} is not in {MODELS}: `make models` fetches it")
    return MODELS / name


class SmallDisk:
    """A file system of two megabytes, in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Leaves no byte free."""
        with open(self.path / "filler", "ab", buffering=0) as file:
            for size in (4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Takes back what `fill` has written."""
        (self.path / "filler").unlink()

    def remount(self, how: str) -> None:
        """Makes it "ro" or "rw"; not while a file on it is open for writing."""
        _mount("-o", f"remount,{how}", str(self.path))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Skips the test where nothing may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder))
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
