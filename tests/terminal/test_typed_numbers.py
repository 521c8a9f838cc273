"""Numbers behind commands: those that there are, and no others, however long they are."""

import pytest
from scripted_chat import talk

from llamachat.errors import UsageError
from llamachat.terminal.commands import run_command


@pytest.mark.parametrize("command", ["/switch", "/edit", "/undo", "/copy", "/copy code", "/thoughts", "/why", "/why 1"])
@pytest.mark.parametrize("number", ["0", "99", "9" * 5000])
def test_a_number_that_there_is_not_is_refused(make, command, number):
    chat = make("<think>\nHm.\n</think>\n\n```\nx\n```")
    chat.ask("one")
    before = talk(chat)
    with pytest.raises(UsageError):
        run_command(f"{command} {number}", chat)
    assert talk(chat) == before
