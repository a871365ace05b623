"""The worker process: three file descriptors and a number of threads are its arguments.

    CHANNEL             requests and replies, see frames
    LIFELINE            no data; it closes when the front ends
    PROGRESS            shared memory, see frames.PROGRESS
    THREADS             run() calls at once

The process ends in one of these ways:

    CHANNEL closes      No more requests come. The threads end, exit code 0.
    SIGTERM             The front drains while init() runs. SystemExit is raised, exit code 0.
    LIFELINE closes     The front has ended. SIGIO kills the process and its children, or a thread does.
    SIGUSR1, SIGKILL    init() or run() is stuck. All stacks go to stderr, then the front kills the process.
    the driver fails    A message is sent on CHANNEL, exit code 3.

The driver's folder comes last in sys.path, as in the Azure ML containers. A file beside the driver never
takes the place of a module of the standard library or of an installed package.
"""

import faulthandler
import fcntl
import gc
import io
import json
import mmap
import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Final

from modelyard.scoring.contract import DRIVER_FAILED, Variable
from modelyard.scoring.frames import EXPIRED, FAILED, STARTED, Reply
from modelyard.scoring.worker import collection, user_name
from modelyard.scoring.worker.channel import WorkerChannel
from modelyard.scoring.worker.driver import Driver, DriverError, start_driver, traceback_text
from modelyard.scoring.worker.event_loop import EventLoop
from modelyard.scoring.worker.openapi import documents
from modelyard.scoring.worker.streams import send_stream

ENTRY_FOLDER: Final = Path(__file__).with_name("entry")
"""Child processes of the driver import entry_module from here."""


def main(arguments: list[str]) -> int:
    """Serve until the front closes the channel. Return the exit code: 0, 3 if the driver cannot be served."""
    channel_fd, lifeline_fd, progress_fd, threads = map(int, arguments)
    channel = _open_channel(channel_fd, progress_fd)
    _set_up_process()
    _exit_when_closed(socket.socket(fileno=lifeline_fd))
    app_root = _enter_app_root()
    loop = EventLoop()
    try:
        driver = _start_driver(app_root, loop)
        if not driver.overlaps:
            threads = 1
        description = _describe(driver, _work_dir(app_root), threads)
    except (DriverError, OSError, ValueError) as error:
        channel.reply(0, Reply(FAILED, body=_failure(error)))
        return DRIVER_FAILED
    gc.collect()
    gc.freeze()  # the model stays for the life of the process: later collections can skip it
    channel.reply(0, Reply(STARTED, body=json.dumps(description).encode()))
    if driver.is_async:
        _serve_async(channel, driver, threads)
    else:
        _serve(channel, driver, threads)
    return 0


def _open_channel(channel_fd: int, progress_fd: int) -> WorkerChannel:
    progress = mmap.mmap(progress_fd, 0)
    os.close(progress_fd)
    return WorkerChannel(socket.socket(fileno=channel_fd), progress)


def _set_up_process() -> None:
    """Set up signals, output and the user's name."""
    user_name.install()
    faulthandler.enable()
    # The front sends SIGUSR1 before it kills a stuck worker. The dump works while the GIL is held, and is no
    # core.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.signal(signal.SIGTERM, _raise_system_exit)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A print() of half a surrogate pair is no reason to fail a request.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _raise_system_exit(_signal: int, _frame: FrameType | None) -> None:
    """Raise SystemExit in the main thread, so that the driver's exit handlers run."""
    sys.exit(0)


def _exit_when_closed(lifeline: socket.socket) -> None:
    """End this process and its children with the front, which has the socket's other end and sends no data.

    The kernel sends SIGIO to the process group when the socket closes, and the signal's default action ends
    the processes: that needs no GIL. The thread is for a front that ended before this call.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_wait_and_exit, args=(lifeline,), daemon=True).start()


def _wait_and_exit(lifeline: socket.socket) -> None:
    # select, since the kernel sends no SIGIO for a socket that a thread waits on in recv()
    select.select([lifeline], [], [])
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _enter_app_root() -> Path:
    """Make the driver's folder the last one of imports, and enter the working directory. Return the folder.

    AZUREML_SOURCE_DIRECTORY, a folder below it, comes after it.
    """
    app_root = Path(os.environ[Variable.APP_ROOT])
    del sys.path[0]  # the runtime's folder
    sys.path += [str(ENTRY_FOLDER), str(app_root)]
    source_directory = os.environ.get(Variable.SOURCE_DIRECTORY)
    if source_directory:
        sys.path.append(str(app_root / source_directory))
    os.chdir(_work_dir(app_root))
    return app_root


def _work_dir(app_root: Path) -> Path:
    return Path(os.environ.get(Variable.WORK_DIR) or app_root)


def _start_driver(app_root: Path, loop: EventLoop) -> Driver:
    """Start Spark if the image says so, then the driver. Raises DriverError if one of them fails."""
    names: dict[str, object] = {}
    if os.environ.get(Variable.SPARK) == "true":
        from modelyard.scoring.worker.spark import start_session  # noqa: PLC0415 - few drivers need it

        names = start_session(app_root)
    return start_driver(app_root, os.environ[Variable.ENTRY_SCRIPT], names, loop)


def _describe(driver: Driver, work_dir: Path, threads: int) -> dict[str, Any]:
    """Return what the front must know. Raises OSError or ValueError for an OpenAPI file it cannot read."""
    openapi = documents(driver, work_dir, os.environ)
    return {
        "needs_meta": driver.needs_meta,
        "takes_options": driver.takes_options,
        "threads": threads,
        "thread_safe": driver.overlaps or driver.thread_safe,
        "is_async": driver.is_async,
        "openapi": openapi,
        "declared": collection.declared_columns_of(openapi),
        "tensors": driver.inference.metadata if driver.inference else {"inputs": [], "outputs": []},
    }


def _failure(error: Exception) -> bytes:
    """Return message and traceback as JSON; of a DriverError the traceback of its cause."""
    cause = error.__cause__ if isinstance(error, DriverError) else error
    exception = traceback_text(cause) if cause else None
    return json.dumps({"message": str(error), "exception": exception}).encode()


def _serve_async(channel: WorkerChannel, driver: Driver, places: int) -> None:
    """Run requests in tasks of the driver's event loop until the front closes the channel."""
    from modelyard.scoring.worker.async_server import AsyncServer  # noqa: PLC0415 - it imports asyncio

    driver.loop.run(AsyncServer(channel, driver, places).serve())
    driver.loop.close()


def _serve(channel: WorkerChannel, driver: Driver, threads: int) -> None:
    """Run requests in this many threads until the front closes the channel."""
    channel.spins = threads == 1
    others = [
        threading.Thread(target=_serve_slot, args=(channel, driver, slot, EventLoop()), daemon=True)
        for slot in range(1, threads)
    ]
    for thread in others:
        thread.start()
    # The main thread serves, too: some libraries need init() and, with one thread, every run() on one thread.
    _serve_slot(channel, driver, 0, driver.loop)
    for thread in others:
        thread.join()


def _serve_slot(channel: WorkerChannel, driver: Driver, slot: int, loop: EventLoop) -> None:
    """Run one request after the other. `slot` is this thread's place in PROGRESS, `loop` its event loop."""
    while True:
        request = channel.receive()
        if request is None:
            loop.close()
            return
        started_at = channel.begin(slot, request)
        if started_at is None:
            reply = Reply(EXPIRED)
        else:
            if "asyncio" in sys.modules:  # most drivers do without, and a call costs 0.1 µs
                loop.make_current()
            reply = driver.score(request, loop)
            reply.started_at = started_at
        number = request.number
        del request  # frees the body before the wait for the next request
        if reply.pieces is not None:
            reply = send_stream(channel, slot, number, reply, reply.pieces, traceback_text)
        channel.reply(number, reply)
