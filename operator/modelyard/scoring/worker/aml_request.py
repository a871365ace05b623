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
    """Marks run() as one that takes an AMLRequest and may return an AMLResponse."""
    # A note of the module, not of the function: other decorators around it would hide an attribute.
    global _raw_http_requested  # noqa: PLW0603
    _raw_http_requested = True
    return function


def raw_http_requested() -> bool:
    return _raw_http_requested


class Headers(dict[str, str]):
    """Header names as WSGI servers show them (Content-Type), found in any spelling."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.title())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.title())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.title(), default)


class Fields(dict[str, Any]):
    """Values by name; `getlist` gives all of a repeated name, the mapping itself the first."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(reversed(pairs))
        self._pairs = pairs

    def getlist(self, name: str) -> list[Any]:
        return [value for given, value in self._pairs if given == name]


class UploadedFile(BytesIO):
    """A file of a multipart form: a binary stream with its names."""

    def __init__(self, name: str, filename: str, content_type: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name
        self.filename = filename
        self.content_type = self.mimetype = content_type

    @property
    def stream(self) -> "UploadedFile":
        return self

    def save(self, destination: Any) -> None:
        """Writes the file to a path or into an open binary file."""
        if hasattr(destination, "write"):
            destination.write(self.getvalue())
            return
        with open(destination, "wb") as file:  # noqa: PTH123 - a path of any kind
            file.write(self.getvalue())


class AMLRequest:
    """One HTTP request, whole."""

    def __init__(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.query_string = query.encode("latin-1")
        self.headers = Headers({name.title(): value for name, value in headers.items()})
        self.data = body

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Any:
        """The body; with as_text as str. The other arguments are Flask's and change nothing here."""
        return self.data.decode("utf-8", "replace") if as_text else self.data

    @property
    def stream(self) -> BytesIO:
        return BytesIO(self.data)

    @property
    def full_path(self) -> str:
        return f"{self.path}?{self.query_string.decode('latin-1')}"

    @property
    def host(self) -> str:
        return str(self.headers.get("Host", ""))

    @property
    def url(self) -> str:
        return f"http://{self.host}{self.full_path.rstrip('?')}"

    @property
    def content_type(self) -> str | None:
        return self.headers.get("Content-Type")  # type: ignore[no-any-return]

    @property
    def mimetype(self) -> str:
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int:
        return len(self.data)

    @property
    def is_json(self) -> bool:
        return is_json(self.mimetype)

    @property
    def json(self) -> Any:
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body as JSON. Raises ValueError when it is none, unless silent."""
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
        return Fields(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    @property
    def form(self) -> Fields:
        return self._form[0]

    @property
    def files(self) -> Fields:
        return self._form[1]

    @property
    def values(self) -> Fields:
        return Fields([*self.args._pairs, *self.form._pairs])

    @cached_property
    def _form(self) -> tuple[Fields, Fields]:
        if self.mimetype == "application/x-www-form-urlencoded":
            return Fields(parse_qsl(self.data.decode("utf-8", "replace"), keep_blank_values=True)), Fields([])
        if self.mimetype != "multipart/form-data":
            return Fields([]), Fields([])
        from email.parser import BytesParser  # noqa: PLC0415 - 20 ms and 2 MB that few drivers need
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
    """Whether a media type without parameters says JSON, as Flask understands it."""
    return mimetype == "application/json" or (
        mimetype.startswith("application/") and mimetype.endswith("+json")
    )
