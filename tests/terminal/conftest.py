"""The scripted model of the command line's tests is this folder's, too; people who talk are sent home in the end."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cli"))


@pytest.fixture(autouse=True)
def colourful(monkeypatch):
    """Whatever terminal the tests are started from."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make(capsys):
    """Makes a chat of the answers of a scripted model; what it says is captured."""
    from scripted_chat import made

    return made


@pytest.fixture
def talk(own_home):
    """Starts a chat, as `talker`, and waits for the prompt unless told otherwise."""
    from talking_at import talker

    people = []

    def start(*arguments, wait=True, **more):
        people.append(talker(own_home, *arguments, **more))
        if wait:
            people[-1].ready()
        return people[-1]

    yield start
    for person in people:
        person.dismiss()
