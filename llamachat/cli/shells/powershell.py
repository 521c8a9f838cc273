"""The completion script of PowerShell."""

from collections.abc import Iterator, Sequence

from llamachat.cli.shells.known import KnownCommand, KnownOption, Values

HEAD = r"""# Completion of llamachat for PowerShell 5 and newer. To install it, this line in the file of $PROFILE:
#   llamachat completion powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName llamachat -ScriptBlock {
    param($word, $tree, $place)
    $typed = @($tree.CommandElements | Where-Object { $_.Extent.EndOffset -lt $place } | ForEach-Object { "$_" })
    $command = ''
    for ($i = 1; $i -lt $typed.Count; $i++) {
        if ($typed[$i] -in '--profile', '--color') { $i++ }
        elseif ($typed[$i] -notlike '-*') { $command = $typed[$i]; break }
    }
    $option = if ($typed.Count -gt 1) { $typed[-1] } else { '' }
    $quote = [string][char]39
    $begun = $word.Trim([char[]](34, 39))
    function ask($kind) { & $typed[0] __complete $kind $begun 2>$null | ForEach-Object { ($_ -split "`t")[0] } }
    $found = switch -CaseSensitive ("$command $option") {"""

MIDDLE = r"""        default {
            switch -CaseSensitive ($command) {"""

TAIL = r"""            }
        }
    }
    $found | Where-Object { $_ -like "$([WildcardPattern]::Escape($begun))*" } | ForEach-Object {
        $shown = if ($_ -match '[\s''"`$();&|]') { $quote + $_.Replace($quote, $quote * 2) + $quote } else { $_ }
        [System.Management.Automation.CompletionResult]::new($shown, $_, 'ParameterValue', $_)
    }
}"""


def script(commands: Sequence[KnownCommand], program: Sequence[KnownOption]) -> str:
    """The script for these commands. Where it offers nothing, PowerShell offers files."""
    return "\n".join([HEAD, *_of_options(commands, program), MIDDLE, *_of_commands(commands, program), TAIL])


def _of_options(commands: Sequence[KnownCommand], program: Sequence[KnownOption]) -> Iterator[str]:
    """The values of options."""
    for command, options in [("", program), *((one.name, one.options) for one in commands)]:
        for option in options:
            if option.values is not None:
                for name in option.names:
                    offered = "; ".join([*_values(option.values), "break"])
                    yield f"        {_quoted(f'{command} {name}')} {{ {offered} }}"


def _of_commands(commands: Sequence[KnownCommand], program: Sequence[KnownOption]) -> Iterator[str]:
    """Commands, options and arguments."""
    names = ", ".join([*(_quoted(one.name) for one in commands), *_names(program)])
    yield f"                '' {{ {names}; break }}"
    for one in commands:
        yield f"                {_quoted(one.name)} {{"
        yield f"                    if ($word -like '-*') {{ {', '.join(_names(one.options))} }}"
        yield f"                    else {{ {'; '.join(_values(one.arguments))} }}"
        yield "                    break"
        yield "                }"


def _names(options: Sequence[KnownOption]) -> Iterator[str]:
    return (_quoted(name) for option in options for name in option.names)


def _values(values: Values) -> list[str]:
    """The statements that offer them."""
    words = [", ".join(map(_quoted, values.words))] if values.words else []
    return [*words, *([f"ask {values.kind}"] if values.kind else [])]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
