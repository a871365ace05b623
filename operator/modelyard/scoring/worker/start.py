"""The worker process: started by the front with this file as its script.

    start.py CHANNEL LIFELINE PROGRESS THREADS      (three file descriptors, a number)

Its own folder goes from sys.path at once, so that the driver sees the interpreter's environment and nothing
of ours by accident: no module of the runtime can stand in for one of the driver's.
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

RUNTIME = str(Path(__file__).resolve().parents[3])


def main(arguments: list[str]) -> int:
    """Serves until the front closes the channel. The exit code is 3 when the driver cannot be served."""
    sys.path[0] = RUNTIME
    from modelyard.scoring import frames  # noqa: PLC0415 - the path is set only now
    from modelyard.scoring.worker.channel import Channel, Reply  # noqa: PLC0415
    from modelyard.scoring.worker.driver import DriverError, printed, start_driver  # noqa: PLC0415
    from modelyard.scoring.worker.openapi import documents  # noqa: PLC0415

    connection_fd, lifeline_fd, progress_fd, threads = map(int, arguments)
    progress = mmap.mmap(progress_fd, 0)
    os.close(progress_fd)
    channel = Channel(socket.socket(fileno=connection_fd), progress)
    _prepare(socket.socket(fileno=lifeline_fd))

    app_root = Path(os.environ["AML_APP_ROOT"])
    sys.path[0] = str(app_root)
    os.chdir(app_root)
    try:
        names = {}
        if os.environ.get("MODELYARD_SPARK") == "true":
            from modelyard.scoring.worker.spark import start_session  # noqa: PLC0415 - few drivers need it

            names = start_session(app_root)
        driver = start_driver(app_root, os.environ["AZUREML_ENTRY_SCRIPT"], names)
        description = {
            "wants_meta": driver.inputs.wants_meta or driver.wants_headers,
            "openapi": documents(driver, app_root, os.environ),
        }
    except (DriverError, OSError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, DriverError) else error
        failure = {"message": str(error), "exception": printed(cause) if cause else None}
        channel.reply(0, Reply(frames.FAILED, 0, json.dumps(failure).encode()))
        return 3
    gc.collect()
    gc.freeze()  # the model is there to stay: later collections need not look at it
    channel.reply(0, Reply(frames.STARTED, 0, json.dumps(description).encode()))

    def serve(place: int) -> None:
        while True:
            request = channel.take()
            if request is None:
                return
            started = channel.begin(place, request)
            if started is None:
                reply = Reply(frames.EXPIRED, 0, b"")
            else:
                reply = driver.score(request)
                reply.started = started
            request_id = request.id
            del request  # nothing of it is held while waiting for the next
            channel.reply(request_id, reply)

    others = [threading.Thread(target=serve, args=(place,), daemon=True) for place in range(1, threads)]
    for thread in others:
        thread.start()
    serve(0)  # init() and, with one place, every run() share the main thread: some libraries insist
    for thread in others:
        thread.join()
    return 0


def _prepare(lifeline: socket.socket) -> None:
    """Signals, output, and the end together with the front."""
    faulthandler.enable()
    # The front asks for it before it ends a stuck run(). It works while the GIL is held, and dumps no core.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.signal(signal.SIGTERM, _leave)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    # The kernel ends this process with the front: SIGIO's default, which needs no GIL. The thread is for a
    # front that was gone before; it selects, since the kernel sends no SIGIO to who waits in recv.
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_end_with_front, args=(lifeline,), daemon=True).start()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """A SystemExit in the main thread, so that the driver's exit handlers run."""
    sys.exit(0)


def _end_with_front(lifeline: socket.socket) -> None:
    """The front is the other end. It says nothing; its end is the end of this process, whatever runs here."""
    select.select([lifeline], [], [])
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
