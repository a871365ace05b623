"""What has been seen to work: each exchange is checked against the reference, its parts are ticked off."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
from tests.conformance.api.reference import (
    BASE,
    BEYOND,
    DEFINITIONS,
    ENUMS,
    EVERYWHERE,
    LISTS,
    OPERATION_LOCATION,
    ROUTES,
    Route,
)

_PLAIN: Final = {"string": str, "integer": int, "boolean": bool}


def _pattern(route: Route) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\}", BASE + route.path)
    return re.compile("([^/]+)".join(re.escape(part) for part in parts))


_PATTERNS: Final = [(route, _pattern(route)) for route in (*ROUTES, *BEYOND)]


class Seen:
    """The rows that were seen, over all tests."""

    def __init__(self) -> None:
        self.rows: set[str] = set()

    def exchange(self, answer: httpx.Response) -> None:
        """Tick off one exchange; AssertionError when it is not as the reference says."""
        request = answer.request
        url = urlsplit(str(request.url))
        route = next(
            (
                route
                for route, pattern in _PATTERNS
                if route.method == request.method and pattern.fullmatch(unquote(url.path))
            ),
            None,
        )
        for header in ("x-ms-request-id", "x-ms-client-request-id"):
            assert answer.headers.get(header), f"{request.url}: no {header}"
            self.rows.add(f"header {header}")
        if answer.status_code >= 400:
            self._error(answer)
        if route is None:
            return
        if answer.status_code not in route.answers:
            assert answer.status_code >= 400, f"{route.name} answers {answer.status_code}"
            self.rows.add(f"status {route.name} default")
            return
        self.rows |= {f"route {route.name}", f"status {route.name} {answer.status_code}"}
        if answer.status_code >= 400:
            return
        path = [part for part in EVERYWHERE if part != "api-version"] + (
            ["id"] if "{id}" in route.path else []
        )
        for parameter in (*path, *parse_qs(url.query)):
            self.rows.add(f"parameter {route.name} {parameter}")
        for header in route.headers:
            assert answer.headers[header].startswith("http"), f"{route.name}: {header}"
            self.rows.add(f"header {route.name} {header}")
        assert (OPERATION_LOCATION in answer.headers) == bool(route.headers)
        if route.body:
            self.value(route.body, httpx.Response(200, content=request.content).json(), "sent")
            self.rows.add(f"body {route.name} {route.body}")
        definition = route.answers[answer.status_code]
        if definition:
            self.value(definition, answer.json(), route.name)

    def _error(self, answer: httpx.Response) -> None:
        assert answer.headers["content-type"] == "application/json", answer.text
        body = answer.json()
        self.value("ErrorResponse", body, str(answer.request.url))
        assert body["statusCode"] == answer.status_code

    def value(self, type_: str, value: Any, where: str) -> None:
        """Check a value against a type of the reference, and tick off its fields."""
        if type_ in LISTS:
            self.rows.add(f"definition {type_}")
            type_ = LISTS[type_]
        if type_.startswith("["):
            assert isinstance(value, list), f"{where}: {value!r} is no array"
            for item in value:
                self.value(type_[1:-1], item, where)
        elif type_.startswith("{"):
            assert isinstance(value, dict), f"{where}: {value!r} is no map"
            for item in value.values():
                self.value(type_[1:-1], item, where)
        elif type_ in ENUMS:
            assert value in ENUMS[type_], f"{where}: {value!r} is no {type_}"
            self.rows.add(f"value {type_} {value}")
        elif type_ == "date-time":
            assert dt.datetime.fromisoformat(value).tzinfo, f"{where}: {value!r} is no date-time"
        elif type_ in DEFINITIONS:
            self._object(type_, value, where)
        else:
            kind = _PLAIN[type_]
            assert isinstance(value, kind), f"{where}: {value!r} is no {type_}"
            assert kind is not int or not isinstance(value, bool), f"{where}: {value!r} is no integer"

    def _object(self, type_: str, value: Any, where: str) -> None:
        assert isinstance(value, dict), f"{where}: {value!r} is no {type_}"
        for field in DEFINITIONS[type_]:
            there = f"{where} {type_}.{field.name}"
            if field.name not in value:
                assert not field.required, f"{there} is missing"
                continue
            self.value(field.type, value[field.name], there)
            self.rows.add(f"field {type_}.{field.name}")
