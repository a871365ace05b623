"""Run `python -m modelyard`; the same as the `modelyard` command."""

import os
import sys
from typing import NoReturn

from modelyard.cli.main import main


def run() -> NoReturn:
    """Run the command of the process, and end the process with its exit code."""
    code = main()
    if "pyreqwest" not in sys.modules:
        sys.exit(code)
    # A thread of pyreqwest may still be inside of `call_soon_threadsafe`. CPython before 3.14 unwinds such a
    # thread while the interpreter finalizes, and the unwound thread aborts the process:
    # https://github.com/PyO3/pyo3-async-runtimes/issues/40. So the process ends without that finalization.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
