import os
import stat
from pathlib import Path

import pytest

from llamachat.catalog import paths
from llamachat.catalog.paths import cache_folder, make_private, models_folder
from llamachat.errors import LlamaChatError


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMACHAT_MODELS", raising=False)
    monkeypatch.delenv("LLAMACHAT_CACHE", raising=False)


def test_models_live_in_the_user_s_data_directory(own_home: Path) -> None:
    assert models_folder().parts[-2:] == ("llamachat", "models")
    assert models_folder().is_relative_to(own_home)


@pytest.mark.parametrize(
    ("variable", "folder"), [("LLAMACHAT_MODELS", models_folder), ("LLAMACHAT_CACHE", cache_folder)]
)
def test_a_variable_chooses_the_folder(variable: str, folder: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "some/place")
    assert callable(folder)
    assert folder() == Path.cwd() / "some/place"


def test_an_empty_variable_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_MODELS", "")
    assert models_folder().name == "models"


def test_looking_for_the_folder_makes_nothing(own_home: Path) -> None:
    models_folder()
    cache_folder()
    assert list(own_home.iterdir()) == []


def test_a_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    made = make_private(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LlamaChatError, match=r"file/models.*(Not a directory).*set LLAMACHAT_MODELS"):
        make_private(tmp_path / "file" / "models")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what Python does for an unknown user
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LlamaChatError, match="no home directory: set LLAMACHAT_MODELS"):
        models_folder()
    with pytest.raises(LlamaChatError, match="no home directory: set LLAMACHAT_CACHE"):
        paths.cache_folder()
