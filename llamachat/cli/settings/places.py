"""Where a setting was made, in front of what is wrong with it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from llamachat.errors import ModelFileError, UsageError


@contextmanager
def placed(places: Mapping[str, str], parameter: str) -> Iterator[None]:
    """What is wrong with a parameter's value is said with the place of the setting, if it comes from one."""
    try:
        yield
    except (UsageError, ModelFileError) as error:
        if parameter in places:
            error.args = (f"{places[parameter]}: {error}",)
        raise
