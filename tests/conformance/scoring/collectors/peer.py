"""Run the programs with the packages, in their environment: `python peer.py programs.json outcomes.json`.

azureml-ai-monitoring sends to a server on loopback. The two older packages are whole, except their C++
library. It needs OpenSSL 1.0.0, libxml++ and glibmm of Ubuntu 16.04, and an account of Azure Storage. A
recorder stands in its place, which gets the bytes that the library would write.
"""

import csv
import ctypes
import io
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

sent = []
"""The requests of azureml-ai-monitoring in the present program."""


class Receiver(BaseHTTPRequestHandler):
    """Keeps the records that the package sends."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.headers["ce-type"].removeprefix("azureml.inference.")
        sent.append([name, self.headers.get("ce-x-request-id", ""), json.loads(body)])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Function:
    """A function of the library. ctypes lets its users set argtypes and restype."""

    def __init__(self, call):
        self.call = call

    def __call__(self, *arguments):
        return self.call(*arguments)


class Library:
    """Keeps the CSV that the packages write, by file."""

    def __init__(self):
        self.files = []
        self.Init = self.InitW = Function(self.init)
        self.HandleForCorrelation = self.HandleForCorrelationW = Function(self.open)
        self.IsDataCollectionEnabled = Function(lambda: True)
        self.WriteHeader = Function(self.write_header)
        self.WriteBinary = self.WriteBinaryBasic = Function(self.write)
        others = ("GetEventFlushIntervalTime", "GetEventMaxQueueSize", "GetEventRetryTime")
        for name in ("Shutdown", "ShutdownAll", *others):
            setattr(self, name, Function(lambda *arguments: 0))

    def init(self, *names):
        model, part = (names[3], names[5]) if len(names) == 6 else (names[4], names[10])
        return self.add(f"{model}-{part}")

    def open(self, workspace, service, model, version, designation, *others):
        return self.add(f"{model}-{designation}")

    def add(self, name):
        self.files.append({"name": name, "header": [], "rows": []})
        return len(self.files) - 1

    def write_header(self, handle, text, size):
        assert size == len(text)
        self.files[handle]["header"] = next(csv.reader([text.decode()]))

    def write(self, handle, text, size):
        assert size == len(text)
        file = self.files[handle]
        file["rows"] += [(file["header"], row) for row in csv.reader(io.StringIO(text.decode(), newline=""))]
        return handle


def main():
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {
        "AZUREML_MDC_ENABLED": "true", "AZUREML_MDC_PORT": str(server.server_port),
        "AML_MODEL_DC_STORAGE_ENABLED": "true", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    library = Library()
    load = ctypes.CDLL
    ctypes.CDLL = lambda path, *arguments, **options: (
        library if "modeldatacollector" in str(path) else load(path, *arguments, **options)
    )
    import program_runner  # noqa: PLC0415 - the packages load the library at their import
    from azureml.ai.monitoring import init  # noqa: PLC0415

    ctypes.CDLL = load
    outcomes = []
    for code in json.loads(Path(sys.argv[1]).read_text()):
        sent.clear()
        library.files.clear()
        outcome = program_runner.outcome(code)
        init.teardown(wait_for_flush=True)
        outcomes.append({**outcome, "sent": [*sent], "files": [dict(file) for file in library.files]})
    Path(sys.argv[2]).write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main()
