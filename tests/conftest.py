"""Every test gets a home of its own; golden data and real models are found, or the test is skipped with a reason."""

import os
from pathlib import Path

import pytest

from llamachat.catalog.paths import models_folder

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
    """The folder of golden data beside the checkout."""
    folder = ROOT.parent / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip("golden data (../shared/golden) is not here")
    return folder


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
