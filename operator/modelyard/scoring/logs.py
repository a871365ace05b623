"""The log on stderr: one JSON object per line, at a terminal plain text.

The driver's prints go to stdout unchanged.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

EXTRA_FIELDS = ("requestId", "status", "milliseconds", "bytesIn", "bytesOut", "exception")
"""Optional fields of a line, from the `extra` of a record."""

DEFAULT_LEVEL: Final = "INFO"
"""Lowest level of the runtime's lines, unless MODELYARD_LOG_LEVEL is set."""

_SHORT_FIELDS = EXTRA_FIELDS[:-1]


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((name, getattr(record, name)) for name in EXTRA_FIELDS if hasattr(record, name))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TerminalLines(logging.Formatter):
    """Writes a record as a line for a reader at a terminal, and a traceback as Python writes it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the lines of the traceback."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        line = f"{time} {record.levelname.lower()}: {record.getMessage()}"
        line += "".join(f" {name}={getattr(record, name)}" for name in _SHORT_FIELDS if hasattr(record, name))
        exception = getattr(record, "exception", None)
        if record.exc_info:
            exception = self.formatException(record.exc_info)
        return f"{line}\n{exception}" if exception else line


def configure_logs(level: str = DEFAULT_LEVEL) -> None:
    """Send the records of the runtime from this level on, and warnings of asyncio, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TerminalLines() if sys.stderr.isatty() else JsonLines())
    for name, lowest in (("modelyard", logging.NOTSET), ("asyncio", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(max(logging.getLevelNamesMapping()[level], lowest))
        logger.propagate = False
