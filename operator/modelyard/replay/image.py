"""An image that runs on this machine with Docker while it is asked."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from modelyard.replay.errors import ReplayError
from modelyard.scoring.contract import PORT

LABEL: Final = "modelyard.dev/replay"
"""The label of the containers, by which a killed replay's container is found."""

_START_SECONDS: Final = 600  # a pull of the image included
_READY_SECONDS: Final = 600  # init() loads a model
_COMMAND_SECONDS: Final = 60
_LOG_LINES: Final = 20
_NO_CONTAINER: Final = "No such container"


@contextmanager
def running_image(
    image: str, *, env_file: Path | None, concurrency: int, tell: Callable[[str], None]
) -> Iterator[str]:
    """Run an image, and give the URL of scoring while it runs.

    Raises ReplayError if Docker is absent, or if the container does not become ready, with its last lines.
    """
    tell(f"starts {image}")
    container = f"modelyard-replay-{uuid.uuid4().hex[:12]}"
    options = [f"--name={container}", f"--label={LABEL}", f"--publish=127.0.0.1::{PORT}"]
    options.append(f"--env=MODELYARD_MAX_CONCURRENT_REQUESTS={concurrency}")
    if env_file:
        options.append(f"--env-file={env_file}")
    try:
        _docker("run", "--quiet", "--detach", *options, image, seconds=_START_SECONDS)
        url = f"http://{_address(container, image)}"
        _wait(f"{url}/ready", container, image)
        yield f"{url}/score"
    finally:
        _remove(container)


def _address(container: str, image: str) -> str:
    """Return host and port. Raises ReplayError for a container that has ended, which has no port."""
    ports = json.loads(_docker("inspect", "--format={{json .NetworkSettings.Ports}}", container))
    published = ports.get(f"{PORT}/tcp")
    if not published:
        raise _not_ready(container, image)
    return f"{published[0]['HostIp']}:{published[0]['HostPort']}"


def _wait(url: str, container: str, image: str) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - the container's own address
                return
        except OSError:
            time.sleep(0.2)
        if _docker("inspect", "--format={{.State.Running}}", container) != "true":
            break
    raise _not_ready(container, image)


def _not_ready(container: str, image: str) -> ReplayError:
    log = _docker("logs", f"--tail={_LOG_LINES}", container, errors=True)
    return ReplayError(f"{image} does not become ready; its last lines: {log}")


def _remove(container: str) -> None:
    """Remove the container, also that of a start that was interrupted. Raises ReplayError if it stays."""
    try:
        _docker("rm", "--force", "--volumes", container)
    except ReplayError as error:
        if _NO_CONTAINER not in str(error):
            raise


def _docker(*arguments: str, seconds: float = _COMMAND_SECONDS, errors: bool = False) -> str:
    """Return the output of a command of Docker, with its errors if asked for. Raises ReplayError."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            ["docker", *arguments],  # noqa: S607 - the user's own
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.PIPE,
            text=True,
            timeout=seconds,
        )
    except FileNotFoundError:
        raise ReplayError("--image needs the program docker, which is not on PATH; use --url") from None
    except subprocess.TimeoutExpired:
        raise ReplayError(f"docker {arguments[0]} did not end in {seconds:g} s") from None
    if done.returncode:
        raise ReplayError(f"docker {arguments[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()
