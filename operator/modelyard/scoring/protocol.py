"""uvicorn's HTTP/1.1 protocol, made to ignore offers to upgrade the connection."""

import sys

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class ScoringProtocol(HttpToolsProtocol):
    """Answers a request with `Connection: Upgrade` as if it had none, which RFC 9110 section 7.8 allows.

    Java's HttpClient by default, and curl --http2, offer h2c with a connection's first request. httptools
    then takes the body for the other protocol's bytes, and run() would score an empty body. So such a
    request is parsed once more without the offer.
    """

    _received = b""

    def data_received(self, data: bytes) -> None:
        self._received = data
        super().data_received(data)

    def _should_upgrade(self) -> bool:
        """True: hold the request back and call handle_websocket_upgrade(), whatever the upgrade is."""
        return True

    def handle_websocket_upgrade(self) -> None:
        upgrade = sys.exception()
        method = self.parser.get_method()
        if not isinstance(upgrade, httptools.HttpParserUpgrade) or method == b"CONNECT":
            self.send_400_response("This server is no proxy.")
            return
        rest = self._received[upgrade.args[0] :]
        kept = [
            line for line in self.headers if line[0] not in (b"connection", b"upgrade", b"http2-settings")
        ]
        if not self.parser.should_keep_alive():
            kept.append((b"connection", b"close"))
        lines = [b"%s %s HTTP/1.1" % (method, self.url), *(b"%s: %s" % line for line in kept), b"", b""]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join(lines) + rest)
