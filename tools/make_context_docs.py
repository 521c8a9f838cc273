"""Writes the table of operations on contexts, which tests check cell by cell, into docs/architecture.md."""

import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "architecture.md"
TABLE = re.compile(r"^\| operation \|.*\n(?:\|.*\n)+", re.MULTILINE)

if __name__ == "__main__":
    sys.path.append(str(ROOT / "tests"))
    table: str = importlib.import_module("context_operations").table()
    text, n_found = TABLE.subn(lambda _: table + "\n", TARGET.read_text("utf-8"))
    assert n_found == 1, f"{TARGET} has {n_found} tables of operations"
    TARGET.write_text(text, "utf-8")
