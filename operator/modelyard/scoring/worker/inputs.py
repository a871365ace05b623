"""From a request to the arguments of run(): text, the request itself, or the fields of a JSON object."""

import inspect
import json
from collections.abc import Sequence
from typing import Any, Protocol

from modelyard.scoring.frames import QUERY
from modelyard.scoring.query_values import query_values
from modelyard.scoring.worker.channel import WorkerRequest
from modelyard.scoring.worker.hints import Hint
from modelyard.scoring.worker.json_decoder import json_decoder
from modelyard.scoring.worker.wsgi import environ_of


class InputError(Exception):
    """The request does not match the parameters of run(). `status` is the HTTP status for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Inputs(Protocol):
    """Makes the arguments of run()."""

    needs_meta: bool
    """arguments() uses more of the request than its method and body."""

    def arguments(self, request: WorkerRequest) -> dict[str, Any]:
        """Return the arguments of run(). Raises InputError."""


class TextInput:
    """Arguments of a plain driver: the body as text, or the query of a GET as JSON text."""

    needs_meta = False

    def __init__(self, parameter: str) -> None:
        self._parameter = parameter

    def arguments(self, request: WorkerRequest) -> dict[str, Any]:
        """Return the text. Raises InputError if the body is not UTF-8."""
        if request.flags & QUERY:
            values = {name: value for name, (value, _) in query_values(bytes(request.body)).items()}
            return {self._parameter: json.dumps(values)}
        try:
            return {self._parameter: str(request.body, "utf-8")}
        except UnicodeDecodeError as error:
            raise InputError(400, f"Input cannot be decoded as UTF-8: {error}") from None


class RawInput:
    """Arguments of a driver with @rawhttp: the request itself."""

    needs_meta = True

    def __init__(self, parameter: str) -> None:
        from modelyard.scoring.worker.aml_request import AMLRequest  # noqa: PLC0415 - it imports werkzeug

        self._parameter = parameter
        self._type = AMLRequest

    def arguments(self, request: WorkerRequest) -> dict[str, Any]:
        """Return the request."""
        body = b"" if request.flags & QUERY else bytes(request.body)
        return {self._parameter: self._type(environ_of(json.loads(request.meta), body))}


class ObjectInput:
    """Arguments of a driver with a schema: the fields of a JSON object, or of a query."""

    needs_meta = True

    def __init__(self, parameters: Sequence[inspect.Parameter], hints: dict[str, Hint]) -> None:
        self._parameters = parameters
        self._names = [parameter.name for parameter in parameters]
        self._hints = hints
        self.decoded = json_decoder()
        """Decodes JSON as json.loads() does, and faster."""

    def arguments(self, request: WorkerRequest) -> dict[str, Any]:
        """Return the converted fields. Raises InputError if they do not match the parameters."""
        if request.flags & QUERY:
            values = query_values(bytes(request.body))
            return self._defaults(values) | {
                name: self._converted_value_or_text(name, *values[name])
                for name in self._names
                if name in values
            }
        fields = self._json_object(request)
        return self._defaults(fields) | {
            name: self._converted(name, fields[name]) for name in self._names if name in fields
        }

    def _json_object(self, request: WorkerRequest) -> dict[str, Any]:
        content_type = self.decoded(request.meta)["headers"].get("content-type", "")
        if not _is_json(content_type.partition(";")[0].strip().lower()):
            raise InputError(415, "Expects Content-Type to be application/json")
        if not request.body:
            raise InputError(400, "The body is empty. It should be a JSON object.")
        try:
            fields = self.decoded(request.body)
        except (ValueError, RecursionError) as error:
            raise InputError(400, f"The body cannot be decoded as JSON: {error}") from None
        if not isinstance(fields, dict):
            raise InputError(400, "The body should be a JSON object.")
        return fields

    def _defaults(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the defaults of absent parameters: inference_schema's decorators need every argument."""
        absent = [parameter for parameter in self._parameters if parameter.name not in fields]
        for parameter in absent:
            if parameter.default is parameter.empty:
                raise InputError(400, f"A value is not provided for the {parameter.name!r} parameter.")
        return {parameter.name: parameter.default for parameter in absent}

    def _converted(self, name: str, value: Any) -> Any:
        hint = self._hints.get(name)
        if hint is None:
            return value
        try:
            return hint.convert(value)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise InputError(400, f"{name}: {error}") from None

    def _converted_value_or_text(self, name: str, value: Any, text: Any) -> Any:
        """Convert `a=1` from the number 1 if the parameter's type allows it, else from the text "1"."""
        try:
            return self._converted(name, value)
        except InputError:
            if value == text:
                raise
            return self._converted(name, text)


def _is_json(mimetype: str) -> bool:
    """Return True if a media type without parameters is JSON (werkzeug's rule)."""
    return mimetype == "application/json" or (
        mimetype.startswith("application/") and mimetype.endswith("+json")
    )
