"""`llamachat tokenize`: how a model's vocabulary cuts a text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from llamachat.cli import loading
from llamachat.cli.options import ModelFile, PromptChoice
from llamachat.cli.prompt import prompt_text
from llamachat.terminal.table import print_text


@dataclass(frozen=True)
class TokenList:
    """How the text is tokenized, and what is printed."""

    ids: Annotated[bool, Option("--ids", help="Print only the token ids, on one line.")] = False
    no_bos: Annotated[bool, Option("--no-bos", help="Do not add BOS and EOS tokens.")] = False
    parse_special: Annotated[
        bool, Option("--parse-special", help="Parse names of control tokens in the text as these tokens.")
    ] = False
    ngrams: Annotated[
        Path | None,
        Option("--ngrams", metavar="FILE", help="Write the n-grams of the text to a file for --lookup-cache-static "
               "instead."),
    ] = None  # fmt: skip


def tokenize(
    model: ModelFile,
    prompt: PromptChoice,
    wanted: TokenList,
    positional: Annotated[str | None, Argument(metavar="[TEXT]", help="The text, or -p, -f, standard input.")] = None,
) -> None:
    """Print the tokens of a text.

    One line each: id and piece.
    """
    given = prompt_text(prompt, positional)
    tokenizer = loading.open_tokenizer(model)
    loading.note_all(tokenizer.notes)
    tokens = tokenizer.encode(given, add_special=not wanted.no_bos, parse_special=wanted.parse_special)
    if wanted.ngrams is not None:
        from llamachat.engine.speculation.lookup import write_ngrams  # numpy, which --help does without

        write_ngrams(wanted.ngrams, tokens)
    elif wanted.ids:
        print(*tokens)
    else:
        for token in tokens:
            print_text(f"{token:6}  {tokenizer.piece(token)!r}")
