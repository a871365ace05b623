"""`azureml.contrib.services.aml_response` for drivers: `AMLResponse`, without Flask."""

import json
from collections.abc import Mapping
from typing import Any


class AMLResponse:
    """A complete response from run(): status, headers and body.

    With json_str the message is written as JSON. None is sent as `{}`. Otherwise the message is str or bytes
    and is sent unchanged, by default as text/html, Flask's default, which clients rely on. A header value
    with commas is sent as several headers.
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
        headers = [
            (name, part.strip())
            for name, value in (response_headers or {}).items()
            for part in str(value).split(",")
        ]
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.insert(0, ("Content-Type", content_type))
        self.headers = headers

    def get_data(self) -> bytes:
        """Return the body; the name is that of Flask's method."""
        return self._body
