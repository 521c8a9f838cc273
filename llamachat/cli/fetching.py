"""Downloads a missing model: the choice of files, their sizes, and the consent of the person."""

from pathlib import Path

from llamachat.errors import UsageError
from llamachat.terminal.asking import agreed, may_ask
from llamachat.terminal.output import note


def fetched(source: str, yes: bool, explicit: bool = False) -> Path:
    """The file of a model that is not here, fetched.

    A person is asked, unless `yes`, or the command is `explicit` and the source names one file. What a repository has
    is listed where there is a choice. Raises UsageError where nobody agrees or can be asked, LlamaChatError as `pull`.
    """
    from llamachat.catalog import pull  # here and below: what most command lines do without
    from llamachat.catalog.offline import check_online
    from llamachat.terminal.bars import work_bars

    check_online(source)
    if not yes and not explicit and not may_ask():
        raise UsageError(f"{source} is not here yet: fetch it first, with `llamachat pull {source}`, or give --yes")
    wanted, size, certain = _wanted(source)
    if not (yes or (explicit and certain)):
        described = f"{wanted} ({size})" if size else wanted
        if not may_ask():
            raise UsageError(f"{source} leaves a choice: give --yes, or one of them, as in `llamachat pull {wanted}`")
        if not agreed(f"Fetch {described}?"):
            raise UsageError(f"{wanted} was not fetched; `llamachat pull {wanted}` does that")
    elif size and not (explicit and certain):
        note(f"fetching {wanted} ({size})")
    with work_bars() as progress:
        return pull(wanted, progress)


def _wanted(source: str) -> tuple[str, str, bool]:
    """What exactly is fetched, its size in words or "", and whether the source left no choice, which is listed."""
    from llamachat.catalog.known import KNOWN
    from llamachat.engine.memory import size_text

    if known := KNOWN.get(source.lower()):
        return known.name, size_text(sum(wheel.n_bytes for wheel in known.wheels)), True
    if not source.startswith("hf:"):
        return source, "", True
    from llamachat.catalog.hub import models_at
    from llamachat.catalog.references import Reference, chosen, is_certain, parse_reference

    reference = parse_reference(source)
    if reference.file:
        return source, "", True
    models = models_at(reference)
    one = chosen(reference, models)
    if not is_certain(reference, models):
        note(f"{reference.repo} has:")
        for model in models:
            size = size_text(model.n_bytes) if model.n_bytes is not None else ""
            note(f"  {size:>8}  {Reference(reference.repo, model.path)}")
    size = size_text(one.n_bytes) if one.n_bytes is not None else ""
    return str(Reference(reference.repo, one.path)), size, is_certain(reference, models)
