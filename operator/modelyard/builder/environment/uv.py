"""The command uv, which resolves and installs requirements (https://docs.astral.sh/uv/)."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, cast

from uv import find_uv_bin

from modelyard.builder.environment.pip_settings import EXTRA_INDEXES, FIND_LINKS, INDEX, PROXIES, PipSettings
from modelyard.builder.environment.requirements import Requirements
from modelyard.builder.environment.resolved_versions import LOG_FILTER, ResolvedVersions
from modelyard.builder.environment.target import Target
from modelyard.builder.environment.uv_errors import uv_error
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.egress_proxy import run_egress_proxy
from modelyard.contract.errors import PackageIndexUnavailableError

_TIMEOUT_SECONDS: Final = 1800
"""Longest time of one installation: the largest wheels have 1 GB, and an index may be slow."""

_LINE_ABOUT_BUILDER: Final = "Using CPython"
"""Start of a line about the Python that runs uv, which is not the Python that packages are installed for."""
_OPTIONS: Final = (
    "--no-config",
    "--no-progress",
    "--no-python-downloads",
    "--no-build",
    "--link-mode=hardlink",
)


def uv_install(
    requirements: Requirements,
    target: Target,
    destination: Sequence[str],
    work: Path,
    settings: PipSettings,
    log: BuildLog,
) -> None:
    """Install requirements for a target.

    `destination` is uv's option --target or --prefix. `work` is an empty folder for uv's cache, on the same
    file system. Raises the errors of uv_error, and SourceDeniedError for a URL that the policy denies.
    """
    log.write(f"packages for Python {target.python} on {target.platform}")
    file = work / "requirements.txt"
    file.write_text(requirements.text)
    variables = settings.variables()
    trusted = _urls(variables)
    if requirements.replaces_index:
        variables.pop(INDEX, None)
    if requirements.adds_indexes or EXTRA_INDEXES in variables:
        # As pip: the best version of all indexes. uv's default strategy explains a failure better, and is
        # equivalent with one index.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    command = [
        find_uv_bin(),
        "pip",
        "install",
        *_OPTIONS,
        f"--python={sys.executable}",
        f"--python-version={target.python}",
        f"--python-platform={target.uv_platform}",
        *destination,
        f"--requirements={file}",
        *requirements.arguments,
    ]
    variables |= {
        "HOME": str(work),
        "TMPDIR": str(work),
        "UV_CACHE_DIR": str(work / "cache"),
        "NO_COLOR": "1",
        "RUST_LOG": LOG_FILTER,
    }
    with run_egress_proxy(
        settings.policy, requirements.field, requirements.urls, trusted, proxies=variables
    ) as proxy:
        if proxy:
            variables |= dict.fromkeys(PROXIES, proxy) | {"NO_PROXY": "", "no_proxy": ""}
        versions = ResolvedVersions(requirements.text)
        output = _run(command, variables, work, log, versions)
        if output is not None:
            raise uv_error(output, requirements.field)
    for note in versions.notes():
        log.write(note)


def _urls(variables: Mapping[str, str]) -> list[str]:
    """Return the URLs of the platform's own indexes and lists of links."""
    values = " ".join(variables.get(name, "") for name in (INDEX, EXTRA_INDEXES, FIND_LINKS))
    return values.replace(",", " ").split()


def _run(
    command: Sequence[str],
    variables: Mapping[str, str],
    work: Path,
    log: BuildLog,
    versions: ResolvedVersions,
) -> list[str] | None:
    """Run a command and log each line as it is printed. Return the lines if the command failed, else None."""
    output: list[str] = []
    timed_out = threading.Event()
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
            timed_out.set()
            process.kill()

        timer = threading.Timer(_TIMEOUT_SECONDS, stop)
        timer.daemon = True
        timer.start()
        try:
            for line in cast("IO[str]", process.stdout):
                if versions.read(line):
                    continue
                if not line.startswith(_LINE_ABOUT_BUILDER):
                    log.write(line)
                output.append(log.redact(line.rstrip()))
        except BaseException:  # includes SystemExit of a cancelled build, which must leave no uv running
            process.kill()
            raise
        finally:
            timer.cancel()
    if timed_out.is_set():
        raise PackageIndexUnavailableError(f"the packages were not installed within {_TIMEOUT_SECONDS} s")
    return None if process.returncode == 0 else output
