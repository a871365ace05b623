"""Each command and example of the documentation works as it stands, on the local cluster."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.docs.cluster_state import cluster_state
from tests.docs.pages import PAGES, ROOT, RUNBOOKS, Example, commands, examples
from tests.docs.session import Failure, run_page

pytestmark = pytest.mark.e2e

WITH_COMMANDS: Final = [page for page in PAGES if commands(page) and not page.startswith(RUNBOOKS)]
# Pages that change the release run one after the other, when the other pages have ended.
WITH_RELEASE: Final = ("docs/install.md", "docs/rest-api.md", "charts/modelyard/README.md")
FILES: Final = [
    item
    for page in PAGES
    for item in examples(page)
    if item.language in {"yaml", "json", "python"} and not item.skipped
]
_NAMESPACE: Final = re.compile(r"\bkubectl create namespace ([a-z0-9-]+)")
CHART: Final = ROOT / "charts/modelyard"
REQUIRED_VALUES: Final = ("image.repository=example", "registry.push=registry.example.com")


def _beside_others(page: str) -> Any:
    """Return the page as a parameter, with the mark `alone` if the page changes the release."""
    return pytest.param(page, marks=[pytest.mark.alone] if page in WITH_RELEASE else [])


def _namespaces(page: str) -> set[str]:
    """Return the namespaces that a page creates."""
    return {name for item in examples(page) for name in _NAMESPACE.findall(item.text)}


@pytest.fixture
def namespaces(page: str) -> Iterator[set[str]]:
    """Yield the namespaces that a page creates, and delete them afterwards.

    Those of an earlier run are deleted at the start. A page that changes the release waits for the end of all
    namespaces of other pages.
    """
    names = _namespaces(page)
    _delete(set().union(*map(_namespaces, WITH_COMMANDS)) if page in WITH_RELEASE else names)
    yield names
    _delete(names, "--wait=false")


def _delete(names: set[str], *options: str) -> None:
    if names:
        _run(["kubectl", "delete", "namespace", *sorted(names), "--ignore-not-found", *options], "")


@pytest.mark.parametrize("page", [_beside_others(page) for page in WITH_COMMANDS])
def test_commands_of_page_work(page: str, namespaces: set[str], tmp_path: Path) -> None:
    try:
        run_page(commands(page), tmp_path / "checkout")
    except Failure as error:
        error.add_note(cluster_state(namespaces))
        raise


@pytest.mark.parametrize("item", FILES, ids=lambda item: item.place)
def test_file_of_page_is_complete(item: Example) -> None:
    {"yaml": _check_yaml, "json": _check_json, "python": _check_python}[item.language](item)


def _check_json(item: Example) -> None:
    json.loads(item.text)


def _check_python(item: Example) -> None:
    compile(item.text, item.place, "exec")


def _check_yaml(item: Example) -> None:
    """Pass objects to the API server as a dry run, and other mappings to the chart as values.

    The namespace of an object may not exist, so the dry run is in the namespace `default`.
    """
    documents = list(yaml.safe_load_all(item.text))
    if all("apiVersion" in document for document in documents):
        for document in documents:
            document["metadata"].pop("namespace", None)
        command = ["kubectl", "apply", "--dry-run=server", "--namespace", "default", "--filename", "-"]
        _run(command, yaml.safe_dump_all(documents))
    else:
        settings = [argument for value in REQUIRED_VALUES for argument in ("--set", value)]
        _run(["helm", "template", "modelyard", str(CHART), "--values", "-", *settings], item.text)


def _run(command: list[str], text: str) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
