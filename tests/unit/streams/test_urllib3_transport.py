"""The httpx transport on connections of urllib3, with real servers."""

from __future__ import annotations

import gc
import select
import socket
import ssl
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import httpx
import pytest
import trustme
from tests.support.web_server import (
    Response,
    WebServer,
)

from modelyard.streams import urllib3_transport
from modelyard.streams.urllib3_transport import Urllib3Transport

_CHUNKS = [b"a" * 100_000, b"b", b""]


def _no_tls() -> NoReturn:
    raise AssertionError("the test opens no TLS connection")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(transport=Urllib3Transport(_no_tls)) as client:
        yield client


def test_request_and_response_arrive_unchanged(client: httpx.Client, web: WebServer) -> None:
    web.respond = lambda _: Response(418, b"short and stout", {"X-Kind": "teapot"})
    answer = client.get(f"{web.url}/a%2Fb?c=d%20e", headers={"X-Asked": "yes"})
    assert (answer.status_code, answer.reason_phrase) == (418, "I'm a Teapot")
    assert (answer.text, answer.headers["x-kind"]) == ("short and stout", "teapot")
    (request,) = web.requests
    assert (request.method, request.path) == ("GET", "/a%2Fb?c=d%20e")
    assert request.headers["x-asked"] == "yes"
    assert "content-length" not in request.headers
    assert request.headers["host"] == web.address


def test_closed_client_leaves_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with httpx.Client(transport=Urllib3Transport(_no_tls)) as client, ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.get, f"http://127.0.0.1:{server.getsockname()[1]}")
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
            assert answer.result().text == "body"
        with connection:
            connection.settimeout(60)
            assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "location", ["http:x", "http:\\\\[::1]#x", "http://h:port/", "http://h:1:2/", "https:1", "http://[::1"]
)
def test_redirect_to_an_invalid_url_is_an_error_of_the_transport(
    client: httpx.Client, web: WebServer, location: str
) -> None:
    web.respond = lambda _: Response(302, headers={"Location": location})
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(web.url)


@pytest.mark.parametrize("location", ["/a", "b?c", "//h/a", "https://h.example", "ftp://h/a", ""])
def test_other_redirect_is_left_to_the_caller(client: httpx.Client, web: WebServer, location: str) -> None:
    web.respond = lambda _: Response(302, headers={"Location": location})
    assert client.get(web.url).status_code == 302


def test_location_of_a_response_that_is_no_redirect_is_ignored(client: httpx.Client, web: WebServer) -> None:
    web.respond = lambda _: Response(201, headers={"Location": "http:x"})
    assert client.post(web.url).status_code == 201


def test_body_of_unknown_length_is_sent_chunked(client: httpx.Client, web: WebServer) -> None:
    web.respond = lambda _: Response(200, b"x" * 3_000_000, chunked=True)
    answer = client.post(web.url, content=iter(_CHUNKS))
    assert answer.content == b"x" * 3_000_000
    assert web.requests[0].headers["transfer-encoding"] == "chunked"


def test_body_of_known_length_is_sent_with_content_length(client: httpx.Client, web: WebServer) -> None:
    web.respond = lambda _: Response()
    length = {"Content-Length": "100001"}
    assert client.post(web.url, content=iter(_CHUNKS), headers=length).status_code == 200
    assert web.requests[0].headers["content-length"] == "100001"
    assert "transfer-encoding" not in web.requests[0].headers


@pytest.mark.parametrize("length", ["100000", "100002"])
def test_body_of_another_length_is_an_error(client: httpx.Client, web: WebServer, length: str) -> None:
    with pytest.raises(httpx.TransportError, match="another length"):
        client.post(web.url, content=iter(_CHUNKS), headers={"Content-Length": length})


def test_error_of_the_body_is_raised_unchanged(client: httpx.Client, web: WebServer) -> None:
    def broken() -> Iterator[bytes]:
        yield b"first"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        client.post(web.url, content=broken())


def test_broken_response_yields_its_bytes_before_the_error(client: httpx.Client, web: WebServer) -> None:
    web.respond = lambda _: Response(200, b"x" * 10, drop_after=4)
    seen = b""
    with pytest.raises(httpx.TransportError), client.stream("GET", web.url) as answer:
        for chunk in answer.iter_raw():
            seen += chunk
    assert seen == b"xxxx"


def test_refused_connection_has_the_message_of_the_system(client: httpx.Client) -> None:
    with pytest.raises(httpx.TransportError, match=r"^\[Errno 111\] Connection refused$"):
        client.get("http://127.0.0.1:1/")


def test_connect_timeout_does_not_apply_to_sending(client: httpx.Client, web: WebServer) -> None:
    """urllib3 itself applies the connect timeout to each chunk that it sends."""
    web.respond = lambda _: Response()
    web.reads_after_seconds = 0.5
    body = iter([b"x" * 30_000_000])
    assert client.post(web.url, content=body, timeout=httpx.Timeout(30, connect=0.2)).status_code == 200


def test_certificate_of_the_server_is_verified(client: httpx.Client) -> None:
    authority, other = trustme.CA(), trustme.CA()
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(settings)
    server = WebServer(settings)
    server.respond = lambda _: Response(200, b"trusted")
    try:
        for trusted in (authority, other):
            context = ssl.create_default_context()
            trusted.configure_trust(context)
            with httpx.Client(transport=Urllib3Transport(lambda context=context: context)) as client:
                if trusted is authority:
                    assert client.get(server.url).text == "trusted"
                else:
                    with pytest.raises(httpx.TransportError, match="CERTIFICATE_VERIFY_FAILED"):
                        client.get(server.url)
    finally:
        server.stop()


def test_new_tls_context_replaces_idle_connections() -> None:
    authority, other = trustme.CA(), trustme.CA()
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(settings)
    server = WebServer(settings)
    server.respond = lambda _: Response(200, b"trusted")
    contexts = []
    for trusted in (authority, other):
        contexts.append(ssl.create_default_context())
        trusted.configure_trust(contexts[-1])
    try:
        with httpx.Client(transport=Urllib3Transport(lambda: contexts[0])) as client:
            assert client.get(server.url).text == "trusted"
            contexts.reverse()
            with pytest.raises(httpx.TransportError, match="CERTIFICATE_VERIFY_FAILED"):
                client.get(server.url)
            contexts.reverse()
            assert client.get(server.url).text == "trusted"
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_proxy_of_the_environment_is_used(web: WebServer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f"http://me:p%40ss@{web.address}")
    web.respond = lambda _: Response(200, b"by the proxy")
    with httpx.Client(transport=Urllib3Transport(_no_tls)) as client:
        assert client.get("http://elsewhere.example/file").text == "by the proxy"
    assert web.requests[0].path == "http://elsewhere.example/file"
    assert web.requests[0].headers["proxy-authorization"] == "Basic bWU6cEBzcw=="


def test_no_proxy_hosts_are_connected_directly(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,.svc")
    web.respond = lambda _: Response(200, b"directly")
    with httpx.Client(transport=Urllib3Transport(_no_tls)) as client:
        assert client.get(web.url).text == "directly"


def test_connection_that_is_reset_before_its_handshake_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open socket without a reference is a ResourceWarning, which fails the test."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def connected(_: object) -> socket.socket:
            client = socket.create_connection(server.getsockname())
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            poll = select.poll()
            poll.register(client, select.POLLHUP)
            assert poll.poll(60_000)
            return client

        monkeypatch.setattr(urllib3_transport._TlsConnection, "_new_conn", connected)
        context = ssl.create_default_context()
        with (
            httpx.Client(transport=Urllib3Transport(lambda: context)) as client,
            pytest.raises(httpx.TransportError, match="reset by peer"),
        ):
            client.get(f"https://127.0.0.1:{server.getsockname()[1]}/")
    gc.collect()
