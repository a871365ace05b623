"""`make test-move`: namespaces move to a second cluster by the steps of docs/backup.md.

OLD_KUBECONFIG is the file of the first cluster, KUBECONFIG that of the second one. Both have the chart with
the same registry. The exit code is 1 if a namespace differs after its move.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.bench.progress import say
from tests.move.backup import move_by_files, move_like_velero
from tests.move.team import Team
from tests.support.cluster import Kubectl
from tests.support.operator import operator_pod

Way = Callable[[Kubectl, Kubectl, Path], None]
WAYS: Final[dict[str, Way]] = {
    "the files of docs/backup.md, the operator is stopped": move_by_files,
    "the kinds and the order of Velero, the operator runs": move_like_velero,
}


def move(old: Team, new: Team, way: Way) -> None:
    """Move a namespace, and compare it. Then delete it in the old cluster, and edit it in the new one."""
    old.create_three_versions()
    before = old.state()
    say(f"  served: {before['responses']}")
    with tempfile.TemporaryDirectory() as folder:
        way(old.kubectl, new.kubectl, Path(folder))
    new.check_moved(before)
    say("  the new cluster has the same versions, images and keys, and serves; nothing was built")
    old.check_unchanged(before)
    old.delete()
    new.check_moved(before)
    new.check_next_version()
    say("  the old namespace is deleted, and the new one serves version 4")


def main() -> None:
    """Move a namespace in each way."""
    operator_pod()
    for way, action in WAYS.items():
        name = f"move-{uuid.uuid4().hex[:8]}"
        say(f"{name}: {way}")
        old, new = Team(Kubectl(name, os.environ["OLD_KUBECONFIG"])), Team(Kubectl(name))
        try:
            move(old, new, action)
        finally:
            old.delete()
            new.delete()
    print(f"moved={len(WAYS)}")


main()
