"""The collected records of the demo: an object store in the cluster, and its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.support.cluster import Kubectl, eventually
from tests.support.object_store import StoreInCluster

_VERSIONS: Final = """\
SELECT version, count(*), count(DISTINCT requestId), round(1000 * median(durationSeconds), 1)
FROM records GROUP BY version ORDER BY version"""
_LAST: Final = """\
SELECT version, status, inputs, prediction FROM records ORDER BY time DESC LIMIT 1"""


class Records:
    """Rows of an object store, printed for the reader of the demo."""

    def __init__(self, store: StoreInCluster, say: Callable[[str], None]):
        self._store = store
        self._say = say

    @classmethod
    def start(cls, kubectl: Kubectl, say: Callable[[str], None]) -> Records | None:
        """Start a store, and name it in the Secret of the namespace. None if it cannot be built here."""
        try:
            store = StoreInCluster(kubectl)
        except RuntimeError as error:
            say(f"none, so no records are collected: {error}")
            return None
        secret = store.secret()
        kubectl.apply(secret)
        say(f"versitygw in a pod; the Secret {secret['metadata']['name']} has its address and its keys")
        return cls(store, say)

    def show(self, answered: int) -> None:
        """Wait for a row of each answered request, and print some. Raises AssertionError without them."""
        self._say(f"the demo has counted {answered} responses; replicas write their records each 5 s")

        def all_rows() -> bool:
            return sum(ids for _, _, ids, _ in self._versions()) >= answered

        eventually(all_rows, 60, f"rows of {answered} requests", every=1)
        for version, rows, ids, median in self._versions():
            self._say(f"version {version}: {rows} rows of {ids} requests, median {median} ms in the replica")
        print(_LAST, flush=True)
        for version, status, inputs, prediction in self._store.query(_LAST):
            print(f"version {version}, status {status}\n  {inputs}\n  {prediction}", flush=True)

    def _versions(self) -> list[tuple[str, int, int, float]]:
        return [
            (str(version), int(str(rows)), int(str(ids)), float(str(median)))
            for version, rows, ids, median in self._store.query(_VERSIONS)
        ]
