"""Start, stop and login of the operator, and kopf's settings."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final

import kopf

from modelyard.backoff import Backoff

_RETRY: Final = Backoff(first_seconds=0.5, most_seconds=30.0, jitter=0.5)


@kopf.on.login()
async def login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """Log in with the pod's ServiceAccount, or with the kubeconfig outside of a cluster."""
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Configure kopf, then start the controller: its cache is complete before kopf begins to watch."""
    configure(settings)
    await memo.controller.start()


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: Any) -> None:
    """Stop the controller."""
    await memo.controller.stop()


def configure(settings: kopf.OperatorSettings) -> None:
    """Set what differs from kopf's defaults: https://docs.kopf.dev/en/stable/configuration/."""
    # The operator posts its own Kubernetes events, on changes of state only.
    settings.posting.enabled = False
    # The four kinds are known. Watching CustomResourceDefinitions and Namespaces would need more rights.
    settings.scanning.disabled = True
    # kopf holds a page of whole objects, of up to 1.5 MiB each. The controller has listed all objects before.
    settings.watching.chunk_size = 50
    # kopf makes a task for each object, and an idle task holds the last body. In kopf's default of 5 s the
    # first lists fill 120 MB, with 10,000 objects as well as with 400 Manifests of 500 kB.
    settings.queueing.idle_timeout = 0.1
    # A watch is renewed every 4 minutes: proxies drop silent connections, and a renewed watch notices.
    settings.watching.server_timeout = 240
    settings.watching.client_timeout = 300  # the server ends a watch before the client does
    settings.watching.connect_timeout = 10
    # After a 410 kopf lists again; this pause bounds the lists of an API server that always answers 410.
    settings.watching.reconnect_backoff = 1.0
    settings.networking.request_timeout = 30
    # A kopf watch that runs out of retries ends the process. An API server that restarts is away for seconds
    # to minutes, and answers 403 until it has loaded RBAC: the retries do not run out.
    settings.networking.error_backoffs = Retries()
    # The handlers store nothing on the objects. By default kopf copies and compares the object in each event.
    settings.persistence.diffbase_storage = NoDiffBase()
    # kopf logs each retry as an error, and each event at debug level.
    logging.getLogger("kopf").setLevel(logging.WARNING)


class Retries(Iterable[float]):
    """Seconds to wait before each retry of a request, without an end."""

    def __iter__(self) -> Iterator[float]:
        """Begin with the first wait again, for each request."""
        return (_RETRY.seconds(failures) for failures in itertools.count(1))


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no copy of an object: event handlers do not ask for differences."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        """Return an empty essence."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Return None: no object has a stored essence."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing on the object."""
