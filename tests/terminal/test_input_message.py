"""Where a typed message ends and what of it is said; how its surroundings are shortened."""

import pytest
from prompt_toolkit.data_structures import Size

from llamachat.terminal.columns import shortened
from llamachat.terminal.input.labels import has_room
from llamachat.terminal.input.message import going_on, said_in, typed_of


@pytest.mark.parametrize(
    ("text", "more"),
    [
        pytest.param("hello", None, id="a line"),
        pytest.param("", None, id="nothing"),
        pytest.param("one\\", "one\n", id="backslash"),
        pytest.param("\\", "\n", id="only a backslash"),
        pytest.param('"""', '"""\n', id="block begins"),
        pytest.param('  """one', '  """one\n', id="block with a first line"),
        pytest.param('"""one\\', '"""one\\\n', id="a backslash in a block is text"),
        pytest.param('"""one"""', None, id="block of a line"),
        pytest.param('"""\none\n"""', None, id="block ends"),
        pytest.param('say """ to me', None, id="quotes in a sentence"),
    ],
)
def test_a_message_goes_on_after_a_backslash_and_in_a_block(text, more):
    assert going_on(text) == more


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('"""\none\n\n two\n"""', "one\n\n two", id="block"),
        pytest.param('"""one"""  ', "one", id="one line"),
        pytest.param('""""""', "", id="nothing"),
        pytest.param('"""\n/help\n"""', "/help", id="a command in a block is for the model"),
        pytest.param('"""Doc."""\nx = 1', '"""Doc."""\nx = 1', id="code that begins with a docstring"),
        pytest.param("a \\\n  b", "a \\\n  b", id="a pasted backslash stays"),
        pytest.param('"""', '"""', id="three quotes are no block"),
        pytest.param('""" """ """', '""" """ """', id="an open block"),
    ],
)
def test_what_stands_in_a_block_is_the_message(text, said):
    assert typed_of(text).text == said
    assert typed_of(text).literal is (said != text)


def test_a_small_terminal_has_no_room_for_a_status():
    assert [has_room(Size(rows, columns)) for rows, columns in ((10, 40), (9, 40), (10, 39))] == [True, False, False]


def test_a_shortened_text_never_takes_more_columns_than_there_are():
    for columns in range(1, 12):
        assert shortened("ab漢字cd漢", columns) == "ab漢字cd漢"[: len(shortened("ab漢字cd漢", columns)) - 1] + (
            "…" if columns < 10 else "漢"
        )


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("hello", True),
        ("//help me", True),
        ('"""\none\ntwo\n"""', True),
        ("read it", True),
        ("/regen", False),
        ("hell", False),
        ("", False),
        ('""""""', False),
    ],
)
def test_what_was_typed_is_found_among_messages(typed, found):
    messages = ["hello", "/help me", "one\ntwo", "File a:\n```\ntext\n```\n\nread it"]
    assert said_in(typed, messages) == found
