"""Answers as JSON: what cannot be said in JSON, and what was said before an error."""

import json

import numpy as np

from llamachat.dialogue.records import Records
from llamachat.dialogue.sinks import Echo
from llamachat.engine.events import Event, Token
from llamachat.engine.sampling.chain import Sampler
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.terminal.json_output import JsonObject

NAN, INF = float("nan"), float("inf")


class Pieces:
    n_vocab, eog, add_bos = 6, frozenset({5}), False

    def piece_bytes(self, token, special=False):
        return b"abcdef"[token : token + 1]

    def encode(self, text, add_special=True):
        return []


def test_impossible_alternatives_are_left_out():
    sampler = Sampler(SamplingOptions(temp=0.0, logprobs=6), Pieces())
    choice = sampler.sample(np.array([1, NAN, 2, -INF, 0, 0], np.float32))
    told = Records(Pieces(), lambda _: {}).of(Token("c", choice.token, choice.logprob, choice.top))
    assert {one["text"] for one in told["top"]} == {"a", "c", "e", "f"}
    json.dumps(told, allow_nan=False)


def test_a_token_of_no_probability_has_none():
    told = Records(Pieces(), lambda _: {}).of(Token("d", 3, -INF))
    assert told["logprob"] is None


def test_what_was_said_before_an_error_is_told(capsys):
    output = JsonObject(Records(Pieces(), lambda _: {}))
    output.event(Echo("hello"))
    output.event(Event("so "))
    output.event(Event("far"))
    output.close()
    assert json.loads(capsys.readouterr().out) == {"v": 1, "prompt": "hello", "text": "so far", "reason": "error"}
    output.close()
    assert capsys.readouterr().out == ""
