"""The keys of a chat, as `?` shows them and docs/chat.md has them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A key. example: what it does with what, in a few words."""

    keys: str
    meaning: str
    example: str


TYPING = "While you type"
ANSWERING = "While an answer is written"

KEYS: dict[str, tuple[Key, ...]] = {
    TYPING: (
        Key("Enter", "sends", "`hello` Enter"),
        Key("Alt+Enter, Shift+Enter, Ctrl+J", "begin a new line", "`first line` Alt+Enter `second line` Enter"),
        Key("\\ Enter", "begins a new line, too", "`first line \\` Enter `second line` Enter"),
        Key('"""', "begins and ends a message of many lines", '`"""` Enter `a list` Enter `"""` Enter'),
        Key("Tab", "completes a command, a value or a path; opens a folded text", "`/re` Tab; `@no` Tab"),
        Key("Up, Down", "go through what you sent that begins like this line", "`why` Up"),
        Key("Ctrl+R", "searches what you sent", "Ctrl+R `needle`"),
        Key("Right", "takes the suggestion behind the cursor", "`wha` Right"),
        Key("Ctrl+X Ctrl+E", "opens the line in your editor ($VISUAL, $EDITOR)", "`a draft` Ctrl+X Ctrl+E"),
        Key("Ctrl+A, Ctrl+E", "go to the beginning and the end of the line", "`ello` Ctrl+A `h`"),
        Key("Ctrl+W, Ctrl+U, Ctrl+K", "delete a word, all before, all behind the cursor", "`two words` Ctrl+W"),
        Key("Ctrl+Y, Ctrl+_", "put it back; undo a change", "Ctrl+U Ctrl+Y"),
        Key("Ctrl+O", "shows what was thought before the last answer", "Ctrl+O"),
        Key("Esc", "closes the menu", "`/` Esc"),
        Key("Ctrl+L", "clears the screen", "Ctrl+L"),
        Key("Ctrl+C", "clears the line; twice it quits", "Ctrl+C Ctrl+C"),
        Key("Ctrl+D", "quits, on an empty line", "Ctrl+D"),
        Key("Ctrl+Z", "stops the program; the shell's `fg` continues it", "Ctrl+Z `fg`"),
    ),
    ANSWERING: (
        Key("Esc, Ctrl+C", "stop the answer; what was written stays", "Esc, then `/continue`"),
        Key("any other", "is kept for the next line; each Enter is a message", "`and then?` Enter"),
    ),
}

LINES = (
    Key("/", "shows the commands; what they are is in /help", "`/` Enter"),
    Key("?", "shows these keys", "`?` Enter"),
    Key("@PATH", "attaches a file; alone it is the message; @@ is one @", "`Sum up @notes.txt`; `@two\\ words.txt`"),
    Key("!COMMAND", "runs a line of your shell and offers its output; !! is one !", "`!git diff`"),
    Key("//", "begins a message with one slash", "`//etc is a folder`"),
    Key("exit, quit", "quit, typed alone", "`exit` Enter"),
    Key("a pasted text", "is a message whatever it begins with; a long one is shown folded", "paste, Enter"),
)
"""Lines that mean something besides commands and messages."""


def keys_text() -> str:
    """All keys, as a person at a terminal reads them."""
    parts = [*KEYS.items(), ("Lines", LINES)]
    return "\n\n".join(
        "\n".join([f"{heading}:", *(f"  {one.keys:32}{one.meaning}" for one in keys)]) for heading, keys in parts
    )
