"""--infill and --infill-at: which text is before a gap and which after it."""

from pathlib import Path

import pytest

from llamachat.cli.app import run_app
from llamachat.cli.run.gap import GapChoice
from llamachat.errors import UsageError

SOURCE = "one\n\tzwei ü\n\nlast"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "main.py"
    path.write_bytes(SOURCE.replace("\n", "\r\n").encode())
    return path


PLACES = [
    ("1:1", ""),
    ("1:4", "one"),
    ("1", "one"),
    ("2:3", "one\n\tz"),
    ("2", "one\n\tzwei ü"),
    ("3", "one\n\tzwei ü\n"),
    ("4:5", SOURCE),
]


@pytest.mark.parametrize(("place", "before"), PLACES)
def test_a_place_cuts_a_file(source: Path, place: str, before: str) -> None:
    gap = GapChoice(infill_at=f"main.py:{place}").gap([])
    assert (gap.prefix, gap.suffix, gap.name) == (before, SOURCE.removeprefix(before), "main.py")


WRONG = [
    ("main.py", "give a file, a line and a column"),
    ("main.py:0", "there is no line 0"),
    ("main.py:5", "there is no line 5; the last one is 4"),
    ("main.py:1:5", "there is no column 5 in line 1; the last is 4"),
    ("none.py:1", "No such file|no such file"),
]


@pytest.mark.parametrize(("place", "words"), WRONG)
def test_a_place_that_is_not_there_is_refused(source: Path, place: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        GapChoice(infill_at=place).gap([])


def test_a_line_after_the_last_newline_is_a_place(source: Path) -> None:
    source.write_text("a\n")
    assert GapChoice(infill_at="main.py:2").gap([]).prefix == "a\n"


def test_texts_are_taken_as_they_are_or_from_files(source: Path) -> None:
    gap = GapChoice(infill=("@main.py", r"@@a\n")).gap([Path("main.py")])
    assert (gap.prefix, gap.suffix) == (SOURCE, r"@a\n")
    assert gap.files == (("main.py", SOURCE),)


@pytest.mark.parametrize(
    "words", [["--chat"], ["-p", "text"], ["--infill-at", "a:1"], ["--parallel", "2"], ["--prompt", "summarize"]]
)
def test_a_gap_is_no_other_prompt(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--infill"):
        run_app(["run", "--infill", "a", "b", *words])
