"""Requirements, environment files, and texts with URLs: no crash, and no credential in a message."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import Final

from tests.fuzz.tally import Tally

from modelyard.builder.environment.conda_file import read_conda_file
from modelyard.builder.environment.requirements import parse_requirements
from modelyard.coded_error import CodedError
from modelyard.contract.urls import file_name, requirements_url
from modelyard.redaction import redact, redact_text

_CANARY: Final = "s3cret"
_LEAK: Final = re.compile(rf"[a-z][a-z0-9+.-]*://u:{_CANARY}@", re.IGNORECASE)
_PIECES: Final = (
    "numpy",
    "==1.0",
    ">=2",
    "[a,b]",
    "; ",
    "python_version > '3'",
    " @ ",
    "https://h/a-1-py3-none-any.whl",
    "file:",
    "///etc/passwd",
    "../x",
    "-r ",
    "--index-url ",
    "--extra-index-url=",
    "--hash=sha256:00",
    "\\\n",
    "\n",
    " ",
    "  ",
    "\t",
    "#",
    "${A}",
    "git+https://h/x",
    "http://[",
    "\r",
    "\0",
    "\u00e4",
    "\ud800",
    "(",
    ")",
    "'",
    '"',
    "*",
    "9" * 50,
    "1!",
    ".",
    ",",
    "dependencies:",
    "- ",
    "channels:",
    "  - pip:",
    "variables:",
    "{",
    "}",
    "[",
    "]",
    "<<: ",
    "&a ",
    "*a",
    "!!int ",
    "!!binary ",
    "!!timestamp ",
    "? ",
    ": ",
    "|",
    ">",
    "%YAML 1.1\n",
    "---\n",
    "...",
    "@",
    "`",
    "~",
    "0x",
    "1e999",
    ".inf",
    ".nan",
    "2001-02-30",
    f"https://u:{_CANARY}@h/x?sig={_CANARY}",
    f"data:,{_CANARY}",
    "://",
    "x://",
    "HTTPS://",
    "%",
    "%00",
    "\x1b[31m",
)
_SEEDS: Final = (
    "numpy==1.0\nscipy>=2 --hash=sha256:00\n",
    "name: x\nchannels: [conda-forge]\ndependencies:\n- python=3.12\n- pip:\n  - numpy\nvariables: {A: b}\n",
    "",
)


def run(tally: Tally, inputs: int, seed: int) -> None:
    """Parse texts that are made of pieces of valid and invalid ones."""
    chance = random.Random(seed)
    for _ in range(inputs):
        text = _text(chance)
        tally.inputs += 1
        started = time.process_time()
        for call in (_requirements, _environment, _urls):
            _try(tally, text, call)
        tally.check_time(text, started)


def _text(chance: random.Random) -> str:
    text = chance.choice(_SEEDS)
    for _ in range(chance.randrange(1, 12)):
        place = chance.randrange(len(text) + 1)
        piece = chance.choice(_PIECES) * chance.choice((1, 1, 1, 1, 1, 1, 2, 30))
        text = text[:place] + piece + text[place + chance.randrange(3) :]
    return text


def _try(tally: Tally, text: str, call: Callable[[Tally, str], None]) -> None:
    try:
        call(tally, text)
    except CodedError as error:
        if _LEAK.search(redact_text(str(error))):  # as the log of a build writes it
            tally.escape(text, "a credential in a message")
    except BaseException as error:
        tally.crash(text, error)


def _requirements(tally: Tally, text: str) -> None:
    parsed = parse_requirements(text)
    for line in parsed.text.splitlines():
        if (
            line.startswith(("-r", "-c", "-e", "--requirement", "--constraint", ".", "/"))
            or "@ file:" in line
        ):
            tally.escape(text, "a file of the builder")


def _environment(tally: Tally, text: str) -> None:
    parsed = read_conda_file(text)
    for reference in (*parsed.channels, *parsed.dependencies):
        if reference.startswith(("/", "./", "../", "file:", "~/")):
            tally.escape(text, "a file of the builder")


def _urls(tally: Tally, text: str) -> None:
    requirements_url(text)
    name = file_name(text)
    if name is not None and ("/" in name or name in {"", ".", ".."} or len(name.encode()) > 255):
        tally.escape(text, "a name outside of its folder")
    for line in (redact_text(text), redact(f"https://u:{_CANARY}@h/{text}")):
        if _LEAK.search(line):
            tally.escape(text, "a credential in a line of the log")
