"""Options for the appearance of a chat and its notifications."""

from dataclasses import dataclass
from typing import Annotated

from typer import Option

from llamachat.errors import UsageError
from llamachat.terminal.attention import Attention, Notify
from llamachat.terminal.theme import ThemeName, choose_theme, colour_parameters


@dataclass(frozen=True)
class LooksChoice:
    """How a chat looks on a terminal."""

    theme: Annotated[
        ThemeName,
        Option("--theme", help="Colours for a light or a dark background, or none (bold and layout only); auto "
               "uses colours that suit both unless COLORFGBG is set."),
    ] = "auto"  # fmt: skip
    prompt_color: Annotated[
        str | None,
        Option("--prompt-color", metavar="COLOR", help="Colour of the prompt: a name such as red or bright-blue, "
               "#RRGGBB, or none. [default: the theme's]"),
    ] = None  # fmt: skip
    notify: Annotated[
        Notify,
        Option("--notify", help="After a long answer: nothing, the terminal's bell, or a desktop notification if "
               "the terminal supports it."),
    ] = "bell"  # fmt: skip
    notify_after: Annotated[
        int, Option("--notify-after", min=0, metavar="SECONDS", help="Minimum duration of an answer for --notify.")
    ] = 20
    title: Annotated[bool, Option("--title/--no-title", help="Set the window title to the model and the chat.")] = True
    plain: Annotated[bool, Option("--plain", help="Print answers as raw text, without Markdown and colours.")] = False
    vi: Annotated[bool, Option("--vi", help="Use vi key bindings in the input line.")] = False

    def __post_init__(self) -> None:
        if self.prompt_color is not None:
            try:
                colour_parameters(self.prompt_color)
            except UsageError as error:
                raise UsageError(f"--prompt-color: {error}") from None

    @property
    def attention(self) -> Attention:
        """When and how the terminal notifies."""
        return Attention(self.notify, self.notify_after)

    def apply(self) -> None:
        """Applies the theme to the rest of the program."""
        choose_theme(self.theme, self.prompt_color)
