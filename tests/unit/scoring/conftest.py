import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from tests.support.scoring_runtime import copy_runtime
from tests.unit.scoring.scoring_process import ScoringProcess, scoring_process, until

Serve = Callable[..., ScoringProcess]


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the runtime as an image has it."""
    root = tmp_path_factory.mktemp("runtime")
    copy_runtime(root)
    (root / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    return root


@pytest.fixture
def serve(tmp_path: Path, runtime: Path) -> Iterator[Serve]:
    """Return a function that starts scoring processes: serve(driver, wait_ready=True, VARIABLE="value")."""
    with contextlib.ExitStack() as stack:

        def start(driver: str, *, wait_ready: bool = True, **environment: str) -> ScoringProcess:
            scoring = stack.enter_context(scoring_process(tmp_path, runtime, driver, environment))
            if wait_ready:
                until(scoring.is_ready, "readiness")
            return scoring

        yield start


@pytest.fixture(scope="module")
def serve_module(
    tmp_path_factory: pytest.TempPathFactory, runtime: Path
) -> Iterator[Callable[..., ScoringProcess]]:
    """Return a function like serve, for one process that the tests of a module share."""
    with contextlib.ExitStack() as stack:

        def start(driver: str, environment: Mapping[str, str] | None = None) -> ScoringProcess:
            folder = tmp_path_factory.mktemp("scoring")
            scoring = stack.enter_context(scoring_process(folder, runtime, driver, environment))
            until(scoring.is_ready, "readiness")
            return scoring

        yield start


GATED_DRIVER = """
import os, pathlib, time
THREAD_SAFE = True
folder = pathlib.Path(os.environ["TEST_FOLDER"])
def init():
    pass
def run(data):
    # touches begun-NAME, then spins in Python code until the test opens the gate
    if data:
        (folder / f"begun-{data}").touch()
        while not (folder / f"open-{data}").exists():
            time.sleep(0)
    return "scored " + data
"""


class Gates:
    """Gates at which run() calls of GATED_DRIVER wait until a test opens them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def wait_begun(self, name: str) -> None:
        until((self._folder / f"begun-{name}").exists, f"run({name}) to begin")

    def has_begun(self, name: str) -> bool:
        return (self._folder / f"begun-{name}").exists()

    def open(self, name: str) -> None:
        (self._folder / f"open-{name}").touch()


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)
