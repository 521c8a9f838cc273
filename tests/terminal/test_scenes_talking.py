"""A chat as a person sees it, from the first word typed to the shell's prompt."""

import re

import pytest
from typing_at import ALT_ENTER, CTRL_D, ENTER, ESC, PASTE

from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.places import database_path

UP, TAB = "\x1b[A", "\t"

MARKDOWN = """\
# Fruits

Some **good** ones:

- apples
- plums

| fruit | 日本 |
|-------|------|
| 林檎  | 🍎   |
| plum  | 🟣   |

```python
def eat(fruit):
    return None  # 食べた
```

Enjoy."""


def test_a_message_is_answered_and_ctrl_d_leaves(talk, smollm2):
    person = talk("-n", "40", model=smollm2)
    assert person.lines[0].startswith("SmolLM2-135M-Instruct.Q4_1, a context of")
    assert person.typed == ">"
    assert re.match(r"\S+ · chat 1 · \d+ of 8192 tokens", person.below)
    person.ask("Name three fruits.")
    assert " 1. Bananas" in person.lines
    assert re.match(r"\S+ · chat 1 · \d+ of 8192 tokens · \d+ tokens/s · chatml", person.below)
    person.type(CTRL_D)
    assert person.end() == 0
    assert person.is_left_well


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([PASTE.format("one\r\ntwo\n\nfour")], id="paste"),
        pytest.param(["one", ALT_ENTER, "two", ALT_ENTER, ALT_ENTER, "four"], id="Alt+Enter"),
        pytest.param(['"""one', ENTER, "two", ENTER, ENTER, 'four"""'], id="block"),
    ],
)
def test_lines_are_one_message(talk, keys):
    person = talk(answers=["Read.", "Not yet."])
    person.press(*keys)
    person.ask("")
    assert "Read." in person.text
    assert "Not yet." not in person.text
    person.ask("/template")
    assert "user\none\ntwo\n\nfour<|im_end|>" in "\n".join(person.shown)


def test_what_was_typed_is_there_in_the_next_session(talk):
    person = talk(answers=["Yes."])
    person.ask("a question of yesterday")
    person.type(CTRL_D)
    assert person.end() == 0
    person = talk(answers=["Yes."])
    person.press(UP)
    assert person.typed.endswith("a question of yesterday")
    person.press("\x03", "\x12", "yester")
    assert "a question of yesterday" in person.text


def test_what_is_typed_in_a_chat_that_is_not_kept_is_nowhere(talk, own_home):
    person = talk("--no-save", answers=["Yes."])
    person.ask("my secret zebra")
    person.press(UP)
    assert person.typed.endswith("my secret zebra")
    person.type("\x15" + CTRL_D)
    assert person.end() == 0
    assert not [one for one in own_home.rglob("*") if one.is_file() and b"zebra" in one.read_bytes()]


def test_tab_completes_commands_and_their_arguments(talk):
    person = talk(answers=["Yes."])
    person.press("/te", TAB)
    assert person.typed.endswith("> /template")
    person.press("\x15", "/set temp ", TAB)
    assert person.typed.endswith("> /set temp 0.8")
    person.press(ESC, "\x15", "/js")
    person.press(TAB)
    person.press(" o", TAB)
    assert person.typed.endswith("> /json off")
    person.ask("")
    assert person.scrolled == []


def test_the_editor_of_the_person_writes_the_message(talk, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "first\\nsecond\\n" > "$1"\n')
    editor.chmod(0o755)
    person = talk(answers=["Read.", "Again."], EDITOR=str(editor))
    person.type("\x18\x05")
    person.until("second")
    person.ask("")
    assert "Read." in person.text
    person.ask("/edit")
    assert "(nothing was changed)" in person.text


def test_markdown_is_drawn_and_wide_characters_keep_their_columns(talk):
    person = talk(answers=[MARKDOWN], rows=30)
    person.ask("Tell me.")
    assert person.scrolled == []
    lines = [line for line in person.lines if line]
    assert not re.search(r"^#|\*\*|\|---|```", person.text, re.M)
    column = [person.screen.buffer[person.lines.index(line)][7].data for line in lines if line[-1] in "本🍎🟣"]
    assert column == ["日", "🍎", "🟣"]
    assert "    return None  # 食べた" in lines


def test_wide_characters_are_typed_and_answered(talk):
    person = talk(answers=["はい、日本語です。🍎", "Yes."])
    person.press("日本語🍎")
    assert person.screen.cursor.x == person.typed.index("日") + 8
    person.ask("")
    assert "はい、日本語です。🍎" in person.text


def test_what_is_typed_while_the_model_speaks_does_not_appear_in_its_answer(talk, smollm2):
    person = talk("-n", "200", "--ignore-eos", model=smollm2)
    person.send("Write a long story.")
    person.until(lambda lines: len([line for line in lines if line]) > 4)
    person.type("ahead of time")
    person.ready()
    assert [line for line in person.shown if "ahead" in line] == ["> ahead of time"]


def test_what_is_typed_while_the_model_loads_waits_for_the_first_line(talk):
    person = talk(answers=["An answer."], wait=False, SCRIPTED_LOAD_S="1.5")
    person.until("(loading)")
    person.type("ahead of time")
    person.ready()
    assert [line for line in person.shown if "ahead" in line] == ["> ahead of time"]


def test_no_word_of_a_remark_is_cut_at_the_edge(talk):
    person = talk("--verbose", answers=["An answer."], columns=40)
    person.ask("Hello")
    remark = " ".join(person.shown).partition("[")[2].partition("]")[0]
    rate = r"(, \d+ tokens/s)?"
    expected = rf"prompt \d+ tokens( \(\d+ known\))? in [\d.]+ s{rate}; answer 10 tokens in [\d.]+ s{rate}"
    assert re.fullmatch(expected, remark), remark


def test_a_chat_of_which_nothing_is_computed_is_read_anew_with_a_bar(talk, smollm2):
    with ChatStore(database_path()) as store:
        chat = store.create("smollm2", "long")
        asked = store.add(chat, None, StoredMessage(0, None, "user", "many words " * 2600))
        store.add(chat, asked, StoredMessage(0, None, "assistant", "Yes, many."))
    person = talk("--session", "long", model=smollm2)
    person.type("And now?\r")
    person.until(lambda lines: any(re.search(r"\[[#.]+\] \d+ %", line) for line in lines))
    person.child.sendintr()
    person.ready()
    assert "(interrupted)" in person.text
    assert " %" not in person.text
