"""`azureml.contrib.services.aml_request` for drivers: `rawhttp` and `AMLRequest`, without Flask.

AMLRequest has what drivers use of Flask's request.
"""

import json
from collections.abc import Callable
from functools import cached_property
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import parse_qsl

Function = TypeVar("Function", bound=Callable[..., Any])

_raw_http_requested = False


def rawhttp(function: Function) -> Function:
    """Declare that run() takes an AMLRequest and may return an AMLResponse."""
    # Stored in the module, not on the function: decorators around it would hide an attribute.
    global _raw_http_requested  # noqa: PLW0603
    _raw_http_requested = True
    return function


def raw_http_requested() -> bool:
    """Return True if the driver uses @rawhttp."""
    return _raw_http_requested


class Headers(dict[str, str]):
    """Headers by names in WSGI servers' spelling (Content-Type); look-ups ignore case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.title())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.title())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value, or the default if the header is absent."""
        return super().get(name.title(), default)


class Fields(dict[str, Any]):
    """Values by name; of a repeated name the mapping has the first value, `getlist` all."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(reversed(pairs))
        self.pairs = pairs

    def getlist(self, name: str) -> list[Any]:
        """Return all values of this name."""
        return [value for pair_name, value in self.pairs if pair_name == name]


class UploadedFile(BytesIO):
    """A file of a multipart form: a binary stream with names and media type."""

    def __init__(self, name: str, filename: str, content_type: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name
        self.filename = filename
        self.content_type = self.mimetype = content_type

    @property
    def stream(self) -> "UploadedFile":
        """Return the file as a binary stream."""
        return self

    def save(self, destination: Any) -> None:
        """Write the file to a path or into an open binary file."""
        if hasattr(destination, "write"):
            destination.write(self.getvalue())
            return
        with open(destination, "wb") as file:  # noqa: PTH123 - any path-like object
            file.write(self.getvalue())


class AMLRequest:
    """One complete HTTP request, with the attributes of Flask's request that drivers use."""

    def __init__(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.query_string = query.encode("latin-1")
        self.headers = Headers({name.title(): value for name, value in headers.items()})
        self.data = body

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Any:
        """Return the body; as str with as_text. The other arguments are Flask's and have no effect."""
        return self.data.decode("utf-8", "replace") if as_text else self.data

    @property
    def stream(self) -> BytesIO:
        """Return the body as a binary stream."""
        return BytesIO(self.data)

    @property
    def full_path(self) -> str:
        """Return path and query, with a `?` between them even if there is no query (Flask's form)."""
        return f"{self.path}?{self.query_string.decode('latin-1')}"

    @property
    def host(self) -> str:
        """Return the Host header."""
        return str(self.headers.get("Host", ""))

    @property
    def url(self) -> str:
        """Return the URL; the scheme is always http."""
        return f"http://{self.host}{self.full_path.rstrip('?')}"

    @property
    def content_type(self) -> str | None:
        """Return the Content-Type header."""
        return self.headers.get("Content-Type")  # type: ignore[no-any-return]

    @property
    def mimetype(self) -> str:
        """Return the media type without parameters, in lower case."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int:
        """Return the bytes of the body."""
        return len(self.data)

    @property
    def is_json(self) -> bool:
        """Return True if the media type is JSON."""
        return is_json(self.mimetype)

    @property
    def json(self) -> Any:
        """Return the body as JSON. Raises ValueError if it is not JSON."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the body as JSON. Raises ValueError if it is not JSON; with silent, returns None instead."""
        if not (force or self.is_json):
            if silent:
                return None
            raise ValueError("the request's Content-Type is not application/json")
        try:
            return json.loads(self.data)
        except ValueError:
            if silent:
                return None
            raise

    @cached_property
    def args(self) -> Fields:
        """Return the fields of the query."""
        return Fields(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    @property
    def form(self) -> Fields:
        """Return the text fields of a form."""
        return self._form[0]

    @property
    def files(self) -> Fields:
        """Return the files of a multipart form, as UploadedFile."""
        return self._form[1]

    @property
    def values(self) -> Fields:
        """Return the fields of query and form together."""
        return Fields([*self.args.pairs, *self.form.pairs])

    @cached_property
    def _form(self) -> tuple[Fields, Fields]:
        if self.mimetype == "application/x-www-form-urlencoded":
            return Fields(parse_qsl(self.data.decode("utf-8", "replace"), keep_blank_values=True)), Fields([])
        if self.mimetype != "multipart/form-data":
            return Fields([]), Fields([])
        from email.parser import BytesParser  # noqa: PLC0415 - 20 ms and 2 MB, few drivers need it
        from email.policy import HTTP  # noqa: PLC0415

        head = f"Content-Type: {self.content_type}\r\n\r\n".encode("latin-1")
        fields, files = [], []
        for part in BytesParser(policy=HTTP).parsebytes(head + self.data).iter_parts():
            name = str(part.get_param("name", "", header="content-disposition"))
            content = part.get_payload(decode=True)
            content = content if isinstance(content, bytes) else b""
            filename = part.get_filename()
            if filename is None:
                fields.append((name, content.decode("utf-8", "replace")))
            else:
                files.append((name, UploadedFile(name, filename, part.get_content_type(), content)))
        return Fields(fields), Fields(files)


def is_json(mimetype: str) -> bool:
    """Return True if a media type without parameters is JSON (Flask's rule)."""
    return mimetype == "application/json" or (
        mimetype.startswith("application/") and mimetype.endswith("+json")
    )
