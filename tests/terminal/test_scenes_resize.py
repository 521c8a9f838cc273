"""A terminal whose size changes in the middle of a chat: what has scrolled away stays, what comes fits."""

STUCK = "\0"
STORY = " ".join(f"word{number}" for number in range(120))


def columns_of(lines):
    return max(map(len, lines), default=0)


def words_of(lines):
    return [word for line in lines for word in line.split() if word.startswith("word")]


def test_while_an_answer_comes_what_was_printed_stays_and_the_rest_fits(talk):
    person = talk(answers=[f"{STORY}\n\nsecond begins{STUCK}"], columns=80, rows=10)
    person.send("Go on.")
    person.until("second begins")
    before = person.scrolled
    assert before
    person.resize(40, 10)
    person.settle()
    assert person.scrolled == before
    person.child.sendintr()
    person.ready()
    assert person.scrolled[: len(before)] == before
    assert sum("second begins" in line for line in person.shown) == 1
    person.resize(80, 10)
    person.settle()
    person.ask("/help /bye")
    assert "Example: /bye" in person.text


def test_a_model_goes_on_in_a_terminal_that_has_become_narrow(talk, smollm2):
    person = talk("-n", "160", "--ignore-eos", model=smollm2)
    person.send("Tell me a story about a bear.")
    person.until(lambda lines: len([line for line in lines if line]) > 5)
    person.resize(40, 24)
    person.ready()
    n_before = len(person.shown)
    person.ask("Tell me another one.")
    later = person.shown[n_before:-1]
    assert len(later) > 5
    assert columns_of(later) <= 40


def test_at_the_prompt_the_line_is_there_in_every_size(talk):
    person = talk(answers=[STORY])
    person.ask("hello")
    person.press("what I am about to say is longer than forty columns are wide")
    for columns in (40, 200, 80):
        person.resize(columns, 24)
        person.settle()
    assert "".join(person.text.split()).count("fortycolumnsarewide") == 1
    person.ask("")
    assert words_of(person.shown[-15:])
