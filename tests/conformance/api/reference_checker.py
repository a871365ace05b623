"""The checker of responses against the reference, which records the rows that they cover."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
from tests.conformance.api.reference import (
    ADDED_ROUTES,
    BASE,
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


_PATTERNS: Final = [(route, _pattern(route)) for route in (*ROUTES, *ADDED_ROUTES)]


class ReferenceChecker:
    """Checks responses against the reference, and collects the rows that all of them cover."""

    def __init__(self) -> None:
        self.covered_rows: set[str] = set()

    def check(self, response: httpx.Response) -> None:
        """Check a request and its response. Raises AssertionError if they do not match the reference."""
        request = response.request
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
            assert response.headers.get(header), f"{request.url}: no {header}"
            self.covered_rows.add(f"header {header}")
        if response.status_code >= 400:
            self._check_error(response)
        if route is None:
            return
        if response.status_code not in route.responses:
            assert response.status_code >= 400, f"{route.name} responses {response.status_code}"
            self.covered_rows.add(f"status {route.name} default")
            return
        self.covered_rows |= {f"route {route.name}", f"status {route.name} {response.status_code}"}
        if response.status_code >= 400:
            return
        path = [part for part in EVERYWHERE if part != "api-version"] + (
            ["id"] if "{id}" in route.path else []
        )
        for parameter in (*path, *parse_qs(url.query)):
            self.covered_rows.add(f"parameter {route.name} {parameter}")
        for header in route.headers:
            assert response.headers[header].startswith("http"), f"{route.name}: {header}"
            self.covered_rows.add(f"header {route.name} {header}")
        assert (OPERATION_LOCATION in response.headers) == bool(route.headers)
        if route.body:
            self._check_value(route.body, httpx.Response(200, content=request.content).json(), "sent")
            self.covered_rows.add(f"body {route.name} {route.body}")
        definition = route.responses[response.status_code]
        if definition:
            self._check_value(definition, response.json(), route.name)

    def _check_error(self, response: httpx.Response) -> None:
        assert response.headers["content-type"] == "application/json", response.text
        body = response.json()
        self._check_value("ErrorResponse", body, str(response.request.url))
        assert body["statusCode"] == response.status_code

    def _check_value(self, type_: str, value: Any, where: str) -> None:
        """Check a value against a type of the reference, and record its fields."""
        if type_ in LISTS:
            self.covered_rows.add(f"definition {type_}")
            type_ = LISTS[type_]
        if type_.startswith("["):
            assert isinstance(value, list), f"{where}: {value!r} is not an array"
            for item in value:
                self._check_value(type_[1:-1], item, where)
        elif type_.startswith("{"):
            assert isinstance(value, dict), f"{where}: {value!r} is not a map"
            for item in value.values():
                self._check_value(type_[1:-1], item, where)
        elif type_ in ENUMS:
            assert value in ENUMS[type_], f"{where}: {value!r} is not of type {type_}"
            self.covered_rows.add(f"value {type_} {value}")
        elif type_ == "date-time":
            assert dt.datetime.fromisoformat(value).tzinfo, f"{where}: {value!r} is not a date-time"
        elif type_ in DEFINITIONS:
            self._check_object(type_, value, where)
        else:
            kind = _PLAIN[type_]
            assert isinstance(value, kind), f"{where}: {value!r} is not of type {type_}"
            assert kind is not int or not isinstance(value, bool), f"{where}: {value!r} is not an integer"

    def _check_object(self, type_: str, value: Any, where: str) -> None:
        assert isinstance(value, dict), f"{where}: {value!r} is not of type {type_}"
        for field in DEFINITIONS[type_]:
            field_name = f"{where} {type_}.{field.name}"
            if field.name not in value:
                assert not field.required, f"{field_name} is missing"
                continue
            self._check_value(field.type, value[field.name], field_name)
            self.covered_rows.add(f"field {type_}.{field.name}")
