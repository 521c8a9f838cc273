"""No command writes its result over what it reads, by whatever option."""

import shutil
from pathlib import Path

import pytest
from golden_models import file_of

from llamachat.cli.app import run_app
from llamachat.engine.gguf import open_gguf
from llamachat.errors import UsageError
from llamachat.prepare.merge_lora import Adapter, merge_lora
from llamachat.prepare.splitting import plan_split, write_split

SAID = "is the file that is read"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("some words " * 40)
    return Path(shutil.copy(file_of("llama"), tmp_path / "model.gguf"))


@pytest.mark.parametrize("name", ["model.gguf", "text.txt"])
@pytest.mark.parametrize("words", ["imatrix -o", "perplexity --kl-divergence-base"])
def test_a_model_and_a_text_stay(words: str, name: str, model: Path) -> None:
    target, (command, option) = model.with_name(name), words.split()
    before = target.read_bytes()
    given = [command, "-m", str(model), "-f", str(model.with_name("text.txt")), "-c", "16"]
    with pytest.raises(UsageError, match=SAID):
        run_app([*given, option, str(target), "--overwrite"])
    assert target.read_bytes() == before


def test_no_part_of_a_split_model_is_replaced(model: Path) -> None:
    file = open_gguf(model)
    parts = [one.path for one in plan_split(file, model.with_name("part.gguf"), max_tensors=len(file.tensors) // 2 + 1)]
    write_split(file, plan_split(file, model.with_name("part.gguf"), max_tensors=len(file.tensors) // 2 + 1))
    before = parts[1].read_bytes()
    with pytest.raises(UsageError, match=SAID):
        merge_lora(parts[0], [Adapter(model)], parts[1], overwrite=True)
    assert parts[1].read_bytes() == before
