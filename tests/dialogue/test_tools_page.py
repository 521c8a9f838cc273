"""docs/tools.md: the table agrees with what the program knows, and the example is a file of tools that works."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from golden_data import needed

from llamachat.dialogue.tools.call import Call
from llamachat.dialogue.tools.definition import read_tools
from llamachat.dialogue.tools.running import run_call

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tools.md").read_text("utf-8")


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_tools_docs", ROOT / "tools" / "make_tools_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_template_with_tools_is_read_back_or_refused_as_the_page_says(golden, maker):
    found = [
        (name, source) for name, source in maker.templates([needed(golden / "templates")]) if maker.with_tools(source)
    ]
    assert len(found) > 40
    lines = PAGE.splitlines()
    assert [row for row in (maker.row(name, source) for name, source in found) if row not in lines] == []


def test_rows_of_templates_that_are_not_here_stay(maker):
    built_in = {name: maker.row(name, source) for name, source in maker.templates([]) if maker.with_tools(source)}
    assert maker.page(PAGE, built_in) == PAGE, "run python tools/make_tools_docs.py"


def test_the_text_of_the_page_is_the_maker_s(maker):
    before, _, after = maker.HEAD.partition("{summary}")
    assert PAGE.startswith(before)
    assert after in PAGE


@pytest.mark.skipif(shutil.which("sh") is None or shutil.which("wc") is None, reason="needs sh and wc")
def test_the_example_can_be_used(tmp_path):
    path = tmp_path / "tools.json"
    path.write_text(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1])
    tools = read_tools(path)
    assert run_call(Call("count_words", {"text": 'a "b" $(c)'}), tools) == "3"
    assert "error" not in run_call(Call("now", {}), tools)
