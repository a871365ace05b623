"""The commands of the runbooks work on a Service, also while its alert does not fire."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from tests.docs.cluster_state import cluster_state
from tests.docs.pages import PAGES, RUNBOOKS, Example, commands
from tests.docs.session import Failure, run_page

pytestmark = pytest.mark.e2e

START: Final = Path(__file__).with_name("runbooks.sh")
NAMESPACE: Final = "runbooks"


def test_commands_of_runbooks_work(tmp_path: Path) -> None:
    blocks = [block for page in PAGES if page.startswith(RUNBOOKS) for block in commands(page)]
    assert len(blocks) > 15
    start = Example("tests/docs/runbooks.sh", 1, "bash", START.read_text(encoding="utf-8"))
    end = Example(start.page, 1, "bash", f"command kubectl delete namespace {NAMESPACE} --wait=false\n")
    try:
        run_page([start, *blocks, end], tmp_path / "checkout")
    except Failure as error:
        error.add_note(cluster_state({NAMESPACE}))
        raise
