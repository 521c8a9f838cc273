"""The completion script of zsh."""

from collections.abc import Iterator, Sequence
from shlex import quote

from llamachat.cli.shells.known import KnownCommand, KnownOption, Values

HEAD = r"""#compdef llamachat
# Completion of llamachat for zsh. To install it, one of these:
#   llamachat completion zsh > "${fpath[1]}/_llamachat"      (a folder of $fpath; then start a new shell)
# or these lines in ~/.zshrc:
#   autoload -Uz compinit && compinit
#   source <(llamachat completion zsh)

# What the program itself knows: names of a kind that begin as the word does.
_llamachat_ask() {
    local line
    local -a names shown
    for line in ${(f)"$(${(Q)words[1]/#\~/$HOME} __complete $1 ${(Q)PREFIX} 2>/dev/null)"}; do
        names+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  -- }")
    done
    (( $#names )) && compadd -l -d shown -a names
}

_llamachat() {
    local command="" option="" word
    integer i
    for ((i = 2; i < CURRENT; i++)); do
        word=$words[i]
        case $word in
            (--profile|--color) ((i++)) ;;
            (-*) ;;
            (*) command=$word; break ;;
        esac
    done
    if compset -P '--*='; then
        option=${words[CURRENT]%%=*}
    else
        option=$words[CURRENT-1]
    fi
    _llamachat_value "$command" "$option" || _llamachat_other "$command"
}
"""

TAIL = """if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _llamachat "$@"
else
    compdef _llamachat llamachat
fi"""


def script(commands: Sequence[KnownCommand], program: Sequence[KnownOption]) -> str:
    """The script for these commands."""
    return "\n".join([HEAD, *_value_function(commands, program), "", *_other_function(commands, program), "", TAIL])


def _value_function(commands: Sequence[KnownCommand], program: Sequence[KnownOption]) -> Iterator[str]:
    """The values of an option; it fails where the option is none, or a switch."""
    yield "# What follows an option."
    yield "_llamachat_value() {"
    yield '    case "$1 $2" in'
    for command, options in [("", program), *((one.name, one.options) for one in commands)]:
        for option in options:
            if option.values is not None:
                pattern = "|".join(quote(f"{command} {name}") for name in option.names)
                yield f"        ({pattern}) {_values(option.values) or '_files'}; return 0 ;;"
    yield "    esac"
    yield "    return 1"
    yield "}"


def _other_function(commands: Sequence[KnownCommand], program: Sequence[KnownOption]) -> Iterator[str]:
    """Commands, options and arguments."""
    yield "# What else may stand there."
    yield "_llamachat_other() {"
    yield "    local -a offered"
    yield '    case "$1 $PREFIX" in'
    yield f'        (" -"*) offered=({_described(program)}); _describe -o option offered ;;'
    named = " ".join(quote(f"{one.name}:{one.meaning}") for one in commands)
    yield f'        (" "*) offered=({named}); _describe command offered ;;'
    for one in commands:
        yield f'        ("{one.name} -"*) offered=({_described(one.options)}); _describe -o option offered ;;'
        yield f'        ("{one.name} "*) {_values(one.arguments) or ":"} ;;'
    yield "    esac"
    yield "}"


def _described(options: Sequence[KnownOption]) -> str:
    return " ".join(quote(f"{name}:{option.meaning}") for option in options for name in option.names)


def _values(values: Values) -> str:
    """The statement that offers them; "" where there is nothing to offer."""
    words = [f"compadd -- {' '.join(map(quote, values.words))}"] if values.words else []
    asked = [f"_llamachat_ask {values.kind}"] if values.kind else []
    return "; ".join([*words, *asked, *(["_files"] if values.files else [])])
