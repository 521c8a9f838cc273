"""Prompts that have a name: where they lie, what their heads set, what their texts become."""

import json
import tomllib
from pathlib import Path

import pytest

from llamachat.cli.prompt_library import places

ROOT = Path(__file__).parents[2]
HEAD = 'description = "Says something"\ntemplate = "chat"\ntemp = 0.25\ntop_k = 3\nstop = ["END", "---"]\n'
BODY = "Say {{ what }} {{ times }} times: {{ input }}!"
GREET = f'---\n{HEAD}\n[variables]\ntimes = 2\nwhat = {{ description = "a word" }}\n---\n{BODY}\n'


@pytest.fixture
def own(own_home):
    """Writes a prompt of the person's own; its path."""
    folder = own_home / "config" / "llamachat" / "prompts"
    folder.mkdir(parents=True)

    def write(name, text):
        path = folder / f"{name}.jinja"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def seen(llamachat):
    """What --dry-run tells of a command line of `run`."""

    def show(*arguments, stdin=b"", **more):
        done = llamachat("run", "--dry-run", "--output", "json", *arguments, stdin=stdin, **more)
        assert (done.returncode, done.stderr) == (0, b"")
        return json.loads(done.stdout)

    return show


@pytest.fixture
def refused(llamachat):
    """The one sentence with which a command line of `run` is refused."""

    def run(*arguments, **more):
        done = llamachat("run", *arguments, **more)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
        return done.stderr.decode()

    return run


def message(found):
    return found["prompt"].partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]


def test_a_prompt_has_variables_an_input_and_settings(seen, own):
    own("greet", GREET)
    found = seen("--prompt", "greet", "--var", "what=hello", stdin=b"you\n")
    assert message(found) == "Say hello 2 times: you!"
    assert found["stop"][:2] == ["END", "---"]
    assert (found["sampling"]["temp"], found["sampling"]["top_k"]) == (0.25, 3)
    assert (
        message(seen("--prompt", "greet", "--var", "what=@@a=b", "--var", "times=9", "-p", "x"))
        == "Say @a=b 9 times: x!"
    )


def test_the_input_is_the_text_then_files_then_standard_input(seen, own, tmp_path):
    own("quote", "> {{ input }} <")
    (tmp_path / "f").write_text("two\n")
    assert (
        seen("--prompt", "quote", "-p", "one", "-f", f"{tmp_path}/f", stdin=b"three")["prompt"]
        == "<s>> one\n\ntwo\n\nthree <"
    )


def test_a_text_without_a_place_gets_the_input_behind_it(seen, own):
    own("plain", "Continue:\n")
    assert seen("--prompt", "plain", stdin=b"{{ 7*7 }}")["prompt"] == "<s>Continue:\n\n{{ 7*7 }}"
    assert seen("--prompt", "plain")["prompt"] == "<s>Continue:"


def test_a_variable_may_be_the_content_of_a_file(seen, own, tmp_path):
    own("v", "{{ text }}")
    (tmp_path / "f").write_text("long\n")
    assert seen("--prompt", "v", "--var", f"text=@{tmp_path}/f")["prompt"] == "<s>long"


def test_a_system_prompt_has_variables_too_unless_the_person_gives_another(seen, own):
    own("s", '---\ntemplate = "chat"\nsystem = "You speak {{ language }}."\n---\n{{ input }}')
    assert "You speak Latin." in seen("--prompt", "s", "--var", "language=Latin", "-p", "x")["prompt"]
    assert "{{ x }}" in seen("--prompt", "s", "--var", "language=Latin", "-p", "x", "--system", "{{ x }}")["prompt"]


def test_the_command_line_and_the_environment_count_before_the_prompt_and_that_before_the_file(seen, own):
    config = own("greet", GREET).parents[1] / "config.toml"
    config.write_text('temp = 0.9\ntop_p = 0.7\nsystem = "From the file."\n[profile.p]\ntop_k = 8\n')
    more = {"LLAMACHAT_PROFILE": "p"}
    start = ["--prompt", "greet", "--var", "what=x", "-p", "y"]
    found = seen(*start, **more)
    assert [found["sampling"][name] for name in ("temp", "top_k", "top_p")] == [0.25, 3, 0.7]
    assert "From the file." in found["prompt"]
    found = seen(*start, "--temp", "0.5", LLAMACHAT_TOP_K="5", **more)
    assert [found["sampling"][name] for name in ("temp", "top_k")] == [0.5, 5]
    assert seen(*start, "--template", "raw")["template"] == "raw"
    assert seen(*start, "--no-chat")["template"] == "raw"
    assert "END" not in seen(*start, "--stop", "x")["stop"]


def test_a_prompt_can_be_chosen_by_a_profile(seen, own):
    path = own("quote", "---\ntemp = 0.3\n---\n> {{ input }}")
    (path.parents[1] / "config.toml").write_text('[profile.q]\nprompt = "quote"\n')
    found = seen("--profile", "q", "-p", "x")
    assert (found["prompt"], found["sampling"]["temp"]) == ("<s>> x", 0.3)


def test_ones_own_prompt_stands_in_for_that_of_the_program(seen, own, llamachat):
    path = own("summarize", "Mine: {{ input }}")
    assert seen("--prompt", "summarize", "-p", "x")["prompt"] == "<s>Mine: x"
    listed = json.loads(llamachat("prompts", "--output", "json").stdout)
    (found,) = [one for one in listed if one["name"] == "summarize"]
    assert (found["source"], found["path"]) == ("yours", str(path))


def test_prompts_lie_beside_the_configuration_file_wherever_that_is(seen, tmp_path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "near.jinja").write_text("Near: {{ input }}")
    (tmp_path / "c.toml").touch()
    found = seen("--prompt", "near", "-p", "x", LLAMACHAT_CONFIG=f"{tmp_path}/c.toml")
    assert found["prompt"] == "<s>Near: x"


def test_a_file_anywhere_is_a_prompt(seen, tmp_path):
    (tmp_path / "here.jinja").write_text("Here: {{ input }}")
    assert seen("--prompt", f"{tmp_path}/here.jinja", "-p", "x")["prompt"] == "<s>Here: x"


def test_each_of_many_inputs_goes_through_the_prompt(llamachat, own, tmp_path):
    own("quote", "> {{ input }} <")
    (tmp_path / "many").write_text('"one"\n"two"\n')
    done = llamachat("run", "--prompt", "quote", "--prompts", f"{tmp_path}/many", "--dry-run", "--output", "json")
    assert [json.loads(line)["prompt"] for line in done.stdout.splitlines()] == ["<s>> one <", "<s>> two <"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", "greet"], "the prompt greet needs what: give --var what=VALUE"),
        (["--prompt", "two"], "the prompt two needs a and b: give --var a=VALUE"),
        (["--prompt", "greet", "--var", "what=x"], "the prompt greet needs an input: pipe a text in"),
        (
            ["--prompt", "greet", "--var", "wat=x"],
            "--var wat: the prompt greet has no such variable; did you mean what?",
        ),
        (["--prompt", "two", "--var", "input=x"], "--var input: the prompt two has no such variable; it has a and b"),
        (["--prompt", "greet", "--var", "what"], "--var what: a variable is NAME=VALUE"),
        (["--prompt", "greet", "--var", "what=@/no/file"], "--var @/no/file: no such file"),
        (["--prompt", "gret"], "there is no prompt 'gret'; did you mean greet?"),
        (["--prompt", "Once upon a time"], "`llamachat prompts` lists them, and -p takes a text"),
        (["--prompt", "/no/such.jinja"], "the prompt /no/such.jinja: no such file"),
        (["--prompt", ""], "there is no prompt ''"),
    ],
)
def test_what_is_missing_or_unknown_is_named_in_one_sentence(refused, own, arguments, words):
    own("greet", GREET)
    own("two", "{{ b }}{{ a }}")
    assert words in refused(*arguments)


BROKEN = [
    pytest.param("---\ntemp = 0\n", "line 1: the head that begins here has no second ---", id="no end of the head"),
    pytest.param("---\n\ntemp = = 1\n---\n", "line 3: invalid value (TOML)", id="no TOML"),
    pytest.param("---\n\ntmp = 1\n---\n", "line 3: no setting is called tmp; did you mean temp?", id="no setting"),
    pytest.param('---\ntemp = "x"\n---\n', 'line 2: temp must be a number, not "x"', id="no number"),
    pytest.param("---\ntop_k = -5\n---\nx", "line 2: top_k must be a whole number -1 or more", id="out of bounds"),
    pytest.param("---\ndescription = 3\n---\n", "line 2: description must be a text", id="no text"),
    pytest.param("---\nvariables = 3\n---\n", "line 2: variables are a table", id="no table"),
    pytest.param("---\n[variables]\na = [1]\n---\n", "line 3: a must be a default, or {", id="no default"),
    pytest.param("---\n[variables]\na.b = 1\n---\n", "line 3: a must be a default, or {", id="no description"),
    pytest.param('---\n[variables]\ninput = "x"\n---\n', "line 3: 'input' cannot be a variable", id="a name in use"),
    pytest.param('---\nprompt = "x"\n---\n', "line 2: no setting is called prompt", id="another prompt"),
    pytest.param('---\nprofile = "x"\n---\n', "line 2: a prompt cannot choose a profile", id="a profile"),
    pytest.param('---\nsystem = "x"\n---\n', 'line 2: system is part of a chat: say template = "chat"', id="no chat"),
    pytest.param("---\ntemp = 0\n---\nx\n{{ a b }}", "line 5: expected token", id="no Jinja"),
    pytest.param("---\ntemp = 0\n---\nx\n{{ input.a.b }}", "line 5: 'str object' has no attribute 'a'", id="fails"),
    pytest.param("x\n{{ 1 // 0 }}{{ input }}", "division", id="divides"),
    pytest.param(b"---\ntemp = 0\n---\n\xff", "line 4: not UTF-8 text", id="no text at all"),
    pytest.param(
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{{ input }}",
        "the text was stopped after",
        id="endless",
    ),
    pytest.param("{{ 'x' * 10 ** 9 }}{{ input }}", "the text was stopped", id="huge"),
    pytest.param("{{ input.__class__.__mro__[1].__subclasses__() }}", "unsafe", id="a way out"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_a_broken_prompt_is_refused_with_file_line_and_cause(refused, own, text, words):
    path = own("broken", text)
    said = refused("--prompt", "broken", "-p", "x")
    assert str(path) in said
    assert words in said


def test_a_wrong_setting_of_a_prompt_gives_way_to_no_one_but_what_goes_with_it(seen, own):
    own("json", "---\njson = true\n---\n{{ input }}")
    assert seen("--prompt", "json", "-p", "x")["constrained"] is True
    assert seen("--prompt", "json", "-p", "x", "--grammar", "list")["constrained"] is True


def test_the_list_has_what_is_broken_with_the_reason(llamachat, own):
    own("broken", "---\ntemp = = 1\n---\n")
    own("fine", '---\ndescription = "Fine \\u001b[31m"\n[variables]\na = 1\n---\nx')
    done = llamachat("prompts")
    lines = {line.split()[0]: line for line in done.stdout.decode().splitlines()}
    assert done.returncode == 0
    assert "broken.jinja, line 2" in lines["broken"]
    assert "Fine" in lines["fine"]
    assert b"\x1b" not in done.stdout
    (found,) = [one for one in json.loads(llamachat("prompts", "-o", "json").stdout) if one["name"] == "fine"]
    assert (found["variables"], found["source"], found["problem"]) == ({"a": 1}, "yours", "")


def test_one_prompt_is_shown_as_its_file_or_as_json(llamachat, own):
    own("greet", GREET)
    assert llamachat("prompts", "greet").stdout.decode() == GREET
    found = json.loads(llamachat("prompts", "greet", "--output", "json").stdout)
    assert (found["name"], found["settings"]["temp"]) == ("greet", 0.25)
    assert llamachat("prompts", "nothing-like-it").returncode == 2


def test_a_user_without_a_home_has_the_programs_prompts(llamachat, monkeypatch):
    done = llamachat("prompts", HOME="/dev/null/none", XDG_CONFIG_HOME="/dev/null/none")
    assert done.returncode == 0
    assert b"summarize" in done.stdout


def test_a_built_package_has_the_prompts_where_they_are_looked_for(tmp_path, monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {"prompts": "llamachat/prompts"}
    assert places.shipped_folder() == ROOT / "prompts"
    (tmp_path / "llamachat" / "prompts").mkdir(parents=True)
    monkeypatch.setattr(places, "_PACKAGE", tmp_path / "llamachat")
    assert places.shipped_folder() == tmp_path / "llamachat" / "prompts"


def test_control_tokens_of_the_prompt_itself_are_tokens_and_those_of_the_person_are_text(seen, own):
    own("raw", '---\n[variables]\nname = "<|im_start|>"\n---\n{{ name }}{{ who }}: {{ input }}<|im_end|>')
    found = seen("--prompt", "raw", "--var", "who=<|im_start|>", "-p", "<|im_end|>")
    assert found["prompt"] == "<s><|im_start|><|im_start|>: <|im_end|><|im_end|>"
    assert [token for token in found["tokens"] if token > 255] == [256, 258, 259]
    assert found["tokens"][-1] == 259
    plain = seen("--prompt", "raw", "--var", "who=a", "--var", "name=<|im_start|>", "-p", "x", "--chat")
    assert plain["prompt"].count("<|im_start|>") > plain["tokens"].count(258)


def test_a_wrong_name_in_the_settings_is_refused_with_its_place(refused):
    assert "LLAMACHAT_PROMPT: there is no prompt 'sumarize'" in refused("-p", "x", LLAMACHAT_PROMPT="sumarize")


def test_one_line_break_at_the_end_of_a_prompt_is_the_files_and_others_are_its_text(seen, own):
    own("one", "---\ntemp = 0\n---\n\n{{ input }}\n")
    own("two", "---\ntemp = 0\n---\n{{ input }}\n\n")
    assert seen("--prompt", "one", "-p", "x")["prompt"] == "<s>x"
    assert seen("--prompt", "two", "-p", "x")["prompt"] == "<s>x\n"


def test_a_system_prompt_may_stand_around_the_input(llamachat, tmp_path):
    path = tmp_path / "sys.jinja"
    path.write_text('---\ntemplate = "chat"\nsystem = "About: {{ input }}."\n---\nSay more.')
    (tmp_path / "in").write_text('"x"\n')
    assert b"About: CATS." in llamachat("run", "--prompt", str(path), "-p", "CATS", "--dry-run").stdout
    assert (
        b"About: DOGS." in llamachat("run", "--prompt", str(path), "--parallel", "2", "--dry-run", stdin=b"DOGS").stdout
    )
    for more in ([], ["--prompts", str(tmp_path / "in")]):
        done = llamachat("run", "--prompt", str(path), *more, "--dry-run")
        assert (done.returncode, b"the system prompt of sys needs" in done.stderr) == (2, True)


def test_p_has_its_place_for_the_input_within_a_prompt_too(llamachat, tmp_path):
    (tmp_path / "q.jinja").write_text("<{{ input }}>")
    done = llamachat("run", "--prompt", f"{tmp_path}/q.jinja", "-p", "A {input} {{input}}", "--dry-run", stdin=b"DOGS")
    assert done.stdout.decode().splitlines()[-1].endswith("<A DOGS {input}>")
