"""The end of the processes of one job."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelyard.builder.confinement.process_tree import confined_root, descendants, kill_tree

CONFINED = """
import sys, time
from modelyard.builder.confinement.system_call_filter import filter_system_calls
filter_system_calls(supervised=False)
print("confined", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("is_root", [True, False])
def test_only_orphans_are_ended_with_the_processes_of_a_job(is_root: bool) -> None:
    """The process of another job is no orphan."""
    command = [sys.executable, "-c", CONFINED]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other,
        subprocess.Popen(["sleep", "60"]) as root,
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == "confined\n"
        with confined_root(other.pid if is_root else root.pid):
            found = {process.id for process in descendants(root.pid)}
            assert found == (set() if is_root else {other.pid})
            kill_tree(root.pid)
        assert root.wait(10) == -9
        assert (other.poll() is None) == is_root
        other.kill()
