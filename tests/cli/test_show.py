import json
from pathlib import Path

import pytest
from tiny_gguf import LLAMA, tiny_gguf

from llamachat.catalog.details import read_details
from llamachat.cli.app import run_app
from llamachat.errors import ModelFileError
from llamachat.terminal.model_page import page_lines

RICH = {
    **LLAMA,
    "tokenizer.ggml.tokens": [f"piece{number}" for number in range(100)],
    "tokenizer.ggml.scores": [0.5, float("nan")],
    "general.tags": ["a", "b"],
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "general.description": "first\nline \x1b]52;c;aGk=\x07" + "word " * 200,
    "tokenizer.chat_template": "{{ bos }}\n  {%- if x %}\x1b[2J{%- endif %}",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_gguf(tmp_path / "tiny.gguf", RICH, n_rows=500)


def test_the_page_names_what_matters(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_app(["show", str(path)])
    shown = capsys.readouterr().out
    lines = (
        "architecture  llama",
        "type          F32",
        "parameters    4000",
        "context       2048 tokens",
        "F32       1  16 kB",
        'general.tags = ["a", "b"]',
        "layer_norm_rms_epsilon = 1e-05\n",
    )
    for line in lines:
        assert line in shown


def test_a_long_array_is_its_length_and_the_first_of_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_app(["show", str(path)])
    shown = capsys.readouterr().out
    assert 'tokenizer.ggml.tokens = [100 strings: "piece0", "piece1", "piece2", ...]' in shown
    assert "piece3" not in shown


def test_the_chat_template_keeps_its_lines_and_stands_at_the_end(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_app(["show", str(path)])
    assert capsys.readouterr().out.endswith("Chat template\n  {{ bos }}\n    {%- if x %}{%- endif %}\n")


def test_a_file_cannot_write_to_the_terminal(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_app(["show", str(path)])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "aGk=" not in shown


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_but_of_the_template_is_wider_than_the_terminal(width: int, path: Path) -> None:
    lines = list(page_lines(read_details(path), width))
    assert max(map(len, lines)) <= width


def test_programs_get_every_field_and_proper_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_app(["show", str(path), "--output", "json"])
    record = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (record["n_params"], record["n_bytes"], record["n_ctx"]) == (4000, path.stat().st_size, 2048)
    assert record["tensors"] == [{"type": "F32", "count": 1, "n_bytes": 16_000}]
    assert record["metadata"]["tokenizer.ggml.tokens"] == {"length": 100, "first": ["piece0", "piece1", "piece2"]}
    assert record["metadata"]["tokenizer.ggml.scores"] == [0.5, "nan"]
    assert record["chat_template"] == RICH["tokenizer.chat_template"]


def test_a_model_without_a_template_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_app(["show", str(tiny_gguf(tmp_path / "tiny.gguf"))])
    assert capsys.readouterr().out.endswith("No chat template\n")


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(b"no model")
    with pytest.raises(ModelFileError, match=r"tiny\.gguf"):
        run_app(["show", str(path)])


def test_the_real_model_is_shown_by_its_name(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLAMACHAT_MODELS", str(smollm2.parent))
    run_app(["show", "smollm2"])
    shown = capsys.readouterr().out
    assert "parameters    134.5 million" in shown
    assert "49152 strings" in shown
