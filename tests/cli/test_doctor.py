"""`llamachat doctor`: what it finds, and that it changes nothing."""

import json
from pathlib import Path

import pytest

from llamachat.cli.app import run_app
from llamachat.cli.checkup import machine, places
from llamachat.cli.checkup.facts import Fact
from llamachat.engine.kept import TRAILER, Store

RATES = {"read_bytes_per_s": 1e10, "integer_operations_per_s": 1e12, "float_operations_per_s": 1e11}


@pytest.fixture
def quick(monkeypatch) -> list[int]:
    """Speeds that need not be measured; the list gets the bytes that would have been."""
    measured: list[int] = []

    def speeds(threads: int, n_bytes: int):
        measured.append(n_bytes)
        return [Fact(name, value, f"{value:g}") for name, value in RATES.items()]

    monkeypatch.setattr(machine, "speeds", speeds)
    return measured


def report(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict]:
    run_app(["doctor", "--output", "json", *words])
    return json.loads(capsys.readouterr().out)


def test_the_report_has_every_subject(quick, capsys):
    found = report(capsys)
    assert set(found) == {
        "v", "program", "processor", "speed", "memory", "folders", "compiled kernels", "packed weights", "packages",
        "settings",
        "terminal", "problems",
    }  # fmt: skip
    assert found["speed"] == RATES
    assert found["packages"]["typer"].startswith("0.28")
    assert found["memory"]["available_bytes"] > 0
    assert found["processor"]["instruction_set"] == found["processor"]["instruction_set"].lower()


def test_speeds_are_measured_and_nothing_is_written(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "MEASURED_BYTES", 1 << 22)
    monkeypatch.setenv("LLAMACHAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LLAMACHAT_MODELS", str(tmp_path / "models"))
    found = report(capsys)
    assert found["speed"].keys() == RATES.keys()
    assert all(rate > 1e6 for rate in found["speed"].values())
    assert found["compiled kernels"] == {"entries": 0}
    assert list(tmp_path.iterdir()) == []


def test_the_instruction_set_says_why_it_was_chosen(quick, capsys, monkeypatch):
    run_app(["doctor"])
    assert ", the best of " in capsys.readouterr().out
    monkeypatch.setenv("LLAMACHAT_ISA", "generic")
    run_app(["doctor"])
    assert "generic, because LLAMACHAT_ISA says so" in capsys.readouterr().out


@pytest.mark.real
def test_a_model_is_set_against_the_machine(quick, capsys, smollm2: Path):
    model = report(capsys, "-m", str(smollm2))["model"]
    n_bytes = model["bytes_per_token"]
    assert quick == [n_bytes]
    assert 0.9 * smollm2.stat().st_size < n_bytes < smollm2.stat().st_size
    assert model["generation_per_s"] == pytest.approx(1e10 / n_bytes)
    full = n_bytes + 2048 * model["cache_bytes_per_token"]
    assert model["generation_full_per_s"] == pytest.approx(1e10 / full) or model["generation_full_per_s"] < 1e10 / full
    assert 3000 < model["prompt_per_s"] < 6000
    assert model["fits"] is True


def test_what_is_wrong_is_listed_and_does_not_end_the_report(quick, capsys, monkeypatch, tmp_path, own_home):
    (tmp_path / "no model.gguf").write_text("nothing")
    folder = own_home / "config" / "llamachat"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("tmep = 1")
    monkeypatch.setenv("LLAMACHAT_MEMORY", "lots")
    monkeypatch.setenv("LLAMACHAT_ISA", "avx9000")
    found = report(capsys, "-m", str(tmp_path / "no model.gguf"))
    problems = "\n".join(found["problems"])
    for said in ("avx9000", "LLAMACHAT_MEMORY", "line 1: no setting is called tmep", "not a GGUF file"):
        assert said in problems
    assert "speed" not in found
    run_app(["doctor"])
    assert capsys.readouterr().out.endswith("3 marked ! above.\n")


def test_folders_tell_what_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("LLAMACHAT_MODELS", "/proc/nothing/here")
    monkeypatch.setenv("LLAMACHAT_CACHE", str(tmp_path / "new" / "cache"))
    monkeypatch.setattr(places.os, "access", lambda path, mode: not str(path).startswith("/proc"))
    found = {fact.name: fact for fact in places.folders()}
    assert found["models"].problem
    assert "/proc cannot be written to" in found["models"].said
    assert found["cache"].value == {"path": str(tmp_path / "new" / "cache"), "exists": False, "writable": True}
    assert not found["cache"].problem


def test_folders_of_chats_and_prompts_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("LLAMACHAT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LLAMACHAT_CONFIG", str(tmp_path / "config" / "c.toml"))
    found = {fact.name: fact.value["path"] for fact in places.folders()}
    assert (found["chats"], found["prompts"]) == (f"{tmp_path}/data/chats", f"{tmp_path}/config/prompts")


def test_the_kept_kernels_are_counted(monkeypatch, tmp_path):
    monkeypatch.setenv("LLAMACHAT_CACHE", str(tmp_path))
    assert [fact.value for fact in places.object_cache()] == [0]
    folder = tmp_path / "objects"
    folder.mkdir(mode=0o700)
    for name in ("a", "b"):
        (folder / name).write_bytes(b"12345")
    assert {fact.name: fact.value for fact in places.object_cache()} == {"entries": 2, "total_bytes": 10}
    folder.chmod(0o777)
    assert [fact.name for fact in places.object_cache() if fact.problem] == ["private"]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_report_is_as_wide_as_the_terminal(quick, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    run_app(["doctor"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= min(columns, 100)


def test_kept_packed_weights_are_listed_and_removed(quick, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LLAMACHAT_CACHE", str(tmp_path))
    assert report(capsys)["packed weights"] == {"copies": 0}
    Store.of_user(1 << 20).save("key", "big.gguf", memoryview(bytes(1000)), "sum")
    found = report(capsys)["packed weights"]
    assert found["copies"] == 1
    assert (found["copy_1"]["model"], found["copy_1"]["bytes"]) == ("big.gguf", 1000 + TRAILER)
    assert 0 <= found["copy_1"]["age_s"] < 60
    run_app(["doctor", "--remove-packed"])
    assert capsys.readouterr().out == "1 copy of packed weights removed, 5 kB\n"
    assert report(capsys)["packed weights"] == {"copies": 0}
