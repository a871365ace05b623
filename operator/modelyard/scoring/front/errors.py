"""The errors of the server: status, message and way out of each one. docs/reference.md has them as a table.

An error of the driver's input has a message of the worker. All others have the messages here.
"""

from dataclasses import dataclass
from typing import Final

from modelyard.scoring.front.messages import RETRY_AFTER, HttpResponse, error_response

_RUN_FAILED: Final = b"x-ms-run-function-failed: True\r\n"
_ACCEPTED_CODINGS: Final = b"accept-encoding: gzip, deflate\r\n"
"""The codings of request bodies (RFC 9110 section 12.5.3)."""


@dataclass(frozen=True, slots=True)
class HttpError:
    """One error of the server."""

    status: int
    message: str
    """The text of the client, with fields in braces as for str.format()."""
    way_out: str
    """The next step of the client's or the driver's author, for docs/reference.md."""
    header_lines: bytes = b""

    def response(self, **fields: object) -> HttpResponse:
        """Return the response. Raises KeyError if a field of the message is missing."""
        return error_response(self.status, self.message.format(**fields), self.header_lines)


NOT_HTTP: Final = HttpError(
    400,
    "The input is not an HTTP/1.1 request.",
    "Send HTTP/1.1 without TLS: an Ingress or a Gateway ends TLS.",
)
HOST_MISSING: Final = HttpError(400, "The Host header is missing.", "Send one Host header.")
HOST_REPEATED: Final = HttpError(
    400, "The request has more than one Host header.", "Send one Host header. A proxy may add the second."
)
CHUNKED_HTTP_1_0: Final = HttpError(
    400,
    "HTTP/1.0 has no Transfer-Encoding: send Content-Length.",
    "Send Content-Length, or HTTP/1.1. In nginx: `proxy_http_version 1.1`.",
)
NO_PROXY: Final = HttpError(
    400, "This server is not a proxy.", "Remove the server from the proxy settings of the client."
)
BODY_INVALID: Final = HttpError(
    400, "{error}", "The body is not what its Content-Encoding says: send a whole gzip or deflate body."
)
INPUT_INVALID: Final = HttpError(
    400,
    "{error}",
    "The message names the field that does not match `run()`. `/swagger.json` describes the fields. A driver"
    " can choose another status from 400 to 499, and a Content-Type other than JSON is 415.",
)
UNAUTHORISED: Final = HttpError(
    401,
    "Send Authorization: Bearer <primary or secondary key>",
    "Send a key of the Service: `kubectl get secret`, or `POST /services/{id}/keys` of the gateway.",
    b'www-authenticate: Bearer realm="scoring"\r\n',
)
NO_PATH: Final = HttpError(
    404,
    "There is nothing at this path. Scoring is at /score.",
    "Send the request to `/score`, or to a path of `/docs`.",
)
NO_MODEL: Final = HttpError(
    404, "There is no model {name!r}. This server has {own_name!r}.", "Use the name in the message."
)
NO_VERSION: Final = HttpError(
    404, "There is no version {version!r}. The model has {versions}.", "Use the version in the message."
)
NO_OPENAPI: Final = HttpError(
    404, "There is no OpenAPI of this version. There are: {versions}.", "Use a version in the message."
)
METHOD: Final = HttpError(405, "Method not allowed", "Use a method of the header Allow.")
HEAD_TOO_SLOW: Final = HttpError(
    408, "The headers took longer than {seconds:.0f} s.", "Send the request again, over a faster connection."
)
BODY_TOO_SLOW: Final = HttpError(
    408, "The body comes too slowly.", "Send the request again, over a faster connection."
)
BODY_NOT_TAKEN: Final = HttpError(
    413, "Only POST takes a body, at /score and /v2/models/NAME/infer.", "Send the body by POST."
)
BODY_TOO_LARGE: Final = HttpError(
    413,
    "The body is larger than {most} bytes.",
    "Send less, or raise `MODELYARD_MAX_BODY_BYTES`.",
)
UNPACKED_TOO_LARGE: Final = HttpError(
    413,
    "The unpacked body is larger than {most} bytes.",
    "Send less, or raise `MODELYARD_MAX_BODY_BYTES`.",
)
CODING: Final = HttpError(
    415,
    "The Content-Encoding {coding!r} is not supported: send gzip, deflate or identity.",
    "Send a body of a coding in the message.",
    _ACCEPTED_CODINGS,
)
HEAD_TOO_LARGE: Final = HttpError(431, "The headers are larger than {most} bytes.", "Send smaller headers.")
TOO_MANY_HEADERS: Final = HttpError(431, "The request has more than {most} headers.", "Send fewer headers.")
ID_TOO_LONG: Final = HttpError(431, "{names} must not exceed {most} characters", "Send a shorter id.")
SCRIPT: Final = HttpError(
    500,
    "An unexpected error occurred in scoring script. Check the logs for more info.",
    "The log of the pod has the traceback, with the request's id. Correct the driver.",
    _RUN_FAILED,
)
TIMED_OUT: Final = HttpError(
    500,
    "Scoring timeout after {milliseconds} ms",
    "Make `run()` faster, or raise `SCORING_TIMEOUT_MS`.",
    _RUN_FAILED,
)
NOT_STARTED: Final = HttpError(
    503,
    "The driver's init() has not finished yet.",
    "Wait until `/ready` answers 200: clients of a Service never see this.",
    RETRY_AFTER,
)
OVERLOADED: Final = HttpError(
    503,
    "Overloaded: no place (of {places}) began the request within {milliseconds:.0f} ms. Try again later.",
    "Send the request again after the seconds of Retry-After. Add replicas, more requests at once, or CPU.",
    RETRY_AFTER,
)
SHORT_OF_MEMORY: Final = HttpError(
    503,
    "Overloaded: request bodies hold {held} bytes already. Try again later.",
    "Send the request again after the seconds of Retry-After, or raise `MODELYARD_MAX_HELD_BYTES`.",
    RETRY_AFTER,
)
CUT_OFF: Final = HttpError(
    503,
    "Shutting down: the time for draining is over.",
    "Send the request again. Raise `MODELYARD_DRAIN_SECONDS` if `run()` takes longer than that.",
    RETRY_AFTER,
)
