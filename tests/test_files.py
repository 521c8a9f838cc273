"""Files that a person names are never read beyond what fits their purpose."""

import os
from pathlib import Path

import pytest

from llamachat.cli.prompt import read_file
from llamachat.cli.prompt_library.reading import read_prompt
from llamachat.cli.template_choice import TemplateChoice
from llamachat.dialogue.tools.definition import read_tools
from llamachat.engine.grammar import GrammarSource
from llamachat.engine.speculation.lookup import StaticNgrams
from llamachat.errors import UsageError
from llamachat.files import read_at_most

READERS = [
    pytest.param(lambda path: GrammarSource.of_file("gbnf", path), id="--grammar-file"),
    pytest.param(lambda path: GrammarSource.of_file("json-schema", path), id="--json-schema-file"),
    pytest.param(lambda path: StaticNgrams.of_file(path, 10), id="--lookup-cache-static"),
    pytest.param(read_tools, id="--tools"),
    pytest.param(lambda path: TemplateChoice(str(path)), id="--chat-template"),
    pytest.param(read_file, id="--file"),
    pytest.param(read_prompt, id="--prompt"),
]


@pytest.mark.parametrize("read", READERS)
def test_a_file_larger_than_memory_is_refused(tmp_path: Path, read) -> None:
    path = tmp_path / "huge"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(UsageError, match=r"huge has more than \d+ bytes"):
        read(path)


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert read_at_most(path, 3) == b"abc"
    with pytest.raises(UsageError, match=r"^it has more than 2 bytes"):
        read_at_most(path, 2, "it")


def test_a_device_without_an_end_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^/dev/zero has more than 9 bytes"):
        read_at_most(Path("/dev/zero"), 9)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^it: is a directory"):
        read_at_most(tmp_path, 9, "it")
