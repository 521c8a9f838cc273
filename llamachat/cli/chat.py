"""`llamachat chat`: a conversation through the model's own chat template."""

import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Context, Option

from llamachat.cli import loading
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.groups import typed
from llamachat.cli.looks import LooksChoice
from llamachat.cli.options import LengthChoice, ModelChoice, System, Verbose
from llamachat.cli.prompt import read_file, read_stdin
from llamachat.cli.speculation import SpeculationChoice
from llamachat.cli.template_choice import Reasoning, TemplateChoice
from llamachat.cli.tool_choice import ToolChoice
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamachat.dialogue.tools.definition import Tool
    from llamachat.engine.generate import GenerationOptions
    from llamachat.session.chats import ChatStore
    from llamachat.terminal.chatting import Chat
    from llamachat.terminal.keeper import Decide
    from llamachat.terminal.speaker import Speaker


class OnFull(StrEnum):
    """What becomes of a talk that the context cannot hold."""

    SHIFT = "shift"
    SUMMARIZE = "summarize"
    STOP = "stop"


class IfOpen(StrEnum):
    """What becomes of a chat that another program is in."""

    ASK = "ask"
    FORK = "fork"
    READ_ONLY = "read-only"
    QUIT = "quit"


@dataclass(frozen=True)
class ChatChoice:
    """Which chat, and what is kept of it."""

    session: Annotated[
        str | None,
        Option(
            "--session", metavar="NAME", help="Go on with the chat of this name or number, or begin one of this name."
        ),
    ] = None
    resume: Annotated[bool, Option("--continue", "-C", help="Go on with the last chat.")] = False
    save: Annotated[bool, Option("--save/--no-save", help="Whether the chat is kept.")] = True
    if_open: Annotated[
        IfOpen,
        Option("--if-open", help="When another llamachat is in the chat: ask (where nobody can be asked, fork), go "
               "on in a copy, in memory only, or not at all."),
    ] = IfOpen.ASK  # fmt: skip
    system: System = None
    system_file: Annotated[Path | None, Option("--system-file", metavar="FILE", help="The same, from a file.")] = None
    on_full: Annotated[
        OnFull,
        Option("--on-full", help="When the context is full: forget the oldest turns, keep a summary of them, or stop."),
    ] = OnFull.SHIFT
    cache_budget: Annotated[
        int,
        Option("--cache-budget", min=0, metavar="MIB", help="So much of what models have computed of chats is kept, so "
               "that they go on at once; 0 keeps none."),
    ] = 2048  # fmt: skip

    def __post_init__(self) -> None:
        if self.system is not None and self.system_file is not None:
            raise UsageError("--system and --system-file exclude one another: give one of them")
        if self.session is not None and self.resume:
            raise UsageError("--session and --continue exclude one another: give one of them")
        if not self.save and self.goes_on:
            raise UsageError("--no-save keeps nothing: it cannot be combined with --session and --continue")

    @property
    def goes_on(self) -> bool:
        """Whether it was said in which chat."""
        return self.resume or self.session is not None

    def told(self) -> str | None:
        """What the model is told before."""
        return self.system if self.system_file is None else read_file(self.system_file)


def chat(
    model: ModelChoice,
    length: LengthChoice,
    sampling: SamplingOptions,
    constraint: ConstraintChoice,
    speculation: SpeculationChoice,
    choice: ChatChoice,
    template: TemplateChoice,
    tools: ToolChoice,
    context: Context,
    looks: LooksChoice,
    verbose: Verbose = False,
) -> int:
    """Talk with a model.

    Ctrl+C stops an answer, Ctrl+D leaves, /help lists the commands. Each chat is kept: --continue goes on with the last
    one, `llamachat sessions` lists them. Where standard input or output is not a terminal, all of standard input is one
    message, and its answer all output; it is kept where --session or --continue say in which chat.
    """
    looks.apply()
    options, system, given = length.options(sampling, constraint), choice.told(), tools.given()
    if given and options.grammar is not None:
        raise UsageError("--tools has a grammar of its own: it cannot be combined with another one")
    talking = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    message = "" if talking else read_stdin()
    if not talking and not message:
        raise UsageError("standard input is empty: there is no message to answer")
    if not talking and not tools.yes and any(tool.command for tool in given):
        raise UsageError("--tools: nobody can be asked here before a command is run; --yes runs them without asking")
    with ExitStack() as stack:
        with _unseen(talking):
            opened = stack.enter_context(loading.open_speaker(model, options, speculation))
        speaker = replace(opened, template=template.chosen(opened.model)).answering()
        setting = _Setting(model, options, choice, template, looks, given, tools.yes, verbose, typed(context))
        if talking:
            return _talk(setting, speaker, system, stack)
        if choice.goes_on or given or template.reasoning is Reasoning.HIDE:
            return _ask(setting, speaker, system, stack, message)
        answer = speaker.speak(speaker.prompt(message, system))
        speaker.output.end_line()
        if verbose:
            speaker.report(answer)
        return ExitCode.INTERRUPT if answer.reason == "cancelled" else ExitCode.DONE


@dataclass(frozen=True)
class _Setting:
    """What was asked for, for models that come later."""

    model: ModelChoice
    options: "GenerationOptions"
    choice: ChatChoice
    template: TemplateChoice
    looks: LooksChoice
    tools: "tuple[Tool, ...]"
    yes: bool
    verbose: bool
    typed: frozenset[str] = frozenset()


def _talk(setting: _Setting, speaker: "Speaker", system: str | None, stack: ExitStack) -> int:
    """A talk on a terminal."""
    from llamachat.terminal.chat import ChatLoop  # prompt_toolkit, which a pipe does without

    talk, begun = _opened(setting, speaker, system, stack, keep=setting.choice.save)
    try:
        ChatLoop(talk, setting.looks.vi).run(resumed=not begun)
    finally:  # also when the terminal is closed
        _left(talk)
    return ExitCode.DONE


def _ask(setting: _Setting, speaker: "Speaker", system: str | None, stack: ExitStack, message: str) -> int:
    """One message and its answer; what else there is to say goes to standard error."""
    from llamachat.terminal.output import note

    talk, _ = _opened(setting, speaker, system, stack, keep=setting.choice.goes_on, aside=note)
    try:
        talk.ask(message)
        speaker.output.end_line()
    finally:
        _left(talk)
    return ExitCode.INTERRUPT if talk.last is None or talk.last.reason == "cancelled" else ExitCode.DONE


def _opened(
    setting: _Setting,
    speaker: "Speaker",
    system: str | None,
    stack: ExitStack,
    keep: bool,
    aside: "Callable[[str], None] | None" = None,
) -> "tuple[Chat, bool]":
    """The chat that was asked for, and whether it begins now."""
    from llamachat.library import chat_template
    from llamachat.session.places import database_path
    from llamachat.terminal.chatting import Chat, Manner, open_store
    from llamachat.terminal.commands.set_command import apply_chosen
    from llamachat.terminal.conversation import Conversation
    from llamachat.terminal.keeper import Keeper

    choice = setting.choice
    store = stack.enter_context(open_store(database_path if keep else None))
    number, begun = _number(store, choice, speaker.model.title)
    keeper = Keeper(store, choice.cache_budget << 20, _decide(choice.if_open))
    stack.callback(keeper.release)
    number = keeper.take(number)
    conversation = Conversation(
        speaker.model.tokenizer, speaker.template or chat_template(speaker.model), store, number
    )
    if system is not None:
        conversation.set(system=system)
    manner = Manner(choice.on_full.value, setting.template.reasoning.value, setting.looks.plain, setting.verbose)

    def open_model(name: str) -> "Speaker":
        other = stack.enter_context(loading.open_speaker(replace(setting.model, model=name), setting.options))
        return replace(other, template=setting.template.chosen(other.model)).answering()

    talk = Chat(speaker, conversation, manner, open_model, keeper=keeper, aside=aside)
    if setting.tools:
        from llamachat.terminal.tools.agreement import asked
        from llamachat.terminal.tools.using import ToolUse  # grammars, which other chats do without

        talk.tools = ToolUse(setting.tools, conversation.template.source, asked, setting.yes)
        talk.speaker = replace(speaker, options=replace(speaker.options, grammar=talk.tools.grammar()))
        conversation.tools = talk.tools.described()
    talk.start = replace(talk.start, options=talk.speaker.options, typed=setting.typed)
    if not begun:
        apply_chosen(talk)
        speaker = talk.speaker
        conversation.remember(speaker.context.n_ctx)
        with _unseen(speaker.output.is_terminal):
            keeper.wake(speaker, number)
    return talk, begun


def _unseen(talking: bool) -> AbstractContextManager[None]:
    """While a model is loaded: what a person types is not shown, and waits for the first line."""
    from llamachat.terminal.unseen import typing_unseen

    return typing_unseen() if talking else nullcontext()


def _decide(choice: IfOpen) -> "Decide":
    """What answers for a chat that is open elsewhere."""
    from llamachat.terminal.keeper import FORK, ask_person

    if choice is not IfOpen.ASK:
        return lambda _: choice.value
    talking = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    return ask_person if talking else lambda _: FORK


def _left(talk: "Chat") -> None:
    """What is kept when a talk ends."""
    if talk.keeper is not None:
        talk.keeper.leave(talk.speaker, talk.conversation.chat, asked=talk.last is not None)


def _number(store: "ChatStore", choice: ChatChoice, model: str) -> tuple[int, bool]:
    """The chat that was asked for, and whether it begins now."""
    if choice.resume:
        last = store.latest(1)
        if not last:
            raise UsageError("there is no chat to continue yet")
        return last[0].id, False
    if choice.session is not None:
        known = store.named(choice.session)
        if known is not None:
            return known, False
    try:
        return store.create(model, choice.session), True
    except UsageError:  # another program has made the chat in between
        known = store.named(choice.session or "")
        if known is None:
            raise
        return known, False
