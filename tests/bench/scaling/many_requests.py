"""The program of held.py, in a pod: it sends many requests at once to Services that have no ready replica.

The environment has SERVICES (names with commas), KEY_<number> for each of them, and REQUESTS. The last line
is JSON: `answers` by status, `refused` by the start of the message, `bad`, and `slowest` in seconds.
"""

import asyncio
import collections
import json
import os
import resource
import time

CONNECTS = 200  # at the same time: each waits for the activator's accept()
CONNECT_SECONDS = 60
ANSWER_SECONDS = 300
BODY = b"x" * 32 * 1024  # more than the kernel keeps of a body that the activator does not read yet


class Answers:
    """The answers so far."""

    def __init__(self) -> None:
        self.by_status: collections.Counter[str] = collections.Counter()
        self.refused: collections.Counter[str] = collections.Counter()
        self.bad: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0

    def add(self, response: bytes, seconds: float) -> None:
        """Take a whole response, and the time from the request to its end."""
        self.slowest = max(self.slowest, seconds)
        head, _, body = response.decode().partition("\r\n\r\n")
        status = head[9:12]
        self.by_status[status or "none"] += 1
        if status == "503":
            self.refused[json.loads(body)["message"].partition(":")[0]] += 1
            if "\r\nRetry-After: " not in head:
                self.bad["503 without Retry-After"] += 1
        elif status != "200":
            self.bad[f"{status or 'no response'} {body[:80]}"] += 1


async def ask(answers: Answers, connects: asyncio.Semaphore, host: str, key: str) -> None:
    """Send one request, and wait for the end of its response."""
    try:
        async with connects, asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(host, 80, limit=4096)
    except (OSError, TimeoutError) as error:
        answers.bad[f"no connection: {type(error).__name__}"] += 1
        return
    began = time.monotonic()
    head = f"POST /score HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            writer.write(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
            answers.add(await reader.read(-1), time.monotonic() - began)
    except (OSError, TimeoutError) as error:
        answers.bad[f"no response: {type(error).__name__}"] += 1
    finally:
        writer.close()


async def main() -> None:
    """Send all requests, and print the answers."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    hosts = os.environ["SERVICES"].split(",")
    keys = [os.environ[f"KEY_{number}"] for number in range(len(hosts))]
    answers, connects = Answers(), asyncio.Semaphore(CONNECTS)
    targets = list(zip(hosts, keys, strict=True))
    await asyncio.gather(
        *(
            ask(answers, connects, *targets[number % len(targets)])
            for number in range(int(os.environ["REQUESTS"]))
        )
    )
    figures = {"answers": answers.by_status, "refused": answers.refused, "bad": answers.bad}
    print(json.dumps({"total": figures | {"slowest": answers.slowest}}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
