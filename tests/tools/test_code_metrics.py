"""The table of sizes."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

CODE_METRICS = Path(__file__).parents[2] / "tools" / "code_metrics.py"


def test_a_breach_is_named_with_its_place_and_is_no_error(tmp_path):
    body = "\n".join(f"    x{n} = {n}" for n in range(70))
    (tmp_path / "long.py").write_text(f"def short(): pass\ndef long(a, b, c, d, e, f, g):\n{body}\n")
    done = subprocess.run([sys.executable, CODE_METRICS, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "long.py:2: long has 71 lines" in done.stdout
    assert "long has 7 parameters" in done.stdout
    assert "short" not in done.stdout


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], 0), ([7], 7), ([1, 9], 9), (list(range(1, 11)), 9), (list(range(1, 12)), 10), ([3, 1, 2], 3)],
)
def test_nine_of_ten_do_not_exceed_the_p90(values, expected):
    assert runpy.run_path(str(CODE_METRICS))["p90"](values) == expected
