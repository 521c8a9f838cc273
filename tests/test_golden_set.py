"""The golden data of the repository: what its maker copies, at most six megabytes, and nothing that git ignores."""

import subprocess
import sys

import pytest
from golden_data import ALL, OWN, ROOT, needed

sys.path.append(str(ROOT / "tools"))

import copy_golden

LARGEST = 6_000_000
FILES = sorted(str(path.relative_to(OWN).as_posix()) for path in OWN.rglob("*") if path.is_file())


def test_the_set_is_small_and_is_what_the_maker_copies() -> None:
    assert sorted([*copy_golden.files(), "README.md"]) == FILES
    assert sum((OWN / name).stat().st_size for name in FILES) <= LARGEST


@pytest.mark.parametrize("name", copy_golden.files())
def test_each_file_is_that_of_all_golden_data(name: str) -> None:
    assert needed(ALL / name).read_bytes() == (OWN / name).read_bytes()


def test_git_ignores_none_of_them() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *(str(OWN / name) for name in FILES)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ignored.stdout == ""
