"""What is stored with an answer: the model, the settings, the speed."""

from dataclasses import asdict
from typing import Any

from llamachat.dialogue.responder import Answer, Responder
from llamachat.engine.sampling.options import SamplingOptions


def turn_record(responder: Responder, template: str, answer: Answer) -> dict[str, Any]:
    """Model, adapters where there are some, template, samplers that are not the default ones; tokens, and seconds."""
    default, timings = asdict(SamplingOptions()), answer.timings
    settings = asdict(responder.options.sampling).items()
    sampling = {name: value for name, value in settings if value != default[name] and name != "given"}
    adapters = responder.model.adapters.asked.kept
    return {
        "reason": answer.reason,
        "model": responder.model.title,
        **({"adapters": adapters} if adapters else {}),
        "template": template,
        "sampling": sampling,
        "n_prompt": timings.n_prompt,
        "n_known": timings.n_known,
        "n_generated": len(answer.ids),
        "prompt_s": round(timings.prompt_s, 4),
        "generation_s": round(timings.generation_s, 4),
    }
