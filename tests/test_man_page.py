"""The man page: what the manual says, in roff."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools"))

from make_cli_docs import MAN_PAGE, manual  # noqa: E402
from roff import roff  # noqa: E402

from llamachat import __version__  # noqa: E402


def test_the_man_page_is_up_to_date():
    assert MAN_PAGE.read_text("utf-8") == roff(manual(), "llamachat", __version__)


@pytest.mark.parametrize(
    ("markdown", "lines"),
    [
        ("## A name", ['.SH "A NAME"']),
        ("**Part**", ['.SS "Part"']),
        ("a **b** *c* `d-e`", [".PP", r"a \fBb\fR \fIc\fR \fBd\-e\fR"]),
        ("two\nlines", [".PP", "two lines"]),
        ("    $ x\n    .y \\z", [".PP", ".RS 4", ".nf", "$ x", r"\&.y \ez", ".fi", ".RE"]),
        (
            "- `--x N` (`x`): Does\n  it.\n- `-y`: Y.",
            [".TP", r"\fB\-\-x N\fR (\fBx\fR)", "Does it.", ".TP", r"\fB\-y\fR", "Y."],
        ),
        ("| a | b |\n| --- | --- |\n| `c` | d\\|e |", [".TP", r"\fBc\fR", "d|e"]),
        ("'quoted", [".PP", r"\&'quoted"]),
    ],
)
def test_each_form_has_its_macros(markdown, lines):
    assert roff(markdown, "x", "1").splitlines()[3:] == lines


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not on this machine")
def test_groff_reads_it_and_every_option_of_run_is_there():
    command = ["groff", "-man", "-Tascii", "-P-cbou", str(MAN_PAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "unknown" not in done.stderr
    shown = re.sub(r"\s+", " ", done.stdout)
    for named in ("llamachat - chat with", "-n, --n-predict, --predict N", "LLAMACHAT_CTX_SIZE", "130"):
        assert named in shown
