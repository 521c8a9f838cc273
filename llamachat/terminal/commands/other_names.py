"""Names of commands in other programs, and the command here that does the same; none of them is run."""

from collections.abc import Iterable

from llamachat.errors import UsageError
from llamachat.terminal.commands.nearest import nearest

OTHER_NAMES = {
    **dict.fromkeys(("/search", "/find", "/grep"), "/sessions WORDS"),
    **dict.fromkeys(("/chats", "/session", "/list-sessions", "/log", "/logs"), "/sessions"),
    **dict.fromkeys(("/resume", "/open", "/goto", "/session-load"), "/load CHAT"),
    **dict.fromkeys(("/rename", "/name", "/title"), "/save NAME"),
    **dict.fromkeys(("/regenerate", "/redo", "/again", "/reroll", "/replay"), "/regen"),
    **dict.fromkeys(("/reset", "/restart", "/empty", "/wipe", "/new-chat"), "/new"),
    **dict.fromkeys(("/forget", "/back", "/backtrack", "/pop", "/rewind"), "/undo"),
    **dict.fromkeys(("/delete", "/del", "/remove", "/rm"), "llamachat sessions delete CHAT"),
    **dict.fromkeys(("/tree", "/stack", "/versions"), "/branches"),
    **dict.fromkeys(("/branch", "/push", "/duplicate", "/clone"), "/fork"),
    **dict.fromkeys(("/upload", "/attach", "/add", "/glob", "/image", "/include"), "/file PATH, or @PATH in a message"),
    **dict.fromkeys(("/dump", "/write", "/out", "/download"), "/export FILE"),
    **dict.fromkeys(("/multi", "/multiline", "/paste"), "/read"),
    **dict.fromkeys(("/list", "/ls"), "/models, or /sessions"),
    **dict.fromkeys(("/info", "/status", "/state", "/config"), "/show"),
    **dict.fromkeys(("/settings", "/options", "/option", "/parameters", "/params", "/parameter"), "/set"),
    **dict.fromkeys(("/temp", "/temperature"), "/set temp"),
    **dict.fromkeys(("/ctx", "/context", "/num_ctx"), "/set ctx_size, or /tokens"),
    **dict.fromkeys(("/speed", "/perf", "/timings", "/time"), "/stats"),
    **dict.fromkeys(("/usage", "/count", "/tokenize"), "/tokens"),
    **dict.fromkeys(("/prompt", "/raw"), "/template"),
    **dict.fromkeys(("/sys", "/persona", "/role", "/instructions"), "/system TEXT"),
    **dict.fromkeys(("/schema", "/format"), "/json SCHEMA"),
    **dict.fromkeys(("/thinking", "/nothink", "/no_think", "/reasoning"), "/think on, /think off"),
    **dict.fromkeys(("/compact", "/compress", "/summarize", "/summary"), "/set on_full summarize"),
    **dict.fromkeys(("/editor", "/vim", "/e"), "Ctrl+X Ctrl+E"),
    **dict.fromkeys(("/shell", "/run", "/exec", "/sh", "/bash"), "!COMMAND"),
    **dict.fromkeys(("/clip", "/clipboard", "/yank"), "/copy"),
    **dict.fromkeys(("/switch-model", "/use", "/llm"), "/model NAME"),
    **dict.fromkeys(("/commands", "/man", "/h"), "/help"),
    **dict.fromkeys(("/leave", "/q", "/end", "/close", "/logout"), "/quit"),
}


def not_known(word: str, names: Iterable[str]) -> UsageError:
    """The error for an unknown command, with the command that does the same here or has nearly this name."""
    known = list(names)
    lowered = word.lower()
    way = OTHER_NAMES.get(lowered)
    if way is not None:
        return UsageError(f"there is no {word}; {way} does that")
    close = nearest(lowered, [*known, *OTHER_NAMES])
    if close is None:
        return UsageError(f"there is no {word}; /help lists the commands")
    return UsageError(f"there is no {word}; did you mean {OTHER_NAMES.get(close, close)}?")
