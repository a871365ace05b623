"""`azureml.contrib.services.aml_response` for drivers: `AMLResponse`, without Flask."""

import json
from collections.abc import Mapping
from typing import Any


class AMLResponse:
    """An answer that run() gives as a whole: status, headers and body.

    With json_str the message is turned into JSON, and None is sent as `{}`; else it is a str or bytes as it
    is, by default as text/html (Flask's default, which clients know). A header value with commas is sent
    as several headers.
    """

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        self.status_code = status_code
        self.run_function_failed = run_function_failed
        if message is None or json_str:
            self._body = json.dumps({} if message is None else message).encode()
            content_type = "application/json"
        else:
            self._body = message.encode() if isinstance(message, str) else bytes(message)
            content_type = "text/html; charset=utf-8"
        given = [
            (name, part.strip())
            for name, value in (response_headers or {}).items()
            for part in str(value).split(",")
        ]
        if not any(name.lower() == "content-type" for name, _ in given):
            given.insert(0, ("Content-Type", content_type))
        self.headers = given

    def get_data(self) -> bytes:
        """The body, named as in Flask's responses."""
        return self._body
