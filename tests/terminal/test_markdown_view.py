"""Answers in Markdown on a screen: what is finished stays, what is not is drawn anew, and nothing else moves."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from screens import DRAWINGS, Terminal

from llamachat.engine.events import Event, Token
from llamachat.terminal import markdown, theme
from llamachat.terminal.markdown import markdown_lines
from llamachat.terminal.view import MarkdownView

SAMPLE = """# Fruit

Three *good* fruits, with `code` and a very long sentence that surely has to be wrapped somewhere:

- apples
- pears
    - of several kinds

  and a paragraph of the item
- plums

1. first
2. second

| name | 漢字 |
| --- | --- |
| a | 🙂 |

> said
> somebody

```python
def f(x):

    return x
```

The end
"""


WORDS = (
    *("Fruit", "Three good fruits", "apples", "of several kinds", "and a paragraph of the item", "plums", "first"),
    *("second", "漢字", "🙂", "said", "somebody", "def f(x):", "    return x", "The end"),
)
PARTS = (
    *("word ", "**bold** ", "\n", "\n\n", "- item\n", "1. one\n", "```\n", "```py\n", "x = 1\n", "# Head\n", "> q\n"),
    *("| a | b |\n", "|---|---|\n", "    indented\n", "漢字 ", "🙂", "---\n", "`", "*", "[l](u)", "\t", "\\", "~~~\n"),
    *(
        "vector<int> ",
        "<br>",
        "👨‍👩‍👧 ",
        "&lt;",
        "a" * 50,
        "![i](u) ",
        "\r\n",
        "'''",
        "\x1b[31m",
        "\x1b]0;",
        "\x07",
        "\x9b",
    ),
)


def said(text, pieces=1, terminal=None):
    """A terminal after the text came in pieces of so many characters."""
    terminal = terminal or Terminal()
    view = MarkdownView(terminal.screen)
    for at in range(0, len(text), pieces):
        view.event(Event(text[at : at + pieces]))
    view.close()
    return terminal


def at_once(text, columns=60):
    """All lines of the text, on a screen that holds it."""
    return said(text, len(text) or 1, Terminal(columns, 400)).lines


def test_everything_is_there_once_and_in_order():
    shown = said(SAMPLE, 1, Terminal(60, 50)).lines
    text = "\n".join(shown)
    for word in WORDS:
        assert text.count(word) == 1, word
    assert sorted(WORDS, key=text.index) == list(WORDS)
    assert "```" not in text
    assert "**" not in text
    assert shown[0] == "Fruit"


@pytest.mark.parametrize(("columns", "rows"), [(60, 50), (60, 6), (30, 5), (20, 24), (40, 3), (200, 24)])
@pytest.mark.parametrize("pieces", [1, 7, 10_000])
def test_pieces_and_small_screens_change_nothing(columns, rows, pieces):
    assert said(SAMPLE, pieces, Terminal(columns, rows)).lines == at_once(SAMPLE, columns)


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(PARTS), max_size=30).map("".join),
    st.lists(st.integers(1, 12), min_size=1),
    st.sampled_from([(20, 5), (40, 3), (60, 24), (200, 10)]),
)
def test_random_markdown_in_random_pieces_is_what_it_is_at_once(text, lengths, size):
    terminal = Terminal(*size)
    view, at, turn = MarkdownView(terminal.screen), 0, 0
    while at < len(text):
        view.event(Event(text[at : at + lengths[turn % len(lengths)]]))
        at, turn = at + lengths[turn % len(lengths)], turn + 1
    view.close()
    assert terminal.lines == at_once(text, size[0])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(st.characters(codec="utf-8"), max_size=200), st.integers(1, 9))
def test_no_text_sends_more_than_text_and_drawings(text, pieces):
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", re.sub(DRAWINGS, "", said(text, pieces).raw))


NOTATION = (
    *("word{} ", "漢{} ", "\n", "\n\n", "  ", "    ", "> ", "1. ", "10) ", "* ", "- ", "# ", "|", "---", "|---|\n"),
    *("`", "``", "**", "_", "~~", "[", "](", "](u) ", ")", "![", "<http://x>", "<a@b.c>", "<br>", "&amp;", "\\", "\t"),
    *("===\n", "🙂", "| a | word{} |\n", "|-|:-:|\n", "<!--", "-->", "<div>", '[x]: u "t"\n', "vector<int> "),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(NOTATION), max_size=30), st.sampled_from([10, 20, 40, 200]))
def test_no_word_is_lost_in_any_notation(parts, columns):
    text = "".join(part.format(100 + index) for index, part in enumerate(parts))
    shown = "".join("".join(re.sub(DRAWINGS, "", line) for line in markdown_lines(text, columns)).split())
    shown = re.sub("[▌•]", "", shown)
    for word in re.findall(r"(?:word|漢)\d{3}", text) if not re.search("```|~~~", text) else ():
        assert word in shown, text


@pytest.mark.parametrize("text", ["> " * 15 + "deep", "- " * 30 + "deep", "1. > 2. > 3. > deep"])
@pytest.mark.parametrize("columns", [1, 10, 20, 80])
def test_what_is_deep_within_lists_and_quotes_is_there(text, columns):
    assert "deep" in "".join(line.strip() for line in said(text, 3, Terminal(columns, 400)).lines)


def test_a_table_keeps_cells_without_a_title():
    lines = markdown_lines("| a | b |\n|---|---|\n| `x | y` | z | more |\n", 60)
    assert re.sub(DRAWINGS, "", " ".join(lines)).split()[-4:] == ["`x", "y`", "z", "more"]


@pytest.mark.parametrize("kind", ["word\n\n", "- item\n", "> quote\n", "| a | b |\n|---|---|\n| c | d |\n", "word "])
def test_what_has_scrolled_away_is_never_touched(kind):
    terminal = Terminal(40, 5)
    view = MarkdownView(terminal.screen)
    before: list[str] = []
    for _ in range(60):
        view.event(Event(kind))
        assert terminal.scrolled[: len(before)] == before
        before = terminal.scrolled
    assert all(int(rows) < 5 for rows in re.findall(r"\x1b\[(\d+)A", terminal.raw))


def test_no_part_of_the_screen_is_cleared_as_a_whole():
    """tmux keeps a copy of what is cleared from the top of the screen on in its scrollback."""
    assert not re.search(r"\x1b\[\d*J", said(SAMPLE, 3, Terminal(20, 5)).raw)


def test_a_row_that_stays_is_not_written_again():
    terminal = Terminal(40, 12)
    view = MarkdownView(terminal.screen)
    for word in range(12):
        view.event(Event(f"unique{word} filler filler "))
    assert terminal.raw.count("unique0") <= 3  # the row is written until it is full
    assert terminal.raw.count("\x1b[?2026h") == terminal.raw.count("\x1b[?2026l") > 0


def test_a_finished_block_and_what_follows_it_are_drawn_at_once():
    terminal = Terminal(40, 12, step=0.0)  # the clock stands still: nothing is drawn that need not be
    view = MarkdownView(terminal.screen)
    view.event(Event("- a\n- b\n\n"))
    view.event(Event("Text that goes on\nand"))
    assert terminal.lines == [" • a", " • b", "", "Text that goes on", "and"]


def test_what_comes_between_two_drawings_is_drawn_when_it_is_quiet():
    terminal = Terminal(step=0.0)
    view = MarkdownView(terminal.screen)
    view.event(Event("first "))
    view.event(Event("second"))
    assert terminal.lines == ["first"]
    view.idle()
    assert terminal.lines == ["first second"]


def test_no_line_ends_with_spaces():
    raw = said(SAMPLE + "```\nx   \n```\n", 10_000).raw
    assert not re.search(r" +(\x1b\[[0-9;]*[mK])*(\n|$)", raw)


def test_code_has_no_frame_and_a_long_line_of_it_is_one_line():
    long = "x = '" + "abc " * 40 + "'"
    terminal = said(f"```python\n{long}\n```\n", 3, Terminal(40, 20))
    assert re.sub(r"\x1b\[[0-9;]*m", "", terminal.raw).count(long) == 1  # its rows, while it came, were separate
    assert not re.search("[│┃╭]", terminal.raw)


def test_code_stands_between_lines_of_which_the_first_names_its_language():
    lines = said("Before\n\n```python\nx = 1\n```\nAfter\n\n- a\n\n  ```\n  y\n  ```\n", 3).lines
    head = "── python " + "─" * 30
    assert lines[:8] == ["Before", "", head, "x = 1", "─" * 40, "", "After", ""]
    assert [line.strip() for line in lines[8:]] == ["• a", "", "─" * 40, "y", "─" * 40]


def test_the_fence_itself_is_never_seen():
    terminal = Terminal(40, 20)
    view = MarkdownView(terminal.screen)
    for character in "Text\n```python\nx = 1\n```\n":
        view.event(Event(character))
        assert "`" not in "".join(terminal.lines)


@pytest.mark.parametrize("name", ["light", "dark", "auto", "none"])
def test_without_colours_all_that_is_told_by_one_is_told_otherwise(monkeypatch, name):
    monkeypatch.setattr(theme, "_theme", name)
    raw = said("Some `code` and **bold**.\n\n| a |\n|---|\n| b |\n", 100).raw
    assert ("`code`" in raw) is (name == "none")
    assert "\x1b[1mbold\x1b[0m" in raw
    assert bool(re.search(r"\x1b\[3\dm", raw)) is (name != "none")


def test_a_list_of_many_items_has_no_gap():
    assert at_once("".join(f"- item {n}\n" for n in range(40))) == [f" • item {n}" for n in range(40)]


def test_a_paragraph_is_wrapped_between_words():
    text = "several words of different lengths that do not fit into a narrow line of the screen"
    for columns in (20, 40):
        lines = said(text, 1, Terminal(columns, 20)).lines
        assert [word for line in lines for word in line.split()] == text.split()


@pytest.mark.parametrize(
    "text", ["漢字" * 30, "🙂" * 40, "```\n" + "漢" * 45 + "\n```\n", "a 👨‍👩‍👧 " * 20, "🇩🇪 " * 30]
)
@pytest.mark.parametrize("columns", [20, 21, 40])
def test_wide_characters_keep_their_places(text, columns):
    assert said(text, 1, Terminal(columns, 30)).lines == at_once(text, columns)


def test_columns_of_a_table_with_wide_characters_stand_below_one_another():
    lines = said("| a | b |\n|---|---|\n| 漢字 | one |\n| 🙂 | two |\n| plain | three |\n", 1).lines
    # pyte keeps a wide character in two cells, of which the second is empty: len + wide characters = columns
    places = [line.index(word) + sum(ord(c) > 0x2E80 for c in line) for line, word in
              zip(lines[2:], ("one", "two", "three"), strict=True)]  # fmt: skip
    assert len(set(places)) == 1


@pytest.mark.parametrize("columns", [20, 40, 200])
def test_a_growing_table_loses_no_cell(columns):
    rows = "".join(f"| name{n} | a longer text of row number {n} | {n * 1000} |\n" for n in range(30))
    terminal = said(f"| name | text | value |\n|---|---|--:|\n{rows}", 9, Terminal(columns, 10))
    text = " ".join(" ".join(terminal.lines).split())
    for n in range(30):
        assert re.search(rf"name{n}\b", text)
        assert re.search(rf"\b{n * 1000}\b", text)
    assert "…" not in text


EVIL = (
    *("\x1b]52;c;ZXZpbA==\x07", "\x1b[2J", "\x9b31m", "\x07", "[x](http://e\x1b]8;;http://x\x07)", "`\x1b[31m`"),
    *("<http://x/%1b]52;c;ZXZp%07>", "<http://x/%c2%9b31m>", "[a](<http://x/%1b[2J>)", "![a](http://x/%1b%5d)"),
    *("&#27;[2J", "&#x9b;2J", "&#13;over", "&#8238;rtl", "&#x2067;", "&#0;", "\\\x1b[2J", "[\x1b]8;;u\x1b\\]: u"),
)


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize(
    "around", ["{}", "```\n{}\n```\n", "```{}\nx\n", "| {} |\n|---|\n| {} |\n", "- {}\n", "# {}\n"]
)
def test_control_bytes_never_reach_the_terminal(evil, around):
    for pieces in (1, 2, 10_000):
        raw = said(around.replace("{}", evil), pieces).raw
        rest = re.sub(DRAWINGS, "", raw)
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rest), raw


def test_a_link_is_text():
    raw = said("[here](https://e.com/a) and <https://e.com/b%41>\n", 100).raw
    assert "\x1b]8" not in raw
    shown = re.sub(DRAWINGS, "", raw)
    assert "here (https://e.com/a) and https://e.com/b%41" in shown


@pytest.mark.parametrize("is_old", [True, False])
def test_a_screen_that_becomes_narrower_loses_nothing(monkeypatch, is_old):
    """pyte cuts rows off as xterm does; a terminal that wraps them anew has more rows, which the view must count."""
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("STY", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    if is_old:
        monkeypatch.setenv("XTERM_VERSION", "XTerm(390)")
    else:
        monkeypatch.delenv("XTERM_VERSION", raising=False)
    terminal = Terminal(60, 20)
    view = MarkdownView(terminal.screen)
    view.event(Event("Before\n\nA paragraph of some words that is not finished yet and goes on"))
    if is_old:
        terminal.resize(30, 20)
    else:  # what a terminal that wraps anew shows then
        terminal.stream.feed(
            "\x1b[2J\x1b[HBefore\r\n\r\nA paragraph of some words\r\nthat is not finished yet\r\nand goes on"
        )
        terminal.size = 30, 20
        terminal.pyte.resize(20, 30)
    view.event(Event(" for a while.\n\nThe end"))
    view.close()
    text = " ".join("\n".join(terminal.lines).split())
    assert text == "Before A paragraph of some words that is not finished yet and goes on for a while. The end"


def test_a_screen_that_becomes_wider_loses_nothing():
    terminal = Terminal(30, 20)
    view = MarkdownView(terminal.screen)
    view.event(Event("Before\n\n" + "a few words and more " * 6))
    terminal.resize(80, 20)
    view.event(Event("then it goes on.\n\nThe end"))
    view.close()
    text = "\n".join(terminal.lines)
    assert text.count("Before") == 1
    assert "then it goes on." in " ".join(text.split())
    assert text.endswith("The end")


def test_an_answer_that_stops_anywhere_leaves_nothing_live():
    for at in range(0, len(SAMPLE), 11):
        terminal = said(SAMPLE[:at], 5, Terminal(60, 60))
        assert terminal.lines == at_once(SAMPLE[:at])
        assert terminal.pyte.cursor.x == 0
        before = terminal.raw
        view = MarkdownView(terminal.screen)
        view.close()
        assert terminal.raw == before


def test_an_exception_in_the_middle_leaves_what_came_and_the_cursor_below_it():
    terminal = Terminal()
    view = MarkdownView(terminal.screen)

    def speak():
        try:
            view.event(Token("One **tw", 1))
            raise RuntimeError
        finally:
            view.close()

    with pytest.raises(RuntimeError):
        speak()
    assert terminal.lines == ["One **tw"]
    assert (terminal.pyte.cursor.x, terminal.pyte.cursor.y) == (0, 1)


def test_a_text_that_cannot_be_rendered_comes_as_it_is(monkeypatch):
    def fail(text, width):
        raise RuntimeError("Couldn't process markdown table.")

    monkeypatch.setattr(markdown, "markdown_lines", fail)
    lines = said("Some **words**\n\n```\nx\n```\n").lines
    assert [line for line in lines if "─" not in line] == ["Some **words**", "", "x"]


def test_a_ctrl_c_while_a_row_is_written_takes_nothing_away():
    terminal = Terminal()
    view = MarkdownView(terminal.screen)
    view.event(Event("Finished\n\nOne\nTwo\n"))
    written = terminal.screen.write

    def interrupted(text):
        raise KeyboardInterrupt

    object.__setattr__(terminal.screen, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        view.event(Event("Three\nFour"))
    object.__setattr__(terminal.screen, "write", written)
    view.close()
    assert terminal.lines == ["Finished", "", "One", "Two", "Three", "Four"]


def test_a_line_that_may_become_a_list_is_not_taken_for_a_heading():
    terminal = Terminal()
    view = MarkdownView(terminal.screen)
    view.event(Event("Some fruits:\n-"))
    assert terminal.lines == ["Some fruits:"]
    assert "\x1b[1m" not in terminal.raw
