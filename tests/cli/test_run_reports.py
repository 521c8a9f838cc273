"""`run` with its output as JSON, with figures, and with options that are refused before a model is loaded."""

import json

import pytest


def test_json_is_one_object_with_text_end_and_figures(llamachat):
    done = llamachat("run", "-p", "Hello", "--output", "json", answers=("An answer.",))
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (found["text"], found["reason"]) == ("An answer.", "eos")
    assert found["timings"].keys() >= {"load_s", "n_prompt", "prompt_per_s", "generation_per_s", "sampling_s", "n_ctx"}
    assert found["timings"]["n_generated"] == 10
    assert "tokens" not in found


def test_json_lines_tell_every_token_and_the_end(llamachat):
    done = llamachat("run", "-p", "Hello", "--output", "jsonl", "--logprobs", "2", answers=("Ab",))
    first, second, stop = map(json.loads, done.stdout.splitlines())
    assert (first["event"], first["text"], first["id"]) == ("token", "A", ord("A"))
    assert first["logprob"] == pytest.approx(0, abs=1e-6)
    assert first["top"][0]["text"] == "A"
    assert len(first["top"]) == 2
    assert second["text"] == "b"
    assert (stop["event"], stop["reason"], stop["timings"]["n_generated"]) == ("stop", "eos", 2)


def test_json_tells_of_tokens_what_they_print_and_their_bytes_where_that_is_no_text(llamachat):
    done = llamachat("run", "-p", "Hello", "--output", "json", "--logprobs", "1", answers=("aé",))
    tokens = json.loads(done.stdout)["tokens"]
    assert [token["text"] for token in tokens] == ["a", "\ufffd", "\ufffd"]
    assert [token.get("bytes") for token in tokens] == [None, [0xC3], [0xA9]]


def test_lines_of_prompts_may_hold_any_separator_of_unicode(llamachat, tmp_path):
    texts = ["a\u2028b", "c\u0085d", "e\x1cf"]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(text, ensure_ascii=False) + "\r\n" for text in texts), "utf-8")
    done = llamachat("run", "--prompts", str(path), "--dry-run", "--output", "json")
    assert [json.loads(line)["prompt"] for line in done.stdout.split(b"\n") if line] == [f"<s>{text}" for text in texts]


def test_figures_go_to_standard_error(llamachat):
    done = llamachat("run", "-p", "Hello", "--timings", answers=("An answer.",))
    assert done.stdout == b"An answer.\n"
    lines = done.stderr.decode().splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["load", "prompt", "generation", "sampling", "context"]


def test_look_up_changes_nothing_but_the_number_of_steps(llamachat):
    text = "abcabcabcabcabcabc."
    done = llamachat("run", "-p", "abcabc", "--lookup", "--timings", "--temp", "0", answers=(text,))
    assert done.stdout.decode() == f"{text}\n"
    assert b"guesses" in done.stderr


def test_underscores_in_names_of_options_are_dashes(llamachat):
    done = llamachat("run", "-p", "a", "--n_predict", "2", "--repeat_penalty=1.1", answers=("abc",))
    assert (done.returncode, done.stdout) == (0, b"ab\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--samplers", "top_k;topq"], "no sampler named 'topq'"),
        (["--sampling-seq", "kq"], "no sampler has the letter 'q'"),
        (["--logit-bias", "x+1"], "logit_bias 'x+1'"),
        (["--typical", "2"], "--typical: give a number from 0 to 1, not 2"),
        (["--mirostat", "3"], "--mirostat: give a whole number from 0 to 2, not 3"),
        (["--dry-sequence-breaker", ""], "dry_sequence_breaker"),
        (["--cache-type-k", "q3"], "unknown cache type 'q3'"),
        (["--grp-attn-n", "3", "--grp-attn-w", "8"], "must be a multiple of --grp-attn-n 3"),
        (["--grammar", "root ::= missing"], "missing"),
        (["--grammar", "jsom"], "did you mean json?"),
        (["--json-schema", '{"type": "array", "uniqueItems": true}'], "at #/uniqueItems"),
        (["--json", "--grammar", "json"], "exclude one another"),
        (["--lookup", "--model-draft", "x"], "only one of them"),
        (["--lookup-cache-static", "x"], "give that too"),
        (["--draft-min", "9", "--draft-max", "3"], "--draft-min 9 is more than --draft-max 3"),
        (["--parallel", "2", "--lookup"], "cannot be combined with --lookup"),
        (["--parallel", "2", "--grp-attn-n", "2"], "cannot be combined with --grp-attn-n"),
        (["--reasoning", "hide"], "--reasoning is part of a chat: give --chat too"),
        (["--prompts", "/no/such/file"], "no such file"),
        (["--logprobs", "101"], "--logprobs"),
        (["--logprobs", "3"], "--output json or jsonl"),
        (["--sampling-seq", "kt", "--samplers", "top_p"], "give one of them"),
        (["--keep", "-2"], "--keep"),
    ],
)
def test_wrong_options_are_refused_before_a_model_is_loaded(llamachat, arguments, words):
    done = llamachat("run", "-p", "x", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no prompts"),
        (b'"a"\nnot json\n', "line 2: not JSON"),
        (b"[1]\n", "line 1: a JSON string, or an object"),
        (b'{"prompt": ""}\n', "line 1: a JSON string, or an object"),
        (b'{"prompt": "a", "temp": 1}\n', "line 1: unknown key 'temp'"),
        (b'\n{"prompt": "a", "seed": -5}\n', "line 2: seed must be"),
        (b'{"prompt": "a", "n_predict": "5"}\n', "line 1: n_predict must be"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "line 1: not JSON"),
    ],
)
def test_a_file_of_prompts_is_checked_line_by_line(llamachat, tmp_path, content, words):
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content)
    done = llamachat("run", "--prompts", str(path))
    assert done.returncode == 2
    assert words in done.stderr.decode()


def test_a_fault_in_a_grammar_is_shown_with_a_caret(llamachat):
    done = llamachat("run", "-p", "x", "--grammar", 'root ::= ("a" | "b"')
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "llamachat: --grammar:1:10: this parenthesis is never closed",
        '  root ::= ("a" | "b"',
        "           ^",
    ]


def test_a_file_of_n_grams_is_made_and_asked(llamachat, tmp_path):
    path = tmp_path / "ngrams"
    made = llamachat("tokenize", "--no-bos", "--ngrams", str(path), "-p", "abcdefgh " * 3)
    assert (made.returncode, made.stdout) == (0, b"")
    done = llamachat(
        "run", "-p", "x", "--lookup", "--lookup-cache-static", str(path), "--timings", answers=("abcdefgh",)
    )
    assert done.stdout == b"abcdefgh\n"
    assert b"guesses" in done.stderr
