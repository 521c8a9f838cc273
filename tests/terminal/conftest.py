"""The scripted model of the command line's tests is this folder's, too."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cli"))


@pytest.fixture
def make(capsys):
    """Makes a chat of the answers of a scripted model; what it says is captured."""
    from scripted_chat import made

    return made
