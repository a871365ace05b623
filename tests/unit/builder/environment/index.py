"""A package index over HTTP (https://packaging.python.org/en/latest/specifications/simple-repository-api/)."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from typing import Final

from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)

ANY: Final = "py3-none-any"


class Index:
    """An index with its packages below `/simple/`."""

    def __init__(self, web: WebServer) -> None:
        self.url = f"{web.url}/simple"
        self.authorization: str | None = None
        """The Authorization header that the index requires."""
        self.failure: Response | None = None
        """The answer to every request, if not None."""
        self._files: dict[str, bytes] = {}
        web.respond = self._respond

    def wheel(
        self,
        name: str,
        version: str = "1.0",
        tag: str = ANY,
        *,
        files: Mapping[str, str] | None = None,
        requires: Sequence[str] = (),
        python: str = ">=3.8",
        scripts: Sequence[str] = (),
        links: Mapping[str, str] | None = None,
    ) -> str:
        """Add a wheel, whose scripts print its name, and return its URL.

        `links` has the target of each symbolic link by its path.
        """
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}"]
        metadata += [f"Requires-Dist: {line}" for line in requires]
        content = {
            f"{module}/__init__.py": f"tag = {tag!r}\ndef main(): print({name!r})\n",
            f"{info}/METADATA": "\n".join(metadata) + "\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
            **(files or {}),
        }
        if scripts:
            lines = [f"{script} = {module}:main" for script in scripts]
            content[f"{info}/entry_points.txt"] = "[console_scripts]\n" + "\n".join(lines) + "\n"
        content[f"{info}/RECORD"] = _record(content) + f"{info}/RECORD,,\n"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for path, text in content.items():
                archive.writestr(zipfile.ZipInfo(path), text)
            for path, target in (links or {}).items():
                entry = zipfile.ZipInfo(path)
                entry.create_system = 3  # Unix, whose modes have the type of a file
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(entry, target)
        return self._add(f"{module}-{version}-{tag}.whl", buffer.getvalue())

    def sdist(self, name: str, version: str = "1.0", files: Mapping[str, str] | None = None) -> str:
        """Add a source distribution, by default with an empty setup.py, and return its URL."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for path, text in (files or {"setup.py": ""}).items():
                entry = tarfile.TarInfo(f"{name}-{version}/{path}")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        return self._add(f"{name}-{version}.tar.gz", buffer.getvalue())

    def digest(self, url: str) -> str:
        return hashlib.sha256(self._files[url.rpartition("/")[2]]).hexdigest()

    def _add(self, file: str, content: bytes) -> str:
        self._files[file] = content
        return f"{self.url}/files/{file}"

    def _respond(self, request: Request) -> Response:
        if self.failure is not None:
            return self.failure
        if self.authorization is not None and request.headers.get("authorization") != self.authorization:
            return Response(401, headers={"WWW-Authenticate": "Basic realm=index"})
        folder, _, file = request.path.removeprefix("/simple/").partition("?")[0].rstrip("/").rpartition("/")
        if folder == "files":
            return Response(body=self._files[file]) if file in self._files else Response(404)
        found = [name for name in self._files if name.partition("-")[0].replace("_", "-") == file]
        links = "".join(
            f'<a href="{self.url}/files/{name}#sha256={self.digest(name)}">{name}</a>\n' for name in found
        )
        return (
            Response(body=links.encode(), headers={"Content-Type": "text/html"}) if found else Response(404)
        )


def _record(content: Mapping[str, str]) -> str:
    rows = []
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}\n")
    return "".join(rows)
