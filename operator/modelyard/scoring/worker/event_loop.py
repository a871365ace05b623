"""The event loop of one thread of the worker, for drivers that use asyncio."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

Result = TypeVar("Result")


def is_async(function: Callable[..., Any]) -> bool:
    """Return True for an `async def`, with or without `yield`, also as the __call__() of an object."""
    candidates = (function, getattr(function, "__call__", None))  # noqa: B004 - its kind matters
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in candidates)


class EventLoop:
    """One event loop for the life of a thread.

    Clients that init() has made belong to an event loop, and work in it only. Workers of drivers that do not
    use asyncio never load it: it takes 30 ms and 4 MB.
    """

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._context: Context | None = None

    def create(self) -> asyncio.Runner:
        """Create the loop if there is none, as the thread's current event loop. Return its runner."""
        import asyncio  # noqa: PLC0415 - see the class

        if self._runner is None or self._runner.get_loop().is_closed():
            self._runner = asyncio.Runner()
            self._runner.get_loop()
        return self._runner

    def make_current(self) -> None:
        """Make asyncio.get_event_loop() return an open loop, if the driver has imported asyncio.

        Python gives threads no event loop, and the main thread none since 3.14. asyncio.run() leaves its
        thread without one.
        """
        asyncio = sys.modules.get("asyncio")
        if asyncio is None:
            return
        if self._runner is None:
            self.create()
            return
        try:
            is_open = not asyncio.get_event_loop().is_closed()
        except RuntimeError:
            is_open = False
        if not is_open:
            asyncio.set_event_loop(self.create().get_loop())

    def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """Run the coroutine to its end. All coroutines share context variables, as calls in a thread do."""
        if self._context is None:
            self._context = copy_context()
        return self.create().run(main, context=self._context)

    def close(self) -> None:
        """Cancel the tasks of the loop, and close the loop."""
        if self._runner is not None and not self._runner.get_loop().is_closed():
            self._runner.close()
