"""The program of cycles.py, in a pod: it sends numbered requests to sleeping Services, and counts what ran.

The environment has SERVICES (names with commas), KEY_<number> for each of them, CLIENTS, LOAD and PAUSE
(seconds, least and most), REQUESTS and SEED. A driver sends the number of each request to port 9000, and
waits for an answer, before it returns the number. So each run is known, also that of a replica that ends.

A request without a connection, or with the response 503, is sent again: no replica can have run it. Others
are not. The program ends once REQUESTS are sent and the file /tmp/enough exists. It prints JSON lines:
`failure`, `again` and `progress`, and at the end `total`.
"""

import asyncio
import collections
import itertools
import json
import os
import random
import time
from pathlib import Path

import aiohttp

ENOUGH = Path("/tmp/enough")
LEDGER_PORT = 9000
ANSWER_SECONDS = 150  # above the time for which the activator holds a request, on a busy machine
START_SECONDS = 10  # until the data plane leads drivers here
CONNECT_SECONDS = 10  # the kernel tries for two minutes to reach a pod that has gone
ATTEMPTS = 60
RETRY_SECONDS = 1.0


class Requests:
    """The numbers of requests: sent, run and answered."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.sent = 0
        self.answered: collections.Counter[int] = collections.Counter()
        self.runs: collections.Counter[int] = collections.Counter()
        self.failed: dict[int, str] = {}

    def next(self) -> int:
        """Return the number of a new request."""
        self.sent += 1
        return next(self._numbers)

    def fail(self, number: int, service: str, cause: str) -> None:
        """Take down a request without an answer, and whether a replica ran it."""
        self.failed[number] = cause
        self._tell("failure", number, service, cause)

    def send_again(self, number: int, service: str, cause: str) -> None:
        """Take down a request that no replica can have run."""
        self._tell("again", number, service, cause)

    def _tell(self, kind: str, number: int, service: str, cause: str) -> None:
        about = {"number": number, "service": service, "cause": cause, "at": time.time()}
        print(json.dumps({kind: about | {"runs": self.runs[number]}}), flush=True)

    def total(self) -> dict[str, object]:
        """Return the figures of all requests."""
        return {
            "sent": self.sent,
            "answered": len(self.answered),
            "failed": len(self.failed),
            "answered_twice": sum(count > 1 for count in self.answered.values()),
            "run_twice": sum(count > 1 for count in self.runs.values()),
            "answered_without_run": len(self.answered.keys() - self.runs.keys()),
        }


async def listen(requests: Requests) -> None:
    """Count the runs of each number that drivers report."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.runs[int(await reader.readline())] += 1
        writer.write(b"ok")
        writer.close()

    await asyncio.start_server(take, "", LEDGER_PORT, backlog=1024)


async def ask(
    requests: Requests, session: aiohttp.ClientSession, service: str, headers: dict[str, str]
) -> None:
    """Send one request until it has an answer, or may have run without one."""
    number = requests.next()
    cause = ""
    for _ in range(ATTEMPTS):
        try:
            url = f"http://{service}/score"
            async with session.post(url, data=str(number), headers=headers) as response:
                text = await response.text()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            cause = f"no connection: {error}"
        except (aiohttp.ClientError, TimeoutError) as error:
            requests.fail(number, service, f"{type(error).__name__}: {error}")
            return
        else:
            if response.status == 200 and json.loads(text) == number:
                requests.answered[number] += 1
                return
            cause = f"{response.status} {text[:200]}"
            if response.status != 503:
                requests.fail(number, service, cause)
                return
        requests.send_again(number, service, cause)
        await asyncio.sleep(RETRY_SECONDS)
    requests.fail(number, service, f"not answered after {ATTEMPTS} attempts: {cause}")


def seconds(name: str, schedule: random.Random) -> float:
    """Return a random time between the two of the environment."""
    least, most = map(float, os.environ[name].split())
    return schedule.uniform(least, most)


async def rounds(requests: Requests, service: str, key: str, schedule: random.Random) -> None:
    """Send load to a Service, then none, so that it goes to 0, again and again."""
    most = int(os.environ["REQUESTS"])
    headers = {"Authorization": f"Bearer {key}"}
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
    while requests.sent < most or not ENOUGH.exists():
        end = time.monotonic() + seconds("LOAD", schedule)

        async def client(*, new_connections: bool, end: float = end) -> None:
            connector = aiohttp.TCPConnector(force_close=new_connections)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
                while time.monotonic() < end:
                    await ask(requests, session, service, headers)

        # A kept connection stays at its replica. The others see each change of the data plane.
        count = int(os.environ["CLIENTS"])
        await asyncio.gather(*(client(new_connections=number % 4 != 0) for number in range(count)))
        await asyncio.sleep(seconds("PAUSE", schedule))


async def report(requests: Requests) -> None:
    """Print the progress each 5 seconds."""
    while True:
        await asyncio.sleep(5)
        progress = {"sent": requests.sent, "answered": len(requests.answered)}
        print(json.dumps({"progress": progress}), flush=True)


async def main() -> None:
    """Send all requests."""
    requests, schedule = Requests(), random.Random(int(os.environ["SEED"]))
    await listen(requests)
    await asyncio.sleep(START_SECONDS)
    reporter = asyncio.create_task(report(requests))
    services = os.environ["SERVICES"].split(",")
    await asyncio.gather(
        *(
            rounds(requests, service, os.environ[f"KEY_{number}"], random.Random(schedule.random()))
            for number, service in enumerate(services)
        )
    )
    reporter.cancel()
    print(json.dumps({"total": requests.total()}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
