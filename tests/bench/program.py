"""A module of Python that runs beside a benchmark."""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

_SECONDS: Final = 60


class Program:
    """Context manager that runs `python -m` with a module and its arguments, and kills it at the end."""

    def __init__(self, module: str, *arguments: str, **environment: str) -> None:
        self._module = module
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = os.environ | environment

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    def line(self) -> str:
        """Return the next line of the output. Raises RuntimeError once the program has ended."""
        assert self._process.stdout
        if line := self._process.stdout.readline():
            return line.strip()
        raise RuntimeError(f"{self._module} has ended with code {self._process.wait(_SECONDS)}")
