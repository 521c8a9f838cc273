"""Mistakes in the configuration file, told with their line and what was meant; profiles that build on others."""

import json

import pytest

from llamachat.cli.app import run_app
from llamachat.errors import UsageError


@pytest.fixture
def written(tmp_path, monkeypatch):
    path = tmp_path / "c.toml"
    monkeypatch.setenv("LLAMACHAT_CONFIG", str(path))
    return lambda text: path.write_text(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "temp = 0.5\n[profiles.code]\ntemp = 1",
            "line 2: [profiles.code] is no table of settings; did you mean [profile.code]?",
        ),
        ("\n[code]\ntemp = 1", "line 2: [code] is no table of settings; did you mean [profile.code]?"),
        ("[profile.a]\n[profile.a.b]\ntemp = 1", "line 2: a profile has settings and no tables: write [profile.b]"),
        ("top_k = 3\ntemp = hot", "line 2: invalid value (TOML): numbers, true and false stand bare, texts in quotes"),
        ("system = Be brief.", "line 1: invalid value (TOML): numbers, true and false stand bare, texts in quotes"),
        ('[profile.a]\nbase = "c"\n[profile.b]', "line 2: there is no [profile.c] to build on"),
        ("[profile.a]\nbase = 3", "line 2: base must be the name of a profile, in quotes"),
        ('[profile.a]\nbase = "b"\n[profile.b]\nbase = "a"', "line 4: the profile a builds on itself (a, b, a)"),
        ('[profile.a]\nbase = "a"', "line 2: the profile a builds on itself (a, a)"),
        ('base = "a"\n[profile.a]', "line 1: no setting is called base"),
    ],
)
def test_a_mistake_is_told_with_its_line(written, text, said):
    written(text)
    with pytest.raises(UsageError) as refused:
        run_app(["models"])
    assert said in str(refused.value)


def test_a_model_that_is_not_there_is_told_with_the_place_of_the_setting(llamachat, tmp_path):
    (tmp_path / "c.toml").write_text('temp = 1\nmodel = "nosuch"\n')
    done = llamachat("bench", LLAMACHAT_CONFIG=str(tmp_path / "c.toml"))
    assert f"{tmp_path}/c.toml, line 2: no model is called nosuch" in done.stderr.decode()
    typed = llamachat("bench", "-m", "other", LLAMACHAT_CONFIG=str(tmp_path / "c.toml"))
    assert typed.stderr.startswith(b"llamachat: no model is called other")


def test_a_profile_builds_on_another(written, capsys):
    written(
        'temp = 0.9\n[profile.a]\nbase = "b"\ntemp = 0.1\n[profile.b]\nbase = "c"\ntemp = 0.3\ntop_k = 7\n'
        "[profile.c]\ntop_k = 8\ntop_p = 0.5\n"
    )
    run_app(["config", "show", "--profile", "a", "--output", "json"])
    found = {one["name"]: (one["value"], one["origin"]) for one in json.loads(capsys.readouterr().out)}
    assert (found["temp"], found["top_k"], found["top_p"]) == ((0.1, "profile"), (7, "profile"), (0.5, "profile"))
    run_app(["config", "show", "--output", "json"])
    found = {one["name"]: one["value"] for one in json.loads(capsys.readouterr().out)}
    assert (found["temp"], found["top_k"]) == (0.9, 40)
