"""`azureml.contrib.services.aml_response` for drivers: `AMLResponse`, which is a response of werkzeug."""

import json
from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

from modelyard.scoring.contract import RUN_FAILED_HEADER


class AMLResponse(Response):
    """A response from run(): status, headers and body.

    With json_str the message is written as JSON. None is sent as `{}`. Otherwise the message is str, bytes,
    or an iterable of them, and is sent unchanged. Its default type is text/html as in Flask: clients rely on
    it. A header value with commas is sent as several headers.
    """

    default_mimetype = "text/html"
    autocorrect_location_header = False  # the default of Flask, and of werkzeug since 2.1

    def __init__(
        self,
        message: Any,
        status_code: int | str | None,
        response_headers: Mapping[str, Any] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        if message is None or json_str:
            text = json.dumps({} if message is None else message)
            super().__init__(text, status_code, mimetype="application/json")
        else:
            super().__init__(message, status_code)
        self.headers[RUN_FAILED_HEADER] = str(bool(run_function_failed))
        for name, value in (response_headers or {}).items():
            if name.lower() == "content-type":
                self.headers["Content-Type"] = str(value)
                continue
            for part in str(value).split(","):
                self.headers.add(name, part.strip())
