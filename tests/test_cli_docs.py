"""docs/cli.md says what the program says."""

import re
import sys
from pathlib import Path

from llamachat.cli.settings.variables import VARIABLES

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools"))

from make_cli_docs import TARGET, manual  # noqa: E402

TEXT = TARGET.read_text("utf-8")


def test_the_manual_is_up_to_date():
    assert manual() == TEXT, "run python tools/make_cli_docs.py"


def test_the_manual_does_not_depend_on_who_makes_it(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LLAMACHAT_TEMP", "0.1")
    assert manual() == TEXT


def test_every_variable_that_the_sources_read_is_in_its_table():
    package = ROOT / "llamachat"
    named = {
        name for path in package.rglob("*.py") for name in re.findall(r"LLAMACHAT_[A-Z_]+", path.read_text("utf-8"))
    }
    assert named == set(VARIABLES)


def test_the_manual_has_no_line_of_prose_that_is_too_long():
    long = [line for line in TEXT.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert long == []


def test_no_sentence_runs_into_another_one():
    assert re.findall(r".*(?:each|[^\w\s`.])\.[a-z]+ .*", re.sub(r"`[^`]*`", "", TEXT)) == []
