"""The client of the benchmark, in a pod: the same requests to each target in turn, over one connection each.

The environment has TARGETS (name → URL in JSON), KEY, CA, ROUNDS and REQUESTS. Its output is a line of JSON:
name → milliseconds of each request.
"""

import asyncio
import json
import os
import ssl
import time
from collections import defaultdict

import aiohttp

WARM_UP = 20  # requests of each round that count in no figure


async def measure(url: str, requests: int) -> list[float]:
    """Return the milliseconds of each request over a new connection."""
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=os.environ["CA"]))
    headers = {"Authorization": f"Bearer {os.environ['KEY']}"}
    milliseconds = []
    async with aiohttp.ClientSession(connector=connector, headers=headers, raise_for_status=True) as session:
        for _ in range(WARM_UP + requests):
            started = time.perf_counter()
            async with session.post(url, data="{}") as response:
                await response.read()
            milliseconds.append((time.perf_counter() - started) * 1000)
    return milliseconds[WARM_UP:]


async def main() -> None:
    """Measure all targets in each round."""
    targets = json.loads(os.environ["TARGETS"])
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(int(os.environ["ROUNDS"])):
        for name, url in targets.items():
            found[name] += await measure(url, int(os.environ["REQUESTS"]))
    print(json.dumps(found))


asyncio.run(main())
