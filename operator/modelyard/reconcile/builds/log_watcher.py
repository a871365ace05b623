"""Watcher of build logs: it reports the push of an image sooner than the status of the pod does.

A kubelet looks for terminated containers once per second only, and updates the pod's status after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from modelyard.backoff import Backoff
from modelyard.contract.build_pod import CONTAINER
from modelyard.contract.build_progress import is_pushed_line
from modelyard.kube.errors import KubeError, Unavailable
from modelyard.kube.interface import KubeClient

_LOG: Final = logging.getLogger(__name__)
_BACKOFF: Final = Backoff(first_seconds=5.0, most_seconds=60.0)  # after a connection broke


class BuildLogWatcher:
    """Reader of the logs of running build pods. A push that it misses is found when the pod ends."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        on_pushed: Callable[[str], None],
        backoff: Backoff = _BACKOFF,
    ) -> None:
        """`on_pushed` is called with the name of a Job once its log reports that the image is pushed."""
        self._client = client
        self._namespace = namespace
        self._on_pushed = on_pushed
        self._backoff = backoff
        self._watches: dict[str, asyncio.Task[None]] = {}

    def watch(self, pod: str, job: str) -> None:
        """Read the log of a pod in the background until it ends; a second call for the pod does nothing."""
        if pod not in self._watches:
            self._watches[pod] = task = asyncio.create_task(self._watch(pod, job))
            task.add_done_callback(lambda _: self._watches.pop(pod))

    async def close(self) -> None:
        """Cancel all watches and wait for their end."""
        tasks = list(self._watches.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, pod: str, job: str) -> None:
        failures = 0
        while True:
            try:
                # The push is the last line of a log, so a new connection needs no earlier line.
                lines = self._client.log_lines(self._namespace, pod, container=CONTAINER, tailLines="1")
                async with contextlib.aclosing(lines):
                    async for line in lines:
                        failures = 0
                        if is_pushed_line(line):
                            self._on_pushed(job)
                            return
            except Unavailable as error:
                _LOG.debug("log of build pod %s: %s", pod, error)
            except KubeError as error:  # e.g. NotFound: the pod was deleted with its Job
                _LOG.debug("log of build pod %s: %s", pod, error)
                return
            else:
                return
            failures += 1
            await asyncio.sleep(self._backoff.seconds(failures))
