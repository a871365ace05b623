"""The WSGI environment of a request, and calls within a Flask application."""

from types import SimpleNamespace
from typing import Any

from modelyard.scoring.worker.aml_request import AMLRequest
from modelyard.scoring.worker.wsgi import environ_of, within_flask

META = {
    "method": "POST",
    "path": "/sc%C3%B6re",
    "query": "a=1",
    "headers": {"content-type": "text/x", "x-user": "proxy", "x_user": "client"},
    "client": ["10.0.0.1", 1234],
}


def test_environment_has_the_request() -> None:
    environ = environ_of(META, b"body")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/scöre"
    assert environ["RAW_URI"] == "/sc%C3%B6re?a=1"
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("10.0.0.1", "1234")
    assert (environ["CONTENT_TYPE"], environ["wsgi.input"].read()) == ("text/x", b"body")


def test_header_with_an_underscore_cannot_replace_one_with_a_dash() -> None:
    assert environ_of(META, b"")["HTTP_X_USER"] == "proxy"


def test_large_fields_of_a_form_are_read() -> None:
    meta = {**META, "headers": {"content-type": "application/x-www-form-urlencoded"}}
    request = AMLRequest(environ_of(meta, b"a=" + b"x" * 1_000_000))
    assert len(request.form["a"]) == 1_000_000


class FakeApp:
    """Stands in for flask.Flask: counts the contexts that are open."""

    open = 0

    def __init__(self, name: str) -> None:
        self.config: dict[str, object] = {}

    def app_context(self) -> "FakeApp":
        return self

    def request_context(self, environ: dict[str, Any]) -> "FakeApp":
        FLASK.request = SimpleNamespace(_get_current_object=lambda: ("flask's request of", environ))
        return self

    def __enter__(self) -> None:
        FakeApp.open += 1

    def __exit__(self, *_: object) -> None:
        FakeApp.open -= 1


FLASK = SimpleNamespace(Flask=FakeApp, request=None)


def test_run_is_called_within_a_flask_application() -> None:
    call = within_flask(lambda data: (data, FakeApp.open), None, FLASK)
    assert call(data="x") == ("x", 1)
    assert FakeApp.open == 0


def test_raw_run_gets_flasks_own_request() -> None:
    call = within_flask(lambda request: (request, FakeApp.open), "request", FLASK)
    assert call(request=SimpleNamespace(environ={"a": 1})) == (("flask's request of", {"a": 1}), 1)
    assert FakeApp.open == 0
