"""Ends of builds, heard in their logs: a kubelet looks for containers that ended once a second only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from modelyard.contract.build_pod import CONTAINER
from modelyard.contract.build_progress import is_pushed_line
from modelyard.kube.errors import KubeError, Unavailable
from modelyard.kube.interface import KubeClient

_LOG: Final = logging.getLogger(__name__)
_PAUSE: Final = 5.0  # seconds until a log that broke off is listened to again


class BuildLogWatcher:
    """Listens to the logs of build pods that run. What is missed here, the pod's own end tells later."""

    def __init__(self, client: KubeClient, namespace: str, pushed: Callable[[str], None]) -> None:
        """`pushed` is told the name of a Job whose log says that its image is in the registry."""
        self._client = client
        self._namespace = namespace
        self._pushed = pushed
        self._watches: dict[str, asyncio.Task[None]] = {}

    def watch(self, pod: str, job: str) -> None:
        """Listen to a pod until its log ends, unless that is done already."""
        if pod not in self._watches:
            self._watches[pod] = task = asyncio.create_task(self._watch(pod, job))
            task.add_done_callback(lambda _: self._watches.pop(pod))

    async def close(self) -> None:
        """Stop listening."""
        tasks = list(self._watches.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, pod: str, job: str) -> None:
        while True:
            try:
                # What was said before matters only if it was the last.
                lines = self._client.log_lines(self._namespace, pod, container=CONTAINER, tailLines="1")
                async with contextlib.aclosing(lines):
                    async for line in lines:
                        if is_pushed_line(line):
                            self._pushed(job)
                            return
            except Unavailable as error:
                _LOG.debug("%s", error)
            except KubeError as error:  # it may have gone with its Job
                _LOG.debug("log of the build's pod %s: %s", pod, error)
                return
            else:
                return
            await asyncio.sleep(_PAUSE)
