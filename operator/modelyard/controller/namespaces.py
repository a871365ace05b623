"""Watched namespaces: one without rights is set aside, so that it does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from modelyard.backoff import Backoff
from modelyard.kube.errors import KubeError, is_denial
from modelyard.kube.reflector import FINAL_DENIAL
from modelyard.metrics import NAMESPACES_SET_ASIDE
from modelyard.reconcile.context import Context

_LOG: Final = logging.getLogger(__name__)
_RETRY: Final = Backoff(first_seconds=0.5, most_seconds=30.0, jitter=0.5)


class Namespaces:
    """The namespaces of `watchNamespaces`, and those among them that are set aside.

    A deleted namespace takes the operator's Role in it along. The objects of such a namespace are not
    reconciled until all lists of the namespace succeed again.
    """

    def __init__(self, ctx: Context):
        self._ctx = ctx
        self._set_aside: set[str] = set()

    @property
    def active(self) -> tuple[str | None, ...]:
        """The namespaces that are not set aside; None stands for all namespaces."""
        return tuple(name for name in self._ctx.settings.namespaces if name not in self._set_aside)

    def is_set_aside(self, namespace: str | None) -> bool:
        """Return True while a namespace is set aside."""
        return namespace in self._set_aside

    def set_aside(self, namespace: str, error: KubeError) -> None:
        """Set a namespace aside because of an error, and log it once."""
        if namespace in self._set_aside:
            return
        self._set_aside.add(namespace)
        NAMESPACES_SET_ASIDE.labels(namespace=namespace).set(1)
        _LOG.warning(
            "namespace %s is set aside: %s; create the namespace and upgrade the chart, or remove the"
            " namespace from watchNamespaces; next attempt within 2 min",
            namespace,
            error,
        )

    def restore(self, namespace: str) -> None:
        """Watch a namespace again."""
        self._set_aside.discard(namespace)
        NAMESPACES_SET_ASIDE.remove(namespace)
        _LOG.info("namespace %s is watched again", namespace)

    async def retry(self, namespace: str | None, attempt: Callable[[str | None], Awaitable[None]]) -> None:
        """List a namespace by `attempt`, again and again while the API server or a CRD is missing.

        Several denials in a row set the namespace aside. Lists of all namespaces are tried without an end.
        """
        failures = denials = 0
        while True:
            try:
                await attempt(namespace)
            except KubeError as error:
                failures += 1
                denials = denials + 1 if is_denial(error) else 0
                if namespace is not None and denials >= FINAL_DENIAL:
                    self.set_aside(namespace, error)
                    return
                seconds = _RETRY.seconds(failures, error.retry_after)
                _LOG.warning("list of %s: %s; retrying in %.1f s", namespace or "all", error, seconds)
                await self._ctx.sleep(seconds)
            else:
                return
