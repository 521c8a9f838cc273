"""Of several answers some fail: the others are written, and what the first of them raised is raised."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from llamachat.engine.events import Event, Failed, Stop, Token
from llamachat.engine.parallel import Request
from llamachat.errors import LlamaChatError, ModelFileError
from llamachat.terminal.batch import BatchRun, run_batch
from llamachat.terminal.status import Status


class Scripted:
    """Answers: the second and the fourth fail."""

    def answers(self, wanted: Any, progress: Any) -> Iterator[tuple[int, Event]]:
        yield 0, Token("one", 1)
        yield 1, Token("t", 2)
        yield 1, Failed("", LlamaChatError("nothing is left"))
        yield 3, Failed("", ModelFileError("no numbers"))
        yield 2, Token("three", 3)
        yield 0, Stop("", "eos")
        yield 2, Stop("", "eos")

    def cancel(self) -> None:
        pass

    def resume(self) -> None:
        pass


def job(form: str) -> BatchRun:
    model: Any = SimpleNamespace(tokenizer=SimpleNamespace(piece_bytes=lambda token, special=False: b"x"))
    batch: Any = Scripted()
    return BatchRun(model, batch, Status(), 100, 0.0, form)


def test_texts_of_the_others_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LlamaChatError, match="nothing is left"):
        run_batch(job("text"), [Request([1])] * 4)
    written = capsys.readouterr()
    assert [part.strip() for part in written.out.split("---")] == ["one", "t", "three", ""]
    assert "prompt 4: no numbers" in written.err


def test_a_record_says_what_was_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LlamaChatError):
        run_batch(job("json"), [Request([1])] * 4)
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["reason"], one.get("error")) for one in records] == [
        ("eos", None),
        ("error", "nothing is left"),
        ("eos", None),
        ("error", "no numbers"),
    ]
