"""Asks what to do with a chat that another program has open."""

from llamachat.dialogue.keeper import FORK, QUIT, READ_ONLY


def ask_person(said: str, nothing: str) -> str:
    """What a person chooses for a chat that another program has open; the end of the input chooses nothing."""
    question = f"{said}.\n[f]ork it, [r]ead only, or [{nothing[0]}]{nothing[1:]}? "
    while True:
        try:
            answer = input(question).strip().lower()
        except EOFError:
            return QUIT
        if answer and (nothing.startswith(answer) or QUIT.startswith(answer)):
            return QUIT
        for wanted in (FORK, READ_ONLY):
            if answer and wanted.startswith(answer):
                return wanted
