"""Where golden data lies: all of it in ../shared/golden beside the checkout, or the small set in tests/golden."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / "tests" / "golden"
ALL = ROOT.parent / "shared" / "golden"
GOLDEN = ALL if ALL.is_dir() else OWN


def needed(path: Path) -> Path:
    """A file of golden data; skips the test where only all of the data has it."""
    if not path.exists():
        pytest.skip(f"{path.name} is not in tests/golden, and all golden data (../shared/golden) is not here")
    return path
