"""The completion script of bash."""

from collections.abc import Iterator, Sequence
from shlex import quote

from llamachat.cli.shells.known import KnownCommand, KnownOption, Values

HEAD = r"""# Completion of llamachat for bash 4 and newer. To install it, one of these:
#   mkdir -p ~/.local/share/bash-completion/completions
#   llamachat completion bash > ~/.local/share/bash-completion/completions/llamachat
# or this line in ~/.bashrc:
#   eval "$(llamachat completion bash)"

# What the program itself knows: names of a kind that begin as the word does.
_llamachat_ask() {
    local line
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete "$1" "$cur" 2>/dev/null)
}

# The line as the shell reads it: words before the last in `words`, the last in `cur`, a quote that is open in `quote`.
# Bash itself cuts words at : and =, which names of models have.
_llamachat_split() {
    local text=$1 word="" begun="" char
    local -i i
    words=() quote=""
    for ((i = 0; i < ${#text}; i++)); do
        char=${text:i:1}
        if [[ $quote == "'" || ($quote == '"' && $char != '\') ]]; then
            if [[ $char == "$quote" ]]; then quote=""; else word+=$char; fi
        elif [[ $char == '\' ]]; then
            word+=${text:i+1:1} begun=1
            ((i++))
        elif [[ $char == [\"\'] ]]; then
            quote=$char begun=1
        elif [[ $char == [[:space:]] ]]; then
            [[ -n $begun ]] && words+=("$word")
            word="" begun=""
        else
            word+=$char begun=1
        fi
    done
    cur=$word
}

# A name as it stands on the line: within the quote that is open, or with backslashes.
_llamachat_quoted() {
    local text=$1
    case $quote in
        "'") printf '%s' "${text//"'"/"'\''"}" ;;
        '"')
            text=${text//'\'/'\\'} text=${text//'"'/'\"'} text=${text//'$'/'\$'}
            printf '%s' "${text//'`'/'\`'}"
            ;;
        *) printf '%q' "$text" ;;
    esac
}

_llamachat_words() {
    local word
    for word in "$@"; do
        [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
    done
}

_llamachat() {
    local cur="" quote="" option="" command="" word i
    local -a words
    _llamachat_split "${COMP_LINE:0:COMP_POINT}"
    for ((i = 1; i < ${#words[@]}; i++)); do
        word=${words[i]}
        case $word in
            --profile | --color) ((i++)) ;;
            -*) ;;
            *) command=$word; break ;;
        esac
    done
    COMPREPLY=()
    if [[ $cur == --*=* ]]; then
        option=${cur%%=*} cur=${cur#*=}
    elif ((${#words[@]} > 1)); then
        option=${words[-1]}
    fi
    _llamachat_value "$command" "$option" || _llamachat_other "$command"
    # What stands before the last : is on the line already.
    if [[ -z $quote && $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${cur%:*}:"}")
    fi
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]=$(_llamachat_quoted "${COMPREPLY[i]}")
    done
}
"""

TAIL = "complete -o bashdefault -o default -F _llamachat llamachat"


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
                pattern = " | ".join(quote(f"{command} {name}") for name in option.names)
                yield f"        {pattern}) {_values(option.values)} ;;"
    yield "        *) return 1 ;;"
    yield "    esac"
    yield "}"


def _other_function(commands: Sequence[KnownCommand], program: Sequence[KnownOption]) -> Iterator[str]:
    """Commands, options and arguments."""
    yield "# What else may stand there."
    yield "_llamachat_other() {"
    yield '    case "$1 $cur" in'
    yield f'        " -"*) _llamachat_words {_names(program)} ;;'
    yield f'        " "*) _llamachat_words {" ".join(one.name for one in commands)} ;;'
    for one in commands:
        yield f'        "{one.name} -"*) _llamachat_words {_names(one.options)} ;;'
        yield f'        "{one.name} "*) {_values(one.arguments)} ;;'
    yield "    esac"
    yield "}"


def _names(options: Sequence[KnownOption]) -> str:
    return " ".join(name for option in options for name in option.names)


def _values(values: Values) -> str:
    """The statement that offers them; where it offers none, bash offers files."""
    words = [f"_llamachat_words {' '.join(map(quote, values.words))}"] if values.words else []
    asked = [f"_llamachat_ask {values.kind}"] if values.kind else []
    return "; ".join([*words, *asked]) or ":"
