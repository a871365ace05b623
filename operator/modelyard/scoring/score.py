"""/score: who may call it, what run() gets, and what becomes of its result."""

import json
import logging
from functools import partial
from urllib.parse import parse_qs

from modelyard.scoring.driver import Driver, RunFailedError, Scored
from modelyard.scoring.exchange import RETRY_AFTER, Exchange, RefusedError, Response, message, text
from modelyard.scoring.keys import Keys
from modelyard.scoring.lifecycle import Lifecycle
from modelyard.scoring.settings import Settings
from modelyard.scoring.workers import BusyError, RunTimeoutError, Workers

log = logging.getLogger(__name__)

RUN_FAILED = (b"x-ms-run-function-failed", b"True")
RUN_NOT_FAILED = (b"x-ms-run-function-failed", b"False")


class ScoreEndpoint:
    """The handlers of /score."""

    def __init__(self, settings: Settings, lifecycle: Lifecycle, keys: Keys, workers: Workers) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._keys = keys
        self._workers = workers

    async def options(self, _: Exchange) -> Response:
        return text(200, "")

    async def score(self, exchange: Exchange) -> Response:
        """Raises RefusedError when it does not come to run()."""
        self._lifecycle.scoring_came()
        driver = self._admit(exchange)
        data = await _data(exchange)
        try:
            scored = await self._run(driver, data, exchange)
        except RunTimeoutError:
            words = f"Scoring timeout after {self._settings.scoring_timeout_ms} ms"
            log.warning(words, extra={"requestId": exchange.request_id})
            return message(500, words, RUN_FAILED)
        except RunFailedError as error:
            log.exception("run() failed", exc_info=error.__cause__, extra={"requestId": exchange.request_id})
            words = "An unexpected error occurred in scoring script. Check the logs for more info."
            return message(500, words, RUN_FAILED)
        took = (b"x-ms-run-fn-exec-ms", f"{scored.milliseconds:.3f}".encode())
        return Response(200, scored.body, headers=(RUN_NOT_FAILED, took))

    def _admit(self, exchange: Exchange) -> Driver:
        """What can be refused before the body is read, so that a refusal is cheap."""
        if not self._keys.accepts(exchange.headers.get(b"authorization")):
            challenge = (b"www-authenticate", b'Bearer realm="scoring"')
            raise RefusedError(401, "Send Authorization: Bearer <primary or secondary key>", challenge)
        if self._lifecycle.driver is None:
            raise RefusedError(503, "The driver's init() has not finished yet.", RETRY_AFTER)
        if self._workers.full:
            raise self._overloaded()
        return self._lifecycle.driver

    async def _run(self, driver: Driver, data: str, exchange: Exchange) -> Scored:
        headers = _title_case(exchange.headers) if driver.wants_headers else {}
        try:
            return await self._workers.call_within(
                partial(driver.score, data, headers),
                wait_seconds=self._settings.queue_timeout_seconds,
                run_seconds=self._settings.scoring_timeout_ms / 1000,
            )
        except BusyError:
            raise self._overloaded() from None

    def _overloaded(self) -> RefusedError:
        running = self._settings.max_concurrent_requests
        waited_ms = self._settings.queue_timeout_seconds * 1000
        words = f"Overloaded: no free place (of {running}) within {waited_ms:.0f} ms. Try again later."
        return RefusedError(503, words, RETRY_AFTER)


async def _data(exchange: Exchange) -> str:
    """What run() gets: the body of a POST, the query of a GET."""
    if exchange.method == "GET":
        return _query_as_json(exchange.query)
    body = await exchange.read_body()
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"Input cannot be decoded as UTF-8: {error}") from None


def _query_as_json(query: bytes) -> str:
    """`a=1&b=x&b=y` as '{"a": 1, "b": ["x", "y"]}': values are JSON where they can be (Azure ML's rule)."""
    fields = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    values = {name: [_json_or_text(value) for value in given] for name, given in fields.items()}
    return json.dumps({name: given[0] if len(given) == 1 else given for name, given in values.items()})


def _json_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _title_case(headers: dict[bytes, bytes]) -> dict[str, str]:
    """Header names as WSGI servers show them, e.g. Content-Type: drivers look for that spelling."""
    return {name.decode("latin-1").title(): value.decode("latin-1") for name, value in headers.items()}
