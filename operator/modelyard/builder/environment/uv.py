"""Runs uv, which resolves and installs (https://docs.astral.sh/uv/)."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, cast

from uv import find_uv_bin

from modelyard.builder.environment.pip_settings import (
    INDEX,
    LINKS,
    MORE_INDEXES,
    PROXIES,
    PipSettings,
)
from modelyard.builder.environment.requirements import Requirements
from modelyard.builder.environment.target import Target
from modelyard.builder.environment.uv_errors import uv_error
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.egress_proxy import run_egress_proxy
from modelyard.contract.build_request import PIP_REQUIREMENTS
from modelyard.contract.errors import PackageIndexUnavailableError

_SECONDS: Final = 1800
"""Of one installation: the largest wheels are 1 GB, and an index may be slow."""

_OF_THE_BUILDER: Final = "Using CPython"  # which it runs with; packages are for another
_ALWAYS: Final = (
    "--no-config",
    "--no-progress",
    "--no-python-downloads",
    "--no-build",
    "--link-mode=hardlink",
)


def uv_install(
    requirements: Requirements,
    target: Target,
    place: Sequence[str],
    work: Path,
    settings: PipSettings,
    log: BuildLog,
) -> None:
    """`place` is --target or --prefix; `work` an empty folder on the same file system, for the cache.

    Raises what uv_error tells from uv's words.
    """
    log.write(f"packages for Python {target.python} on {target.platform}")
    file = work / "requirements.txt"
    file.write_text(requirements.text)
    variables = settings.variables()
    own = " ".join(variables.get(name, "") for name in (INDEX, MORE_INDEXES, LINKS)).replace(",", " ").split()
    if requirements.own_index:
        variables.pop(INDEX, None)
    if requirements.more_indexes or MORE_INDEXES in variables:
        # As pip does: the best version that any has. With one index, the other strategy says more of it.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    command = [
        find_uv_bin(),
        "pip",
        "install",
        *_ALWAYS,
        f"--python={sys.executable}",
        f"--python-version={target.python}",
        f"--python-platform={target.wheels}",
        *place,
        f"--requirements={file}",
        *requirements.arguments,
    ]
    variables |= {
        "HOME": str(work),
        "TMPDIR": str(work),
        "UV_CACHE_DIR": str(work / "cache"),
        "NO_COLOR": "1",
    }
    # Where there is a proxy already, it is that one's to refuse addresses.
    named = [] if any(map(variables.get, PROXIES)) else requirements.addresses
    with run_egress_proxy(settings.policy, PIP_REQUIREMENTS, named, trusted=own) as proxy:
        output = _run(command, variables | _by_way_of(proxy), work, log)
        if output is not None:
            raise uv_error(output)


def _by_way_of(proxy: str | None) -> dict[str, str]:
    return {**dict.fromkeys(PROXIES, proxy), "NO_PROXY": "", "no_proxy": ""} if proxy else {}


def _run(command: Sequence[str], variables: Mapping[str, str], work: Path, log: BuildLog) -> list[str] | None:
    """The output of a command that failed; each line is logged as it comes."""
    output: list[str] = []
    late = threading.Event()
    with subprocess.Popen(  # noqa: S603 - our own command, with no shell
        command,
        env=variables,
        cwd=work,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(_SECONDS, stop)
        timer.daemon = True
        timer.start()
        try:
            for line in cast("IO[str]", process.stdout):
                if not line.startswith(_OF_THE_BUILDER):
                    log.write(line)
                output.append(log.redact(line.rstrip()))
        except BaseException:  # a cancelled build's too: nothing goes on
            process.kill()
            raise
        finally:
            timer.cancel()
    if late.is_set():
        raise PackageIndexUnavailableError(f"the packages were not installed within {_SECONDS} s")
    return None if process.returncode == 0 else output
