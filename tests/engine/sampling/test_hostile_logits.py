"""Any settings on any logits: a possible token or a clear error, without a warning of NumPy; twice the same."""

import random

import numpy as np
import pytest
from letters import Letters

from llamachat.engine.sampling.chain import Choice, Sampler
from llamachat.engine.sampling.names import DEFAULT_ORDER
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import LlamaChatError

VALUES: dict[str, tuple[object, ...]] = {
    "temp": (0, 1e-300, 0.5, 1, 1000),
    "top_k": (0, 1, 2, -1, 100),
    "top_p": (0, 1e-9, 0.5, 1),
    "min_p": (0, 0.05, 1),
    "typical": (0, 0.5, 1),
    "tfs": (0, 0.5, 1),
    "top_nsigma": (-1, 0, 1e-9, 1, 1000),
    "xtc_probability": (0, 0.5, 1),
    "xtc_threshold": (0, 0.1, 0.5, 1),
    "dynatemp_range": (0, 0.5, 1000),
    "dynatemp_exp": (0, 0.5, 1, 100),
    "repeat_penalty": (0.01, 1, 1.1, 100),
    "repeat_last_n": (-1, 0, 3),
    "frequency_penalty": (-100, 0.1, 100),
    "presence_penalty": (-100, 0.1, 100),
    "dry_multiplier": (0, 1, 1000),
    "dry_base": (1, 1.0000001, 1.75, 100),
    "dry_allowed_length": (1, 2),
    "mirostat": (0, 1, 2),
    "mirostat_lr": (0, 0.1, 1),
    "mirostat_ent": (0, 5, 100),
    "logit_bias": ("0-inf", "0+5", "0+1000000000,0+1000000000"),
    "logprobs": (0, 3, 100),
}


def settings(dice: random.Random, seed: int) -> dict[str, object]:
    chosen = {name: dice.choice(values) for name, values in VALUES.items() if dice.random() < 0.4}
    return {**chosen, "seed": seed, "samplers": dice.sample(DEFAULT_ORDER, dice.randrange(len(DEFAULT_ORDER) + 1))}


def hostile(dice: random.Random, seed: int) -> np.ndarray:
    n, numbers = dice.choice([1, 2, 3, 8, 40, 3000]), np.random.default_rng(seed)
    kinds = [
        lambda: numbers.normal(0, 5, n),
        lambda: numbers.normal(0, 1e-3, n),
        lambda: np.zeros(n),
        lambda: numbers.choice([-np.inf, 0, 1], n),
        lambda: numbers.choice([np.nan, np.inf, -np.inf, 0, 3], n),
        lambda: numbers.choice([-3e38, 3e38, 0, 1e30], n),
    ]
    return np.asarray(dice.choice(kinds)(), dtype=np.float32)


def story(options: SamplingOptions, logits: np.ndarray, past: list[int]) -> list[Choice | str]:
    """What is chosen from the same logits three times, each choice accepted; an error as its text."""
    sampler = Sampler(options, Letters(logits.size))
    for token in past:
        sampler.accept(token)
    told: list[Choice | str] = []
    for _ in range(3):
        try:
            told.append(sampler.sample(logits))
        except LlamaChatError as error:
            return [*told, str(error)]
        sampler.accept(told[-1].token)  # type: ignore[union-attr]
    return told


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("first", range(0, 2000, 100))
def test_any_settings_choose_a_possible_token_from_any_logits(first: int) -> None:
    for seed in range(first, first + 100):
        dice = random.Random(seed)
        options, logits = SamplingOptions(**settings(dice, seed)), hostile(dice, seed)  # type: ignore[arg-type]
        past = [dice.randrange(logits.size) if dice.random() < 0.3 else 0 for _ in range(dice.choice([0, 3, 200]))]
        told = story(options, logits, past)
        banned = {token for token, bias in options.logit_bias if bias == -np.inf}
        usable = {int(token) for token in np.flatnonzero(logits > -np.inf)}
        for one in told:
            if isinstance(one, str):
                assert not usable or "made impossible" in one, seed
                assert usable <= banned, seed
            else:
                assert one.token in usable - banned, seed
                assert one.logprob is None or one.logprob <= 1e-4 or logits[one.token] == np.inf, seed
        assert told == story(options, logits, past), seed
