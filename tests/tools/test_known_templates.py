"""The list of templates that may run in the program's own process."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

from known_templates import LIST, listed, template_hash  # noqa: E402

KNOWN = LIST.read_text("utf-8")


def test_the_list_is_what_the_tool_writes():
    assert listed(KNOWN, {}) == KNOWN, "run python tools/known_templates.py"


def test_a_template_is_added_once_and_an_old_version_of_our_own_goes():
    before = KNOWN + "00000000000000000000000000000000 chatml\n11111111111111111111111111111111 another\n"
    after = listed(before, {"mine": "{{ messages }}", "again": "{{ messages }}"})
    lines = after.splitlines()
    assert lines[-2:] == ["11111111111111111111111111111111 another", f"{template_hash('{{ messages }}')} mine"]
    assert after.startswith(KNOWN)
    assert "00000000000000000000000000000000" not in after
