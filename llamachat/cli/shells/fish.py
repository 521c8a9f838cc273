"""The completion script of fish."""

from collections.abc import Iterator, Sequence

from llamachat.cli.shells.known import KnownCommand, KnownOption, Values

HEAD = """# Completion of llamachat for fish. To install it:
#   llamachat completion fish > ~/.config/fish/completions/llamachat.fish

# The command of the line, and whether it is this one ("" for none yet).
function __llamachat_command
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --profile --color
                set -e words[1]
            case '-*'
            case '*'
                echo $words[1]
                return
        end
        set -e words[1]
    end
end

function __llamachat_is
    set -l found (__llamachat_command)
    test "$argv[1]" = "$found"
end

complete -c llamachat -f"""

NONE_YET = "'__llamachat_is \"\"'"


def script(commands: Sequence[KnownCommand], program: Sequence[KnownOption]) -> str:
    """The script for these commands."""
    return "\n".join([HEAD, *_lines(commands, program)])


def _lines(commands: Sequence[KnownCommand], program: Sequence[KnownOption]) -> Iterator[str]:
    for option in program:
        yield _option(NONE_YET, option)
    for command in commands:
        yield f"complete -c llamachat -n {NONE_YET} -a {command.name} -d {_quoted(command.meaning)}"
    for command in commands:
        condition = f"'__llamachat_is {command.name}'"
        yield ""
        if offered := _offered(command.arguments):
            yield f"complete -c llamachat -n {condition} {offered}"
        for option in command.options:
            yield _option(condition, option)


def _option(condition: str, option: KnownOption) -> str:
    values = "" if option.values is None else f" -r {_offered(option.values)}".rstrip()
    return f"complete -c llamachat -n {condition} {_names(option)}{values} -d {_quoted(option.meaning)}"


def _names(option: KnownOption) -> str:
    """-l of --long, -s of -s, and -o of what has one dash and several letters."""
    parts = []
    for name in option.names:
        bare = name.lstrip("-")
        parts.append(f"-l {bare}" if name.startswith("--") else f"-{'s' if len(bare) == 1 else 'o'} {bare}")
    return " ".join(parts)


def _offered(values: Values) -> str:
    files = "-F" if values.files else "-f"
    words = [f"-a {_quoted(' '.join(values.words))}"] if values.words else []
    asked = [f"-a '(llamachat __complete {values.kind} 2>/dev/null)'"] if values.kind else []
    return " ".join([files, *words, *asked]) if words or asked or values.files else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
