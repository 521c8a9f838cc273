"""`llamachat chat`: a conversation through the model's own chat template."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from typer import Context

from llamachat.cli import loading
from llamachat.cli.chat_beginning import begun
from llamachat.cli.chat_choice import ChatChoice, IfOpen
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.groups import options_by_name, typed
from llamachat.cli.looks import LooksChoice
from llamachat.cli.options import LengthChoice, ModelChoice, Verbose
from llamachat.cli.speculation import SpeculationChoice
from llamachat.cli.template_choice import Reasoning, TemplateChoice
from llamachat.cli.tool_choice import ToolChoice
from llamachat.dialogue.messages import with_files
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import ExitCode, UsageError
from llamachat.terminal.asking import may_converse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llamachat.dialogue.keeper import Decide
    from llamachat.dialogue.responder import Responder
    from llamachat.dialogue.tools.definition import Tool
    from llamachat.engine.generate import GenerationOptions
    from llamachat.session.chats import ChatStore
    from llamachat.terminal.chatting import Chat
    from llamachat.terminal.console import Console

    Files = Sequence[tuple[str, str]]


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
    """Chat with a model.

    Ctrl+C stops an answer, Ctrl+D quits, /help lists the slash commands. Chats are saved: --continue resumes the last
    one, `llamachat sessions` lists all. Piped text is the first message; the chat then continues at the terminal. If
    standard output is not a terminal, one answer is printed and nothing else; it is saved only with --session or
    --continue.
    """
    looks.apply()
    system, given, files = choice.system_text(), tools.given(), choice.attached()
    beginning = begun(choice)
    options = length.options(sampling, constraint, endless=beginning.converses)
    if not beginning.converses and not tools.yes and any(tool.command for tool in given):
        raise UsageError("--tools: nobody can be asked here before a command is run; --yes runs them without asking")
    from llamachat.terminal.console import Console, for_chats

    console = Console()
    with ExitStack() as stack:
        with _unseen(beginning.converses):
            opened = stack.enter_context(loading.open_responder(model, options, speculation, console))
        responder = for_chats(replace(opened, template=template.chosen(opened.model, bool(given))))
        setting = _Setting(model, options, choice, template, looks, given, tools.yes, verbose, context, console)
        if beginning.converses:
            return _converse(setting, responder, system, stack, (beginning.first, files))
        if choice.chooses_chat or given or template.reasoning is Reasoning.HIDE or beginning.lines:
            return _ask(setting, responder, system, stack, (beginning.messages(), files))
        return _answer(setting, responder, system, with_files(files, beginning.first))


def _answer(setting: "_Setting", responder: "Responder", system: str | None, message: str) -> int:
    """One message that belongs to no chat, and its answer."""
    from llamachat.dialogue.prompts import text_prompt
    from llamachat.terminal.console import report
    from llamachat.terminal.outgrowing import ShiftReporter, report_ending

    output, prompt = setting.console.output, text_prompt(message, responder.template, system)
    ids = responder.tokens(prompt)
    answer = responder.answer(ids, ShiftReporter(output, responder.context.n_ctx, len(ids), output.is_terminal))
    output.end_line()
    if setting.verbose:
        report(answer, responder)
    else:
        report_ending(answer.reason, responder.context.n_ctx)
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
    context: Context
    console: "Console"


def _converse(
    setting: _Setting, responder: "Responder", system: str | None, stack: ExitStack, begins: "tuple[str, Files]"
) -> int:
    """A chat on a terminal. begins: the first message, "" for none, and the files that go with it."""
    from llamachat.terminal.attention import titled
    from llamachat.terminal.chat import ChatLoop  # prompt_toolkit, which a pipe does without

    chat, begins_now = _opened(setting, responder, system, stack, keep=setting.choice.save)
    try:
        chat.attached = list(begins[1])
        with titled(_title(chat)) if setting.looks.title else nullcontext():
            ChatLoop(chat, setting.looks.vi, setting.looks.attention).run(resumed=not begins_now, first=begins[0])
    finally:  # also when the terminal is closed
        _left(chat)
    return ExitCode.DONE


def _title(chat: "Chat") -> str:
    """The window's title: the program, the model, and the chat if it has a name."""
    from llamachat.terminal.chat_status import short_name

    name = chat.conversation.store.summary(chat.conversation.chat).name
    return " - ".join(one for one in ("llamachat", short_name(chat.responder.model.title), name) if one)


def _ask(
    setting: _Setting, responder: "Responder", system: str | None, stack: ExitStack, asks: "tuple[Iterable[str], Files]"
) -> int:
    """Messages and their answers; what else there is to say goes to standard error. asks: the messages, the files."""
    from llamachat.terminal.output import note
    from llamachat.terminal.tools.shown import NO_TOOLS

    chat, begun = _opened(setting, responder, system, stack, keep=setting.choice.chooses_chat, aside=note)
    chat.aside, chat.attached = note, list(asks[1])
    if begun and setting.choice.session is not None and chat.conversation.store.is_kept:
        note(f"there was no chat named {setting.choice.session}: this one is new")
    if chat.lacks_tools:
        note(NO_TOOLS.strip("()"))
    try:
        for message in asks[0]:
            chat.ask(message)
            setting.console.output.end_line()
            if chat.last is None or chat.last.reason == "cancelled":
                return ExitCode.INTERRUPT
    finally:
        _left(chat)
    return ExitCode.DONE


def _opened(
    setting: _Setting,
    responder: "Responder",
    system: str | None,
    stack: ExitStack,
    keep: bool,
    aside: "Callable[[str], None] | None" = None,
) -> "tuple[Chat, bool]":
    """The chat that was asked for, and whether it begins now."""
    from llamachat.dialogue.conversation import Conversation
    from llamachat.dialogue.keeper import Keeper
    from llamachat.dialogue.prompts import chat_template
    from llamachat.session.places import database_path
    from llamachat.terminal.chat_settings import ChatSettings
    from llamachat.terminal.chatting import Chat, open_store
    from llamachat.terminal.commands.set_command import apply_chosen
    from llamachat.terminal.console import for_chats
    from llamachat.terminal.output import note

    choice = setting.choice
    store = stack.enter_context(open_store(database_path if keep else None))
    number, begun = _number(store, choice, responder.model.title)
    keeper = Keeper(store, choice.cache_budget << 20, _decide(choice.if_open), note)
    stack.callback(keeper.release)
    with _nothing_left(store, number if begun else None):
        number = keeper.take(number)
        conversation = Conversation(
            responder.model.tokenizer, responder.template or chat_template(responder.model), store, number
        )
        if system is not None:
            conversation.set(system=system)
        looks = ChatSettings(
            choice.on_full.value, setting.template.reasoning.value, setting.looks.plain, setting.verbose
        )

        def open_model(name: str) -> "Responder":
            named = setting.model.alone(name)
            other = stack.enter_context(loading.open_responder(named, setting.options, console=setting.console))
            return for_chats(replace(other, template=setting.template.chosen(other.model, bool(setting.tools))))

        chat = Chat(
            responder, conversation, looks, keeper=keeper, console=setting.console, open_model=open_model, aside=aside
        )
        if setting.tools:
            from llamachat.dialogue.tools.using import ToolUse  # grammars, which other chats do without
            from llamachat.terminal.tools.agreement import asked

            called, source = setting.template.called, conversation.template.source
            chat.tools = ToolUse(setting.tools, source, asked, setting.yes, called=called)
            chat.responder = replace(responder, options=replace(responder.options, grammar=chat.tools.grammar()))
            conversation.tools = chat.tools.described()
        typed_names, all_options = typed(setting.context), options_by_name(setting.context)
        chat.start = replace(chat.start, options=chat.responder.options, typed=typed_names, all_options=all_options)
        if not begun:
            apply_chosen(chat)
            responder = chat.responder
            conversation.remember(responder.context.n_ctx)
            with _unseen(setting.console.output.is_terminal):
                keeper.restore_snapshot(responder, number)
    return chat, begun


@contextmanager
def _nothing_left(store: "ChatStore", begun: int | None) -> "Iterator[None]":
    """Around the beginning of a chat: where it is refused, nothing of a chat that begins now is kept."""
    try:
        yield
    except BaseException:
        if begun is not None:
            store.forget_empty(begun)
        raise


def _unseen(on_terminal: bool) -> AbstractContextManager[None]:
    """While a model is loaded: what a person types is not shown, and waits for the first line."""
    from llamachat.terminal.echo import echo_off

    return echo_off() if on_terminal else nullcontext()


def _decide(choice: IfOpen) -> "Decide":
    """What answers for a chat that is open elsewhere."""
    from llamachat.dialogue.keeper import FORK
    from llamachat.terminal.open_elsewhere import ask_person

    if choice is not IfOpen.ASK:
        return lambda _said, _nothing: choice.value
    return ask_person if may_converse() else lambda _said, _nothing: FORK


def _left(chat: "Chat") -> None:
    """Saves the state of a chat when it ends."""
    if chat.keeper is not None:
        chat.keeper.leave(chat.responder, chat.conversation.chat, asked=chat.last is not None)


def _number(store: "ChatStore", choice: ChatChoice, model: str) -> tuple[int, bool]:
    """The chat that was asked for, and whether it begins now; a new one where kept chats cannot be read."""
    if not store.is_kept:
        return store.create(model), True
    if choice.resume:
        last = store.latest(1)
        if not last:
            raise UsageError("there is no chat to continue yet")
        return last[0].id, False
    if choice.session is not None:
        known = store.named(choice.session)
        if known is not None:
            return known, False
        if choice.session.isdecimal():
            raise UsageError(f"there is no chat {choice.session}; `llamachat sessions list` shows them")
    try:
        return store.create(model, choice.session), True
    except UsageError:  # another program has made the chat in between
        known = store.named(choice.session or "")
        if known is None:
            raise
        return known, False
