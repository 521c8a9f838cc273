from pathlib import Path

import pytest
from tiny_gguf import tiny_gguf

from llamachat.catalog import resolve
from llamachat.catalog.known import DEFAULT
from llamachat.errors import LlamaChatError, ModelFileError, UsageError


@pytest.fixture(autouse=True)
def ours(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our models folder; every other program has nothing."""
    monkeypatch.setenv("LLAMACHAT_MODELS", str(own_home / "ours"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_home / ".cache"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return own_home / "ours"


@pytest.fixture
def models(ours: Path) -> dict[str, Path]:
    names = ("Qwen2.5-0.5B-Q8_0", "Qwen2.5-7B-Q4_K_M", "gemma-3-1b", DEFAULT.file.removesuffix(".gguf"))
    return {name: tiny_gguf(ours / f"{name}.gguf") for name in names}


def test_no_name_means_the_default_model_whether_it_is_there_or_not(ours: Path) -> None:
    assert resolve(None) == ours / DEFAULT.file


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("gemma-3-1b", "gemma-3-1b", id="exactly"),
        pytest.param("gemma-3-1b.gguf", "gemma-3-1b", id="with .gguf"),
        pytest.param("GEMMA", "gemma-3-1b", id="the beginning, in other letters"),
        pytest.param("qwen2.5-7b", "Qwen2.5-7B-Q4_K_M", id="the beginning of one of two"),
        pytest.param("7b", "Qwen2.5-7B-Q4_K_M", id="a part"),
        pytest.param("smollm2", DEFAULT.file.removesuffix(".gguf"), id="a short name"),
    ],
)
def test_a_name_may_be_short_as_long_as_it_is_clear(name: str, meant: str, models: dict[str, Path]) -> None:
    assert resolve(name) == models[meant]


def test_a_short_name_means_its_own_model_though_others_begin_so(ours: Path, models: dict[str, Path]) -> None:
    tiny_gguf(ours / "SmolLM2-1.7B.gguf")
    assert resolve("smollm2") == ours / DEFAULT.file


def test_a_file_that_exists_wins_over_a_name(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_gguf(tmp_path / "gemma")
    assert resolve("gemma") == Path("gemma")


def test_a_folder_of_that_name_does_not_hide_a_model(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gemma").mkdir()
    assert resolve("gemma") == models["gemma-3-1b"]


def test_a_path_in_the_home_directory_may_begin_with_a_tilde(own_home: Path) -> None:
    path = tiny_gguf(own_home / "mine.gguf")
    assert resolve("~/mine.gguf") == path


def test_of_several_places_with_one_name_ours_is_meant(own_home: Path, models: dict[str, Path]) -> None:
    tiny_gguf(own_home / ".cache/llama.cpp/gemma-3-1b.gguf")
    assert resolve("gemma-3-1b") == models["gemma-3-1b"]


def test_several_places_without_ours_are_listed(own_home: Path) -> None:
    for place in (".cache/llama.cpp/x.gguf", ".lmstudio/models/o/r/x.gguf"):
        tiny_gguf(own_home / place)
    with pytest.raises(UsageError, match=r"x is there 2 times, give a path: .*lmstudio.*, .*llama\.cpp"):
        resolve("x")


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        pytest.param("qwen", UsageError, "could be Qwen2.5-0.5B-Q8_0, Qwen2.5-7B-Q4_K_M", id="two models"),
        pytest.param("", UsageError, "the name of the model is empty", id="empty"),
        pytest.param("gema-3-1b", UsageError, "called gema-3-1b; did you mean gemma-3-1b", id="a slip"),
        pytest.param(
            "zzzz", UsageError, "`llamachat models` lists what is here, `llamachat pull`", id="nothing like it"
        ),
        pytest.param("gemma3", UsageError, "not here yet: fetch it with `llamachat pull gemma3`", id="a known model"),
        pytest.param("hf:o/r/x.gguf", UsageError, "fetch it first, with `llamachat pull hf:o/r/x.gguf`", id="hf:"),
        pytest.param("https://h/x.gguf", UsageError, "`llamachat pull https://h/x.gguf`", id="an address"),
        pytest.param("gemma-3-2b.gguf", ModelFileError, "gemma-3-2b.gguf: no such file; did you mean", id="a file"),
        pytest.param("no/such/model", ModelFileError, "no/such/model: no such file", id="a path"),
        pytest.param("nul\0byte", UsageError, "no model is called", id="a NUL"),
    ],
)
def test_what_names_no_model_is_refused_with_a_way_on(
    name: str, error: type[LlamaChatError], sentence: str, models: dict[str, Path]
) -> None:
    with pytest.raises(error) as said:
        resolve(name)
    assert sentence in str(said.value)


def test_a_slip_in_a_path_names_the_file_beside_it(tmp_path: Path) -> None:
    tiny_gguf(tmp_path / "model-q4.gguf")
    with pytest.raises(ModelFileError, match=r"no such file; did you mean model-q4\.gguf"):
        resolve(str(tmp_path / "model-q5.gguf"))


@pytest.mark.parametrize(
    ("there", "typed"),
    [("empty.gguf", "nope.gguf"), ("tiny.Q4_K_M.gguf", "nope.Q4_K_M.gguf"), ("tiny-Q8_0.GGUF", "x-Q8_0.gguf")],
)
def test_a_name_that_is_alike_only_in_its_ending_is_not_suggested(there: str, typed: str, tmp_path: Path) -> None:
    tiny_gguf(tmp_path / there)
    with pytest.raises(ModelFileError, match=r"no such file \("):
        resolve(str(tmp_path / typed))


@pytest.mark.parametrize("name", ["big", "big-00001-of-00002.gguf"])
def test_a_listed_model_that_cannot_be_used_is_named_with_the_reason(name: str, ours: Path) -> None:
    tiny_gguf(ours / "big-00001-of-00002.gguf")
    with pytest.raises(ModelFileError, match=r"1 of 2 files missing, first big-00002-of-00002\.gguf"):
        resolve(name)


def test_a_link_to_nothing_is_not_its_own_suggestion(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").symlink_to(tmp_path / "gone.gguf")
    with pytest.raises(ModelFileError, match=r"a link to .*gone\.gguf, which is not there"):
        resolve(str(tmp_path / "model.gguf"))
