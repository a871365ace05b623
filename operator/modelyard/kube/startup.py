"""The start of an API server, during which it denies every request.

Until an API server has read the rules of RBAC it answers 403 to everything, also to the question whether it
is ready.
"""

from __future__ import annotations

from typing import Final

from modelyard.kube.transport import Request, Transport, TransportError

_MOST_SECONDS: Final = 6.0  # of an API server that is not ready
_MOST_SECONDS_HIDDEN: Final = 1.5  # of an API server that never lets the public read /readyz


class StartupCheck:
    """Tells a denial of an API server that is starting from a denial that is final."""

    def __init__(self, transport: Transport):
        self._transport = transport
        self._hides_readyz = False

    async def is_starting(self, seconds: float) -> bool:
        """Return whether a request that was first denied `seconds` ago may still be allowed.

        The denial of a ready API server is final. The limit is 6 s for an API server that is not ready, or
        denies /readyz, too. It is 1.5 s after /readyz was denied for longer than 6 s: the server may hide it.
        """
        try:
            response = await self._transport.send(Request("GET", "/readyz"))
        except TransportError:
            status = 0
        else:
            status = response.status
            if response.is_success:
                self._hides_readyz = False
                return False
            if status in {401, 404}:  # anonymous requests are off, or a proxy hides the path
                return False
        if status != 403:
            self._hides_readyz = False
        is_starting = seconds < (_MOST_SECONDS_HIDDEN if self._hides_readyz else _MOST_SECONDS)
        if status == 403 and not is_starting:
            self._hides_readyz = True
        return is_starting
