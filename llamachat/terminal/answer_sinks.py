"""The sinks through which an answer reaches the screen."""

from dataclasses import replace

from llamachat.dialogue.answer_only import AnswerSink
from llamachat.dialogue.sinks import Sink, Wrapper
from llamachat.dialogue.thinking import Thinking
from llamachat.engine.events import Event
from llamachat.terminal.chat_settings import ChatSettings
from llamachat.terminal.output import Output
from llamachat.terminal.reasoning import ReasoningView
from llamachat.terminal.view import answer_view


class Unrepeated(Wrapper):
    """Another sink, which does not get the first `n_skipped` characters: they are on the screen already."""

    def __init__(self, inner: Sink, n_skipped: int) -> None:
        super().__init__(inner)
        self._n_skipped = n_skipped

    def event(self, event: Event) -> None:
        """Passes on what is new of it."""
        hidden = min(self._n_skipped, len(event.text))
        self._n_skipped -= hidden
        super().event(replace(event, text=event.text[hidden:]) if hidden else event)


def answer_sink(output: Output, settings: ChatSettings, thinking: Thinking, key: str = "") -> Sink:
    """Where an answer goes: drawn as Markdown or raw, with its thought drawn, as it comes, or left out.

    key: how to see a folded thought, for the end of its line.
    """
    view, hides = answer_view(output, settings.plain), settings.reasoning == "hide"
    if thinking.markers is None or (settings.plain and settings.reasoning == "show"):
        return view
    if view is not output:
        return ReasoningView(view, thinking, hides, key=key)
    return view if output.is_terminal and not hides else AnswerSink(view, thinking)
