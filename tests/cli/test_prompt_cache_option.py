"""--prompt-cache with a real, tiny model: what is kept, what is taken over, what is refused."""

import json
import subprocess
import sys

import pytest
from lettered import with_letters


@pytest.fixture
def run(golden, own_home):
    return program(with_letters(golden / "archs" / "llama.gguf", own_home / "tiny.gguf"), "run")


@pytest.fixture
def interactive(golden, own_home):
    return program(with_letters(golden / "archs" / "llama.gguf", own_home / "tiny.gguf"), "interactive")


def program(model, name):
    command = [sys.executable, "-m", "llamachat", name, "-m", str(model), "-c", "256", "-n", "4", "--temp", "0"]

    def start(*arguments, typed=b""):
        return subprocess.run([*command, *arguments], input=typed, capture_output=True, timeout=60, check=False)

    return start


def tokens_of(path):
    from llamachat.session.prompt_cache import open_prompt_cache

    return open_prompt_cache(path, {}).tokens


def test_a_prompt_is_kept_and_gives_the_same_text_again(interactive, tmp_path):
    path = tmp_path / "kept"
    first = interactive("-p", "abcabc", "--prompt-cache", str(path))
    assert first.returncode == 0, first.stderr
    n_kept = len(tokens_of(path))
    before = path.stat().st_mtime_ns
    again = interactive("-p", "abcabc", "--prompt-cache", str(path))
    assert again.stdout == first.stdout
    assert (len(tokens_of(path)), path.stat().st_mtime_ns) == (n_kept, before)


def test_all_keeps_what_was_typed_and_said_and_an_empty_prompt_is_what_the_file_has(interactive, tmp_path):
    path = tmp_path / "kept"
    interactive("-p", "abc", "--prompt-cache", str(path), "--prompt-cache-all", typed=b"def\n")
    n_kept = len(tokens_of(path))
    assert n_kept > 8
    done = interactive("--prompt-cache", str(path), "--prompt-cache-ro")
    assert done.stdout.startswith(b"abc")
    assert b"def" in done.stdout


def test_a_read_only_cache_is_never_written(interactive, tmp_path):
    path = tmp_path / "kept"
    interactive("-p", "abc", "--prompt-cache", str(path), "--prompt-cache-ro")
    assert not path.exists()


def test_a_cache_of_other_settings_is_refused_or_ignored(interactive, tmp_path):
    path = tmp_path / "kept"
    interactive("-p", "abc", "--prompt-cache", str(path))
    refused = interactive("-p", "abc", "-ctk", "f32", "--prompt-cache", str(path))
    assert refused.returncode == 1
    assert b"of another cache layout" in refused.stderr
    ignored = interactive("-p", "abc", "-ctk", "f32", "--prompt-cache", str(path), "--prompt-cache-mismatch", "ignore")
    assert ignored.returncode == 0
    assert b"it is not used" in ignored.stderr


def test_a_damaged_cache_is_refused(interactive, tmp_path):
    path = tmp_path / "kept"
    interactive("-p", "abc", "--prompt-cache", str(path))
    raw = bytearray(path.read_bytes())
    raw[-100] ^= 4
    path.write_bytes(raw)
    done = interactive("-p", "abc", "--prompt-cache", str(path))
    assert done.returncode == 1
    assert b"checksum" in done.stderr


def test_run_takes_a_kept_prompt_over_and_says_how_much_is_known(run, tmp_path):
    path = tmp_path / "kept"
    first = run("-p", "abcabcabc", "--prompt-cache", str(path))
    assert first.returncode == 0, first.stderr
    again = run("-p", "abcabcabcabc", "--prompt-cache", str(path), "--prompt-cache-ro", "--output", "json")
    timings = json.loads(again.stdout)["timings"]
    assert timings["n_known"] == len(tokens_of(path))
    fresh = run("-p", "abcabcabcabc", "--output", "json")
    assert json.loads(fresh.stdout)["text"] == json.loads(again.stdout)["text"]


def test_another_type_makes_the_file_smaller_and_gives_the_same_text(run, tmp_path):
    said, sizes = set(), {}
    for name in ("own", "f32", "f16", "bf16", "q8_0"):
        path, chosen = tmp_path / name, [] if name == "own" else ["--prompt-cache-type", name]
        run("-p", "abcabcabc", "--prompt-cache", str(path), *chosen)
        again = run("-p", "abcabcabc", "--prompt-cache", str(path), "--prompt-cache-ro", "--output", "json")
        assert json.loads(again.stdout)["timings"]["n_known"] > 5
        said.add(json.loads(again.stdout)["text"])
        sizes[name] = path.stat().st_size
    assert len(said) == 1
    assert sizes["q8_0"] < 0.6 * sizes["own"] < 0.6 * sizes["f32"]
    assert abs(sizes["f16"] - sizes["own"]) < 100
    assert abs(sizes["bf16"] - sizes["own"]) < 100


def test_a_file_tells_of_what_it_is(run, tmp_path):
    from llamachat.session.prompt_cache import open_prompt_cache

    run("-p", "abcabcabc", "--prompt-cache", str(tmp_path / "kept"))
    told = open_prompt_cache(tmp_path / "kept", {}).settings
    assert (told["architecture"], told["context"]) == ("llama", "256")
    assert "rope.dimension_count=" in told["rope"]
    assert {"format", "model", "cache_layout", "program", "lora", "created", "checksum"} <= set(told)


def test_the_options_say_more_of_a_file(interactive):
    for more in (["--prompt-cache-all"], ["--prompt-cache-ro"], ["--prompt-cache-type", "q8_0"]):
        done = interactive("-p", "abc", *more)
        assert (done.returncode, b"--prompt-cache FILE" in done.stderr) == (2, True)


def test_all_of_a_text_is_kept_also_its_last_word(interactive, tmp_path):
    """The model has not read it yet when the person leaves; without it a text may end within a reverse prompt."""
    path = tmp_path / "kept"
    done = interactive("-p", "abczz", "-r", "zz", "--prompt-cache", str(path), "--prompt-cache-all", typed=b"def\n")
    said = done.stdout.decode().split()[-1].removeprefix("abczz")
    text = "".join(chr(token - 3 + ord("0")) for token in tokens_of(path) if token >= 3)
    assert said
    assert text.startswith("abczzdef")
    assert text.endswith(said)
