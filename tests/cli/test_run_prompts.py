"""What the prompt of `run` is made of, as the model would see it."""

import json
import subprocess
import sys

import pytest

from llamachat.errors import ExitCode


@pytest.fixture
def seen(llamachat):
    """The prompt that a command line of `run` makes, with all that --dry-run tells of it."""

    def show(*arguments, stdin=b"", **more):
        done = llamachat("run", "--dry-run", "--output", "json", *arguments, stdin=stdin, **more)
        assert (done.returncode, done.stderr) == (0, b"")
        found = json.loads(done.stdout)
        return {**found, "prompt": found["prompt"].removeprefix("<s>")}

    return show


@pytest.mark.parametrize(
    ("arguments", "stdin", "prompt"),
    [
        pytest.param(["-p", "Sum:"], b"text\n", "Sum:\n\ntext", id="behind the text"),
        pytest.param(["-p", "a {input} b"], b"text\n", "a text b", id="in its place"),
        pytest.param(["-p", "{input}+{input}"], b"x", "x+x", id="in every place"),
        pytest.param(["-p", "a {input}"], b"{input} {{input}}", "a {input} {{input}}", id="and is not looked into"),
        pytest.param(["-p", "f'{{input}}'"], b"", "f'{input}'", id="doubled braces are text"),
        pytest.param(["-p", "f'{{input}}'"], b"x", "f'{input}'\n\nx", id="and no place"),
        pytest.param(
            ["-p", "{input}?", "-f", "{file}", "-f", "-"], b"in", "from\n\nin?", id="files and standard input"
        ),
        pytest.param(["-p", "{other} {{input"], b"x", "{other} {{input\n\nx", id="other braces are text"),
        pytest.param(["-p", "@{file}"], b"x", "from\n\nx", id="a file for the text"),
        pytest.param(["-p", "@@home"], b"", "@home", id="a doubled at sign"),
        pytest.param(["-p", "@"], b"", "@", id="an at sign alone"),
        pytest.param(["-p", "@{place}"], b"x", "in x", id="a file with a place"),
        pytest.param(["--text", "a"], b"", "a", id="the long name"),
    ],
)
def test_the_input_goes_where_it_is_wanted(seen, tmp_path, arguments, stdin, prompt):
    (tmp_path / "file").write_text("from\n")
    (tmp_path / "place").write_text("in {input}\n")
    given = [one.replace("{file}", f"{tmp_path}/file").replace("{place}", f"{tmp_path}/place") for one in arguments]
    assert seen(*given, stdin=stdin)["prompt"] == prompt


def test_escapes_are_put_into_the_command_line_and_not_into_data(seen, tmp_path):
    (tmp_path / "file").write_text(r"a\tb")
    found = seen("-p", r"1\n2 \x41", "--stop", r"\n", "-f", str(tmp_path / "file"), stdin=rb"c\nd")
    assert found["prompt"] == "1\n2 A\n\na\\tb\n\nc\\nd"
    assert found["stop"] == ["\n"]
    assert seen("-p", f"@{tmp_path}/file")["prompt"] == r"a\tb"
    assert seen("-e", "-p", r"\t")["prompt"] == "\t"
    plain = seen("--no-escape", "-p", r"1\n2", "--stop", r"\n")
    assert (plain["prompt"], plain["stop"]) == (r"1\n2", [r"\n"])


@pytest.mark.parametrize("form", [["--chat"], ["--template", "chat"]])
def test_a_chat_goes_through_the_template_and_only_the_template_has_control_tokens(seen, form):
    found = seen(*form, "-p", "<|im_end|>", "--system", "Be brief.")
    assert found["prompt"].startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<|im_end|><|im_end|>")
    assert found["template"] == "chat (chatml)"
    assert found["tokens"].count(259) == 2


def test_the_prompt_is_continued_as_it_stands_whatever_template_the_model_has(seen):
    for form in ([], ["--template", "raw"], ["--no-chat"]):
        found = seen("-p", "<|im_start|>Hi", *form)
        assert (found["template"], found["prompt"]) == ("raw", "<|im_start|>Hi")
        assert 258 not in found["tokens"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "a {input}"], "the prompt says {input}, and there is none"),
        (
            ["-p", "@/no/such/file"],
            "-p @/no/such/file: no such file; a text that begins with @ is written @@",
        ),
        (["-p", "@/dev"], "-p @/dev: is a directory"),
        ([], "the prompt is empty: give -p TEXT"),
        (["--chat", "--template", "raw", "-p", "x"], "--chat and --template raw exclude one another"),
        (["--no-chat", "--template", "chat", "-p", "x"], "--no-chat and --template chat exclude one another"),
        (["--quiet", "--timings", "-p", "x"], "exclude one another"),
        (["--var", "a=b", "-p", "x"], "give --prompt NAME, too"),
        (["--prompts", "x", "-f", "y"], "--prompts and --file exclude one another"),
    ],
)
def test_what_makes_no_prompt_is_refused_in_one_sentence(llamachat, arguments, words):
    done = llamachat("run", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert words in done.stderr.decode()


def test_the_text_is_put_around_each_of_many_inputs(llamachat, tmp_path):
    (tmp_path / "many").write_text('"one"\n{"prompt": "two", "seed": 3}\n')
    done = llamachat("run", "--prompts", str(tmp_path / "many"), "-p", "<{input}>", "--dry-run", "--output", "json")
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["prompt"], second["prompt"]) == ("<s><one>", "<s><two>")
    assert second["sampling"]["seed"] == 3


def test_a_dry_run_tells_people_what_counts(llamachat):
    done = llamachat("run", "-p", "Hi", "--dry-run", "--top-k", "7", "--stop", "END", "-n", "5", "--json")
    lines = done.stdout.decode().splitlines()
    assert lines[:6] == [
        "model     scripted.gguf",
        "template  raw",
        "tokens    3",
        "length    at most 5 tokens",
        'stop      "END"',
        "form      kept by a grammar or a schema",
    ]
    assert "top_k 7" in lines[6]
    assert lines[7:] == ["prompt", "<s>Hi"]


def test_a_dry_run_needs_no_memory_for_weights(environment, smollm2):
    command = [sys.executable, "-m", "llamachat", "run", "--chat", "-p", "Hi", "-m", str(smollm2)]
    tight = {**environment, "LLAMACHAT_MEMORY": "1M"}
    loaded, shown = (
        subprocess.run([*command, *more], stdin=subprocess.DEVNULL, capture_output=True, env=tight, check=False)
        for more in ([], ["--dry-run"])
    )
    assert loaded.returncode == ExitCode.MEMORY
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"<|im_start|>user\nHi<|im_end|>" in shown.stdout


def test_an_echo_is_the_prompts_text_before_the_answer(llamachat):
    assert llamachat("run", "-p", "Once", "--echo", answers=(" upon",)).stdout == b"Once upon\n"
    assert llamachat("run", "--chat", "-p", "Hi.", "--echo", answers=("Ho.",)).stdout == b"Hi.\n\nHo.\n"
    whole = json.loads(llamachat("run", "-p", "Once", "--echo", "--output", "json").stdout)
    assert (whole["prompt"], whole["text"]) == ("Once", "An answer.")
    first = json.loads(llamachat("run", "-p", "Once", "--echo", "--output", "jsonl").stdout.splitlines()[0])
    assert first == {"v": 1, "event": "prompt", "text": "Once"}
    assert "prompt" not in json.loads(llamachat("run", "-p", "Once", "--output", "json").stdout)


def test_quiet_leaves_standard_error_to_errors(terminal, llamachat):
    child = terminal("run", "-p", "Hi", "-n", "3", "--quiet")
    child.expect_exact("An ")
    child.expect_exact("\r\n")
    child.wait()
    assert "[" not in child.read()
    done = llamachat("run", "--quiet", "-p", "Hi", "--fail-on-length", "-n", "1")
    assert (done.returncode, done.stderr.count(b"\n")) == (5, 1)


def test_a_chat_template_of_the_settings_waits_for_a_chat(seen, llamachat):
    assert seen("-p", "x", LLAMACHAT_CHAT_TEMPLATE="gemma")["prompt"] == "x"
    assert "<start_of_turn>" in seen("-p", "x", "--chat", LLAMACHAT_CHAT_TEMPLATE="gemma")["prompt"]
    assert llamachat("run", "-p", "x", "--chat-template", "gemma").returncode == ExitCode.USAGE


def test_an_echo_stands_before_each_of_many_answers(environment, smollm2, tmp_path):
    (tmp_path / "many").write_text('"one"\n"two"\n')

    def answers(form):
        many = ["run", "--prompts", f"{tmp_path}/many", "--echo", "-n", "1", "-m", str(smollm2), "--output", form]
        command = [sys.executable, "-m", "llamachat", *many]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=True
        ).stdout

    first, second = answers("text").split(b"---\n")
    assert first.startswith(b"one")
    assert second.startswith(b"two")
    assert [json.loads(line)["prompt"] for line in answers("json").splitlines()] == ["one", "two"]
    found = [json.loads(line) for line in answers("jsonl").splitlines()]
    assert [(one["index"], one["text"]) for one in found if one["event"] == "prompt"] == [(0, "one"), (1, "two")]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-p", "--a_b"], "<s>--a_b"),
        (["-p", "x", "--stop", "--END_OF_TEXT"], 'stop      "--END_OF_TEXT"'),
        (["-p", "x", "--cache_type_k", "q8_0", "--n_predict=3"], "length    at most 3 tokens"),
    ],
)
def test_underscores_are_dashes_in_names_and_nowhere_else(llamachat, arguments, line):
    assert line in llamachat("run", *arguments, "--dry-run").stdout.decode().splitlines()


DEEP = "[" * 60_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "x", "--chat", "--template-kwargs", DEEP], "--template-kwargs is not JSON"),
        (["-p", "@~nobody-of-this-name/f"], "there is no such home directory"),
        (["-p", "x", "--chat", "--chat-template", "x" * 5000], "is neither a known name, nor a file, nor Jinja"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(llamachat, arguments, words):
    done = llamachat("run", *arguments)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert words in done.stderr.decode()


def test_templates_are_printed_in_any_encoding(llamachat):
    assert llamachat("templates", "deepseek3", PYTHONIOENCODING="ascii").returncode == 0
    assert b"did you mean deepseek3" in llamachat("templates", "deepseek33").stderr


def test_bytes_that_are_no_text_end_no_classic_talk(llamachat):
    done = llamachat("interactive", "-p", "A", stdin=b"\xff\n", PYTHONIOENCODING="utf-8:strict")
    assert (done.returncode, done.stderr) == (0, b"")
