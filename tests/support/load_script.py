"""The program of load.py: it sends requests, and prints one line of JSON per second."""

import asyncio
import collections
import json
import os
import signal
import socket
import ssl
import time

import aiohttp
import aiohttp.abc


class Address(aiohttp.abc.AbstractResolver):
    """Resolves each host to the IP address of a data plane."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """Return the address of the environment."""
        address = os.environ["ADDRESS"]
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        """Close nothing, as there is no connection."""


class Second:
    """Response times and errors of one second."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.errors: collections.Counter[str] = collections.Counter()
        self.answers: collections.Counter[str] = collections.Counter()
        self.first_at: dict[str, float] = {}

    def line(self) -> str:
        """Return the figures as JSON."""
        times = sorted(self.times) or [0.0]
        return json.dumps(
            {
                "ok": len(self.times),
                "failed": sum(self.errors.values()),
                "errors": self.errors,
                "p50_ms": round(times[len(times) // 2] * 1000, 1),
                "p99_ms": round(times[len(times) * 99 // 100] * 1000, 1),
                "answers": dict(self.answers.most_common(3)),
                "first_at": self.first_at,
            }
        )


async def main() -> None:
    """Send requests until the time is over or SIGTERM arrives."""
    connections, per_second = int(os.environ["CONNECTIONS"]), float(os.environ["PER_SECOND"])
    end = time.monotonic() + int(os.environ["SECONDS"])
    current = [Second()]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def score(session: aiohttp.ClientSession) -> None:
        pause = connections / per_second if per_second else 0
        while time.monotonic() < end and not stop.is_set():
            started = time.perf_counter()
            second = current[0]
            try:
                async with session.post(os.environ["URL"], data=os.environ["BODY"]) as response:
                    text = await response.text()
                if response.status == 200:
                    second.times.append(time.perf_counter() - started)
                    second.answers[text[:60]] += 1
                    second.first_at.setdefault(text[:60], time.time())
                else:
                    second.errors[f"{response.status} {text[:60]}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                second.errors[type(error).__name__] += 1
                await asyncio.sleep(0.05)
            if pause:
                await asyncio.sleep(max(0, pause - (time.perf_counter() - started)))

    async def report() -> None:
        while True:
            await asyncio.sleep(1)
            done, current[0] = current[0], Second()
            print(done.line(), flush=True)

    headers = {"Authorization": f"Bearer {os.environ['KEY']}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(
        limit=connections,
        force_close="NEW_CONNECTIONS" in os.environ,
        resolver=Address() if "ADDRESS" in os.environ else None,
        ssl=ssl.create_default_context(cafile=os.environ.get("CA")),
    )
    async with aiohttp.ClientSession(
        headers=headers, connector=connector, timeout=aiohttp.ClientTimeout(total=30)
    ) as session:
        reporter = asyncio.create_task(report())
        await asyncio.gather(*(score(session) for _ in range(connections)))
        reporter.cancel()
    print(current[0].line(), flush=True)


asyncio.run(main())
