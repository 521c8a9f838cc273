"""Settings give way to a command line that they do not go with; typed options that do not go together are refused."""

import json

import pytest


@pytest.fixture
def seen(llamachat, tmp_path):
    """What --dry-run tells of each answer of `run`, with a configuration file."""

    def show(config, *arguments, stdin=b"", **more):
        (tmp_path / "c.toml").write_text(config)
        more["LLAMACHAT_CONFIG"] = str(tmp_path / "c.toml")
        done = llamachat("run", "--dry-run", "--output", "json", *arguments, stdin=stdin, **more)
        assert (done.returncode, done.stderr) == (0, b"")
        return [json.loads(line) for line in done.stdout.splitlines()]

    return show


SINGLE = ["lookup = true", 'prompt_cache = "c.bin"', 'model_draft = "nobody"', "grp_attn_n = 4", 'file = "no"']


@pytest.mark.parametrize("setting", SINGLE)
def test_what_is_for_one_answer_gives_way_to_several(seen, tmp_path, setting):
    (tmp_path / "many").write_text('"one"\n"two"\n')
    assert [one["prompt"] for one in seen(setting, "--prompts", f"{tmp_path}/many")] == ["<s>one", "<s>two"]


@pytest.mark.parametrize(
    "typed", [["--lookup"], ["--prompt-cache", "c.bin"], ["--model-draft", "nobody"], ["--grp-attn-n", "4"]]
)
def test_several_give_way_to_what_is_for_one(seen, typed):
    assert len(seen("parallel = 3", "-p", "x", *typed)) == 1


def test_a_file_of_prompts_gives_way_to_a_typed_file(seen, tmp_path):
    (tmp_path / "one").write_text("one")
    assert [one["prompt"] for one in seen('prompts = "many"', "-f", f"{tmp_path}/one")] == ["<s>one"]


def test_what_is_undone_excludes_nothing(seen):
    assert len(seen("", "-p", "x", "--no-lookup", "--grp-attn-n", "1", "--parallel", "2")) == 2


@pytest.mark.parametrize(
    "setting", ['chat_template = "gemma"', 'reasoning = "hide"', "draft_max = 4", "draft_p_min = 0.5", "logprobs = 3"]
)
def test_a_setting_that_means_nothing_here_waits(llamachat, tmp_path, setting):
    (tmp_path / "c.toml").write_text(setting)
    done = llamachat("run", "-p", "x", LLAMACHAT_CONFIG=str(tmp_path / "c.toml"))
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_head_s_template_gives_way_to_a_raw_prompt(seen, tmp_path):
    (tmp_path / "p.jinja").write_text('---\nchat = true\nchat_template = "gemma"\n---\n{{ input }}')
    assert seen("", "--prompt", f"{tmp_path}/p.jinja", "-p", "x", "--no-chat")[0]["prompt"] == "<s>x"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--parallel", "2", "--lookup"], "--parallel cannot be combined with --lookup"),
        (["--prompts", "x", "--prompt-cache", "y"], "--prompts cannot be combined with --prompt-cache"),
        (["--prompts", "x", "-f", "y"], "--prompts and --file exclude one another"),
        (["--reasoning", "hide"], "--reasoning is part of a chat: give --chat too"),
        (["--draft-max", "16"], "--draft-max says how many tokens are guessed: give --lookup or --model-draft, too"),
        (["--draft-p-min", "0.75", "--lookup"], "say how a draft model guesses: give --model-draft, too"),
        (["--draft-min", "1"], "say how a draft model guesses: give --model-draft, too"),
    ],
)
def test_what_is_typed_in_vain_is_refused_in_one_sentence(llamachat, typed, said):
    done = llamachat("run", "-p", "x", *typed)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert said in done.stderr.decode()


def test_a_guesser_makes_sense_of_its_options(llamachat):
    assert llamachat("run", "-p", "x", "--lookup", "--draft-max", "3").returncode == 0
    assert llamachat("run", "-p", "x", "--draft-max", "3", LLAMACHAT_LOOKUP="1").returncode == 0


def test_what_depends_on_a_setting_is_kept_with_it(llamachat, tmp_path):
    (tmp_path / "c.toml").write_text("logprobs = 2\nquiet = true\n")
    more = {"LLAMACHAT_CONFIG": str(tmp_path / "c.toml"), "LLAMACHAT_LOGPROBS": "1", "LLAMACHAT_OUTPUT": "json"}
    done = llamachat("run", "-p", "x", "--verbose", **more)
    assert len(json.loads(done.stdout)["tokens"][0]["top"]) == 1
