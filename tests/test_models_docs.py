"""docs/models.md, README and `show --architectures` say which architectures there are; families' files are short."""

import json
import sys
from pathlib import Path

import pytest
from golden_data import ALL, GOLDEN

from llamachat.cli.app import run_app
from llamachat.engine.models import architectures
from llamachat.engine.models.features import supported
from llamachat.errors import UsageError

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
import make_models_docs as tool


def test_the_documents_are_what_the_tool_writes() -> None:
    if GOLDEN != ALL:
        pytest.skip("features come from all golden models (../shared/golden), which are not here")
    written = tool.written()
    different = [path.name for path, text in written.items() if path.read_text("utf-8") != text]
    assert different == [], "python tools/make_models_docs.py"


@pytest.mark.parametrize("path", sorted(tool.FAMILIES.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_the_file_of_a_family_is_short(path: Path) -> None:
    assert tool.lines_of(path) <= tool.LONGEST or path.stem in tool.LONGER


def test_every_architecture_says_which_models_it_is() -> None:
    assert all(architectures().values())
    assert [one.name for one in supported()] == [*architectures()]


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["show", "--architectures"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in architectures())
    run_app(["show", "--architectures", "-o", "json"])
    listed = json.loads(capsys.readouterr().out)["architectures"]
    assert {one["name"]: one["models"] for one in listed} == dict(architectures())
    assert next(one for one in listed if one["name"] == "gemma3")["features"] == ["rotary", "windows"]
    with pytest.raises(UsageError, match="leave MODEL out"):
        run_app(["show", "--architectures", "smollm2"])
