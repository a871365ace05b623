"""Ways to build the server, each as small as can be; started by tests.bench.scoring.ways.

echo      own HTTP on httptools and uvloop, no model
inline    the model on the event loop: a slow run() stops the probes
thread    the model in a thread, results back by call_soon_threadsafe
process   the model in a process of its own, over a socket pair
"""

import asyncio
import json
import queue
import socket
import struct
import subprocess
import sys
import threading

import httptools
import uvloop

FRAME = struct.Struct("<IQ")


def load_model():
    import numpy as np  # noqa: PLC0415 - the front of `process` has no model

    def run(text):
        numbers = np.asarray(json.loads(text)["data"])
        return json.dumps(float(numbers @ np.ones(len(numbers)))).encode()

    return run


def worker(descriptor):
    connection = socket.socket(fileno=descriptor)
    run = load_model()
    received = b""
    while data := connection.recv(65536):
        received += data
        position = 0
        while len(received) - position >= FRAME.size:
            length, number = FRAME.unpack_from(received, position)
            start = position + FRAME.size
            if start + length > len(received):
                break
            result = run(str(received[start : start + length], "utf-8"))
            connection.sendall(FRAME.pack(len(result), number) + result)
            position = start + length
        received = received[position:]


class Channel(asyncio.Protocol):
    def __init__(self):
        self._received = b""
        self._waiting = {}
        self._unwritten = []
        self._last = 0

    def connection_made(self, transport):
        self._transport = transport

    def submit(self, client, body):
        self._last += 1
        self._waiting[self._last] = client
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self._write)
        self._unwritten += (FRAME.pack(len(body), self._last), body)

    def _write(self):
        self._transport.write(b"".join(self._unwritten))
        self._unwritten.clear()

    def data_received(self, data):
        received, position = self._received + data, 0
        while len(received) - position >= FRAME.size:
            length, number = FRAME.unpack_from(received, position)
            start = position + FRAME.size
            if start + length > len(received):
                break
            self._waiting.pop(number).respond(received[start : start + length])
            position = start + length
        self._received = received[position:]


class Client(asyncio.Protocol):
    def __init__(self, submit):
        self._submit = submit
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._parser.feed_data(data)

    def on_message_begin(self):
        self._body = b""

    def on_body(self, body):
        self._body += body

    def on_message_complete(self):
        self._submit(self, self._body)

    def respond(self, body):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def submitter(way):
    """What takes a client and its body."""
    loop = asyncio.get_running_loop()
    if way == "echo":
        return Client.respond
    if way == "process":
        ours, theirs = socket.socketpair()
        arguments = [sys.executable, __file__, "worker", str(theirs.fileno())]
        subprocess.Popen(arguments, pass_fds=[theirs.fileno()])
        theirs.close()
        return (await loop.create_unix_connection(Channel, sock=ours))[1].submit
    run = load_model()
    if way == "inline":
        return lambda client, body: client.respond(run(body))
    jobs = queue.SimpleQueue()

    def work():
        while True:
            client, body = jobs.get()
            loop.call_soon_threadsafe(client.respond, run(body))

    threading.Thread(target=work, daemon=True).start()
    return lambda client, body: jobs.put((client, body))


async def main(way, port):
    submit = await submitter(way)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(submit), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        worker(int(sys.argv[2]))
    else:
        uvloop.run(main(sys.argv[1], int(sys.argv[2])))
