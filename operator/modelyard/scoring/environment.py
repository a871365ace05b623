"""Environment variables of the scoring processes, checked as they are read."""

from collections.abc import Mapping


class SettingsError(ValueError):
    """An environment variable is missing or has an invalid value; the message names the variable."""


def read_integer(environment: Mapping[str, str], name: str, *, default: int, most: int | None = None) -> int:
    """Return the whole number of a variable, 1 or more, and `most` at most. Raises SettingsError."""
    text = environment.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise SettingsError(f"{name} must be a whole number, not {text!r}") from None
    if value < 1:
        raise SettingsError(f"{name} must be 1 or more, not {value}")
    if most is not None and value > most:
        raise SettingsError(f"{name} must be {most} or less, not {value}")
    return value
