"""A Git repository that a real HTTP server serves from a thread, for GitOps tools."""

from __future__ import annotations

import os
import subprocess
import threading
import urllib.parse
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Self

BRANCH: Final = "main"
_IDENTITY: Final = ("-c", "user.name=Test", "-c", "user.email=test@example.com")


class GitServer:
    """Context manager that serves one repository at `url`, by the CGI program `git http-backend`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work = folder / "work"
        self._bare = folder / "models.git"
        _git(folder, "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(self._bare))
        _git(folder, "clone", "--quiet", str(self._bare), str(self._work))
        _git(self._work, "symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.05))

    @property
    def url(self) -> str:
        """Return the URL of the repository for processes of this machine."""
        return f"http://127.0.0.1:{self._server.server_port}/models.git"

    def commit(self, files: Mapping[str, str], subject: str) -> str:
        """Commit `files` as the whole content, without a push. Returns the commit's SHA-1."""
        for file in self._work.rglob("*.yaml"):
            file.unlink()
        for path, text in files.items():
            file = self._work / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        _git(self._work, "add", "--all")
        _git(self._work, *_IDENTITY, "commit", "--quiet", "--allow-empty", f"--message={subject}")
        return self._head()

    def revert(self) -> str:
        """Revert the last commit with `git revert`, without a push. Returns the new commit's SHA-1."""
        _git(self._work, *_IDENTITY, "revert", "--no-edit", "HEAD")
        return self._head()

    def push(self) -> None:
        """Push all commits to the served repository."""
        _git(self._work, "push", "--quiet", "origin", BRANCH)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _head(self) -> str:
        return _git(self._work, "rev-parse", "HEAD").strip()


def _git(folder: Path, *arguments: str) -> str:
    """Run git in a folder. Raises RuntimeError with git's standard error."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    """Return a handler that runs the CGI program for each request (RFC 3875)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            environment = os.environ | {
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REQUEST_METHOD": self.command,
                "PATH_INFO": url.path,
                "QUERY_STRING": url.query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(length),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"],
                input=self.rfile.read(length),
                env=environment,
                capture_output=True,
                check=False,
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
            self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    return Handler
