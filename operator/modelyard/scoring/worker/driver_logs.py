"""The logs of the driver: a file `logging.json`, and the logger that drivers of Azure ML use."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FILE: Final = "logging.json"
"""A file beside the driver with the argument of logging.config.dictConfig (the Azure ML containers' file)."""

AZURE_LOGGER: Final = "azmlinfsrv"
"""The logger of the Azure ML containers' server: its INFO records appear, and drivers log to it."""

FORMAT: Final = "%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s"


def configure(folders: Sequence[Path], level: str | None = None) -> None:
    """Configure logging by the file of the first folder that has one, else by the level if there is one.

    Raises OSError if it cannot be read, and ValueError, TypeError, AttributeError or ImportError if it is no
    configuration.
    """
    file = next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)
    if file is None:
        if level:
            _write_from(level)
        return
    from logging.config import dictConfig  # noqa: PLC0415 - 10 ms, few drivers have the file

    dictConfig(json.loads(file.read_text("utf-8")))


def _write_from(level: str) -> None:
    """Write the driver's records from this level on to stdout."""
    import logging  # noqa: PLC0415 - 10 ms, and a driver may never use it

    logging.basicConfig(stream=sys.stdout, format=FORMAT, level=level)


def show_azure_logger(level: str | None = None) -> None:
    """Write the records of AZURE_LOGGER to stdout, unless the driver has configured the logger.

    Without a level these are the records from INFO on.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger = logging.getLogger(AZURE_LOGGER)
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(handler)
    logger.setLevel(level or logging.INFO)
    logger.propagate = False
