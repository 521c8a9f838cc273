r"""The keys of the input line that differ from prompt_toolkit's own.

Enter sends; Alt+Enter, Shift+Enter, Ctrl+Enter and Ctrl+J begin a new line, as does Enter after a `\`, in a block of
triple quotes, and where more comes at once: what is pasted on a terminal without bracketed paste is one message.
"""

from collections.abc import Callable

from prompt_toolkit.application import Application, get_app, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, emacs_mode, has_completions, has_focus
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from llamachat.errors import LlamaChatError
from llamachat.terminal.editor import edited
from llamachat.terminal.input.ahead import SENT, is_waiting
from llamachat.terminal.input.graphemes import add_grapheme_keys
from llamachat.terminal.input.pasted import Pasted
from llamachat.terminal.output import note, write
from llamachat.terminal.restore import kept_terminal
from llamachat.terminal.sanitize import clean

NEW_LINE = (
    "\x1b\r", "\x1b\n",  # Alt+Enter
    *(f"\x1b[13;{modifier}u" for modifier in range(2, 9)),  # CSI u: with Shift, Alt, Ctrl and all of these
    *(f"\x1b[27;{modifier};13~" for modifier in range(2, 9)),  # modifyOtherKeys of xterm
    "\x1bOM",  # Shift+Enter on some keypads
)  # fmt: skip
"""Keys that prompt_toolkit takes for Enter or does not know."""

BURST_S = 0.005
"""What comes so soon after Enter was not typed."""


def input_keys(pasted: Callable[[], Pasted], thoughts: Callable[[], str] = lambda: "") -> KeyBindings:
    """The bindings, for `PromptSession`. pasted: what is known of the text in its line; thoughts: what Ctrl+O shows."""
    ANSI_SEQUENCES.update(dict.fromkeys(NEW_LINE, Keys.ControlJ))
    keys, typing = KeyBindings(), has_focus(DEFAULT_BUFFER)

    @Condition
    def alone() -> bool:
        return not get_app().key_processor.input_queue

    keys.add("c-j", filter=typing)(_new_line)
    # Esc and then Enter is how Alt+Enter is typed where Alt is no such key; in vi it is two keys.
    keys.add("escape", "enter", filter=typing & emacs_mode)(_new_line)
    keys.add("escape", filter=typing & emacs_mode & has_completions & alone, eager=True)(_close_menu)
    keys.add("enter", filter=typing)(lambda event: _enter(event, pasted()))
    keys.add("c-x", "c-e", filter=typing)(lambda event: _open_editor(event, pasted()))
    keys.add("c-o", filter=typing)(lambda _event: run_in_terminal(lambda: write(f"{clean(thoughts())}\n\n")))
    keys.add(Keys.BracketedPaste, filter=typing)(lambda event: pasted().insert(as_lines(event.data)))
    keys.add("tab", filter=typing & Condition(lambda: pasted().is_folded))(lambda _event: pasted().unfold())
    add_grapheme_keys(keys, typing)
    return keys


def as_lines(text: str) -> str:
    """The text with newlines only: terminals paste a carriage return for each."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _new_line(event: KeyPressEvent) -> None:
    event.current_buffer.insert_text("\n")


def _close_menu(event: KeyPressEvent) -> None:
    event.current_buffer.cancel_completion()


def _enter(event: KeyPressEvent, pasted: Pasted) -> None:
    """Sends, unless the message continues; takes a completion that is chosen among others in the menu."""
    buffer = event.current_buffer
    menu = buffer.complete_state
    more = pasted.going_on()
    if menu is not None and menu.current_completion is not None and len(menu.completions) > 1:
        buffer.apply_completion(menu.current_completion)
    elif event.data != SENT and _comes_more(event.app):
        buffer.insert_text("\n")
        pasted.mark()
    elif more is not None and more[:-1] == buffer.text:
        buffer.insert_text("\n")
    elif more is not None:
        buffer.document = Document(more)
    else:
        buffer.validate_and_handle()


def _comes_more(app: Application[str]) -> bool:
    """Whether keys come faster than a person types."""
    if any(press.data != "_Flush" for press in app.key_processor.input_queue):
        return True
    return is_waiting(app.input, BURST_S)


def _open_editor(event: KeyPressEvent, pasted: Pasted) -> None:
    run_in_terminal(lambda: _edit(event.current_buffer, event.app, pasted))


def _edit(buffer: Buffer, app: Application[str], pasted: Pasted) -> None:
    """What was typed in the person's editor; what comes out is there to be sent."""
    try:
        with kept_terminal():
            changed = edited(pasted.whole(buffer.text))
    except (LlamaChatError, OSError) as error:
        note(str(error))
        return
    except SystemExit as end:  # a signal; raised here it would be lost in a task of the event loop, and shown
        app.exit(exception=end)
        return
    if changed is not None:
        pasted.replace(changed.rstrip("\n"))
