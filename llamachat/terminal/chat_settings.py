"""How a chat on a terminal looks and behaves, and its settings before /set changes any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llamachat.dialogue.answering import DialogueSettings
from llamachat.dialogue.responder import Responder
from llamachat.engine.answering import GenerationOptions


@dataclass(frozen=True)
class ChatSettings(DialogueSettings):
    """How a chat looks and behaves. reasoning: "show", "hide" or "off". plain: answers are raw text."""

    reasoning: str = "show"
    plain: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class Start:
    """What the command line, the configuration and the model say: options of answers, settings, and the context.

    typed: names of settings that the command line gives. all_options: all options that the command line can give, by
    any of their names, as /set has it.
    """

    options: GenerationOptions
    settings: ChatSettings
    n_ctx: int
    cache_types: Sequence[str]
    typed: frozenset[str] = field(default_factory=frozenset)
    all_options: Mapping[str, str] = field(default_factory=dict)


def start_of(responder: Responder, settings: ChatSettings) -> Start:
    """The settings as they are now."""
    context = responder.context
    return Start(responder.options, settings, context.n_ctx, context.cache_types)
