"""Path and query as they are written."""

from __future__ import annotations

import pytest
from tests.support.web_server import Response, WebServer
from tests.unit.builder.sources.fetcher import Fetcher

from modelyard.builder.sources.request_target import request_target

TARGET = "/a//b/./c/%2E%2E/d.bin?sig=%2f%2Fa+b%3d&x='()*!~;@:$,&flag"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (f"HTTPS://user:pw@h:1{TARGET}#part", TARGET.encode()),
        ("https://h", b"/"),
        ("https://h?a=b", b"/?a=b"),
        ("/next?sig=%2f#x", b"/next?sig=%2f"),
        ("//h/x", None),
        ("next", None),
        ("https://h/a b", None),
        ("https://h/é", None),
        ("https://h\\@other/x", None),
        ("https://h/a\nb", None),
    ],
)
def test_target_is_the_path_and_query_as_written(url: str, target: bytes | None) -> None:
    assert request_target(url) == target


def test_path_and_query_are_sent_as_written(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=b"x")
    fetcher(f"{web.url}{TARGET}#part")
    assert [request.path for request in web.requests] == [TARGET]


@pytest.mark.parametrize("is_absolute", [True, False])
def test_location_of_a_redirect_is_sent_as_written(
    web: WebServer, fetcher: Fetcher, is_absolute: bool
) -> None:
    location = f"{web.url if is_absolute else ''}{TARGET}"
    web.respond = lambda request: (
        Response(302, headers={"Location": location}) if request.path == "/first" else Response(body=b"x")
    )
    fetcher(f"{web.url}/first")
    assert [request.path for request in web.requests] == ["/first", TARGET]


def test_blanks_and_other_characters_are_encoded(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=b"x")
    fetcher(f"{web.url}/my model é.bin")
    assert [request.path for request in web.requests] == ["/my%20model%20%C3%A9.bin"]


def test_proxy_gets_the_path_and_query_as_written(
    web: WebServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    web.respond = lambda _: Response(body=b"x")
    fetcher(f"http://models.example{TARGET}")
    assert [request.path for request in web.requests] == [f"http://models.example{TARGET}"]
