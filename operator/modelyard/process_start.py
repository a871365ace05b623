"""The start of a process of the release: its settings, its log, and the signals that stop it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from modelyard import logs

INVALID_SETTINGS: Final = 2
"""Exit code of a process whose settings are not valid."""


class ProcessSettings(Protocol):
    """The settings that each process has."""

    @property
    def log_level(self) -> str:
        """DEBUG, INFO, WARNING or ERROR."""

    @property
    def log_format(self) -> str:
        """`json` or `text`."""


Settings = TypeVar("Settings", bound=BaseModel)
Started = TypeVar("Started", bound=ProcessSettings)


def read_settings(model: type[Settings], variable: str) -> Settings:
    """Return the settings of the YAML file that an environment variable names, the defaults without it.

    Raises OSError if the file cannot be read, and pydantic.ValidationError, which names the invalid field.
    """
    path = os.environ.get(variable)
    return model.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf-8")) if path else {})


def start(load: Callable[[], Started], variable: str) -> Started | None:
    """Return the settings, and configure the log by them.

    Return None after a line on standard error if the file that `variable` names is not valid.
    """
    try:
        settings = load()
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"{variable}: {error}\n")
        return None
    logs.configure(settings.log_level, settings.log_format)
    return settings


def stop_event() -> asyncio.Event:
    """Return an event of the running loop that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
