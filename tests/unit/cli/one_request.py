"""A process that sends one request, ends, and has a thread that takes long to wake the event loop.

Call it with a URL. The thread is inside of `call_soon_threadsafe` while the process ends, as a thread without
CPU time is. The process ends slowly, so that the thread comes back before the process is gone.
"""

import asyncio
import sys
import threading
import time
from asyncio.selector_events import BaseSelectorEventLoop

from pyreqwest.client import ClientBuilder

import modelyard.__main__ as process

_WAKE_SECONDS = 0.5
_END_SECONDS = 2.0

_write_to_self = BaseSelectorEventLoop._write_to_self


def _write_slowly(loop: BaseSelectorEventLoop) -> None:
    _write_to_self(loop)
    if threading.current_thread() is not threading.main_thread():
        time.sleep(_WAKE_SECONDS)


class _SlowEnd:
    """An object that the interpreter destroys while it finalizes, with the GIL released for a while."""

    sleep = staticmethod(time.sleep)
    seconds = _END_SECONDS

    def __del__(self) -> None:
        self.sleep(self.seconds)


async def _request() -> int:
    client = ClientBuilder().build()
    try:
        return (await client.get(sys.argv[1]).build().send()).status
    finally:
        await client.close()


def _main() -> int:
    sys.stdout.write(f"status {asyncio.run(_request())}\n")
    return 3


BaseSelectorEventLoop._write_to_self = _write_slowly
sys.slow_end = _SlowEnd()  # in the module that the interpreter clears last
process.main = _main
process.run()
